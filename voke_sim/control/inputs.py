"""From the orders in force to the plant's inputs: the one place where precedence is decided.

Interpretation, from strong to weak:
1. Emergency. STOP: batteries and PV to zero. HOLD: both frozen at their power of that moment. STOP beats
   HOLD.
2. A setpoint of EMERGENCY or HIGH priority: it uses every device, orders to single devices wait under it.
3. Orders to single devices and setpoints of NORMAL priority (schedule slots among them): whichever is newer
   has the device (`commands` removes the older one); the devices left over follow the setpoint.
4. The operating mode.
The site's constraints stand around all of it but STOP.
"""

import math

from vcp import Constraints, EmergencyType
from voke_sim.config import SiteConfig
from voke_sim.control.modes import law_of
from voke_sim.physics.allocation import Band
from voke_sim.physics.battery import SocLimits, Window
from voke_sim.physics.plant import PlantInputs
from voke_sim.state import EmergencyState, EnergyCount, Setpoint, SiteState

_HOUR_S = 3_600.0
_ZERO = Window(low_kw=0.0, high_kw=0.0)


def plant_inputs(
    *,
    site: SiteConfig,
    state: SiteState,
    setpoint: Setpoint | None,
    constraints: Constraints,
    broken: frozenset[str],
    dt_s: float,
) -> PlantInputs:
    """What the plant is asked to do for the next `dt_s` plant seconds; `setpoint` is the one in force."""
    limits = _limits(constraints, broken)
    if state.emergency is not None:
        return _emergency_inputs(site, state.emergency, limits)
    if setpoint is not None and setpoint.rank > 0:
        return _with_orders(limits, band=setpoint_band(setpoint, state.energy.get(setpoint.key), dt_s))
    if setpoint is not None:
        band: Band | None = setpoint_band(setpoint, state.energy.get(setpoint.key), dt_s)
    else:
        band = law_of(state.mode.mode, site).band
    return _with_orders(limits, band=band, state=state)


def setpoint_band(setpoint: Setpoint, count: EnergyCount | None, dt_s: float) -> Band:
    """A target as a band of no width. ENERGY asks for what is missing, evenly over what is left of
    the interval.
    """
    target_kw = setpoint.target_kw
    if setpoint.energy_kwh is not None and count is not None:
        left_s = max(dt_s, setpoint.interval_plant_s - count.elapsed_plant_s)
        target_kw = (setpoint.energy_kwh - count.moved_kwh) * _HOUR_S / left_s
    return Band(
        low_kw=target_kw,
        high_kw=target_kw,
        include_consumption=setpoint.include_consumption,
        may_curtail=True,
    )


def _limits(constraints: Constraints, broken: frozenset[str]) -> PlantInputs:
    charge, discharge = constraints.max_charge_kw, constraints.max_discharge_kw
    return PlantInputs(
        grid=Band(
            low_kw=None if constraints.max_export_kw is None else -constraints.max_export_kw,
            high_kw=constraints.max_import_kw,
            may_curtail=True,
        ),
        batteries_kw=Window(
            low_kw=-math.inf if discharge is None else -discharge,
            high_kw=math.inf if charge is None else charge,
        ),
        soc=SocLimits(
            low_pct=0.0 if constraints.soc_min_pct is None else constraints.soc_min_pct,
            high_pct=100.0 if constraints.soc_max_pct is None else constraints.soc_max_pct,
        ),
        broken=broken,
    )


def _emergency_inputs(site: SiteConfig, emergency: EmergencyState, limits: PlantInputs) -> PlantInputs:
    if emergency.kind is EmergencyType.STOP:
        return PlantInputs(
            battery_windows={battery.device_id: _ZERO for battery in site.batteries},
            pv_limits_kw={pv.device_id: 0.0 for pv in site.pv},
            soc=limits.soc,
            broken=limits.broken,
        )
    held = {name: Window(low_kw=power, high_kw=power) for name, power in emergency.batteries_kw.items()}
    return PlantInputs(
        grid=limits.grid,
        batteries_kw=limits.batteries_kw,
        battery_windows=held,
        pv_limits_kw=dict(emergency.pv_kw),
        soc=limits.soc,
        broken=limits.broken,
    )


def _with_orders(limits: PlantInputs, *, band: Band | None, state: SiteState | None = None) -> PlantInputs:
    orders = state.device_orders.values() if state is not None else ()
    return PlantInputs(
        band=band,
        grid=limits.grid,
        batteries_kw=limits.batteries_kw,
        battery_windows={
            order.device_id: Window(low_kw=order.low_kw, high_kw=order.high_kw)
            for order in orders
            if order.low_kw is not None and order.high_kw is not None
        },
        pv_limits_kw={order.device_id: order.ceiling_kw for order in orders if order.ceiling_kw is not None},
        soc=limits.soc,
        broken=limits.broken,
    )
