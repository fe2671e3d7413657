"""A battery: energy in and out with losses, hard limits by its state of charge, a ramp, and a temperature."""

import msgspec

from voke_sim.config import BatteryConfig

_AMBIENT_C = 20.0
_COOLING_TIME_S = 3_600.0
_HEAT_C_PER_KWH_OF_LOSS = 40.0
_HOUR_S = 3_600.0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The powers that a battery may run at, kW; + = charging."""

    low_kw: float
    high_kw: float

    def clip(self, power_kw: float) -> float:
        """The allowed power nearest to `power_kw`."""
        return min(self.high_kw, max(self.low_kw, power_kw))


class SocLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The states of charge that a battery is kept within, percent."""

    low_pct: float = 0.0
    high_pct: float = 100.0


class BatteryState(msgspec.Struct, frozen=True, kw_only=True):
    """A battery at one moment; + power = charging."""

    power_kw: float = 0.0
    soc_pct: float
    temperature_c: float = _AMBIENT_C


def possible_window(battery: BatteryConfig, state: BatteryState, limits: SocLimits, dt_s: float) -> Window:
    """What the battery can take and give for `dt_s` without leaving its SoC limits.

    A battery that is outside already (limits were narrowed) only moves inwards, and is not forced to.
    """
    highest = min(battery.soc_max_pct, limits.high_pct)
    lowest = max(battery.soc_min_pct, limits.low_pct)
    hours = dt_s / _HOUR_S
    room_kwh = max(0.0, highest - state.soc_pct) / 100.0 * battery.capacity_kwh
    store_kwh = max(0.0, state.soc_pct - lowest) / 100.0 * battery.capacity_kwh
    return Window(
        low_kw=-min(battery.max_discharge_kw, store_kwh * battery.discharge_efficiency / hours),
        high_kw=min(battery.max_charge_kw, room_kwh / battery.charge_efficiency / hours),
    )


def next_battery(
    battery: BatteryConfig, state: BatteryState, *, target_kw: float, possible: Window, dt_s: float
) -> BatteryState:
    """The battery `dt_s` later: its power ramps towards the target, then energy and heat follow from it.

    What is physically impossible wins over the ramp: an empty battery stops at once.
    """
    ramp = max(battery.max_charge_kw, battery.max_discharge_kw) * battery.ramp_pct_per_s / 100.0 * dt_s
    wanted = max(state.power_kw - ramp, min(state.power_kw + ramp, target_kw))
    power_kw = possible.clip(wanted)
    flow_kwh = power_kw * dt_s / _HOUR_S
    if flow_kwh > 0:
        stored_kwh = flow_kwh * battery.charge_efficiency
    else:
        stored_kwh = flow_kwh / battery.discharge_efficiency
    loss_kwh = abs(flow_kwh - stored_kwh)
    soc_pct = state.soc_pct + 100.0 * stored_kwh / battery.capacity_kwh
    heat_c = loss_kwh * _HEAT_C_PER_KWH_OF_LOSS / max(1.0, battery.capacity_kwh / 10.0)
    cooling_c = (state.temperature_c - _AMBIENT_C) * min(1.0, dt_s / _COOLING_TIME_S)
    return BatteryState(
        power_kw=power_kw,
        soc_pct=min(100.0, max(0.0, soc_pct)),
        temperature_c=state.temperature_c + heat_c - cooling_c,
    )


def available_kwh(battery: BatteryConfig, state: BatteryState, limits: SocLimits) -> float:
    """Energy that may still be taken out down to the lowest allowed state of charge, before losses."""
    lowest = max(battery.soc_min_pct, limits.low_pct)
    return max(0.0, state.soc_pct - lowest) / 100.0 * battery.capacity_kwh
