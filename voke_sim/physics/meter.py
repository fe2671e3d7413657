"""Meters: registers that only grow."""

import msgspec

_HOUR_S = 3_600.0


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """Two absolute registers of one meter, kWh: what went in the positive and in the negative direction."""

    positive_kwh: float = 0.0
    negative_kwh: float = 0.0

    def after(self, power_kw: float, dt_s: float) -> "Register":
        """The registers after `dt_s` at that power."""
        energy_kwh = power_kw * dt_s / _HOUR_S
        return Register(
            positive_kwh=self.positive_kwh + max(0.0, energy_kwh),
            negative_kwh=self.negative_kwh + max(0.0, -energy_kwh),
        )
