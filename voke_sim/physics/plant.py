"""One plant's step: weather and load move, the local controller answers, devices ramp, meters count.

`step` is pure: the same state, inputs, time step and random numbers give the same next state.
`rng_for_step` makes the random numbers of the n-th step from the seed alone, so that a trajectory does not
depend on restarts.
"""

import hashlib
import random
from collections.abc import Mapping

import msgspec

from voke_sim.config import SiteConfig
from voke_sim.physics import load as load_model
from voke_sim.physics import pv as pv_model
from voke_sim.physics.allocation import Band, allocate, share_out
from voke_sim.physics.battery import BatteryState, SocLimits, Window, next_battery, possible_window
from voke_sim.physics.meter import Register

NO_LIMIT = Band(may_curtail=True)
_NOTHING = Window(low_kw=0.0, high_kw=0.0)


class PlantInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the plant is asked to do during one step; the default asks nothing: batteries idle, PV free."""

    band: Band | None = None
    grid: Band = NO_LIMIT
    """The site's import and export limits."""
    battery_windows: Mapping[str, Window] = {}
    """Batteries that got an order of their own (equal bounds = a fixed power)."""
    batteries_kw: Window | None = None
    """Limits of all batteries together."""
    pv_limits_kw: Mapping[str, float] = {}
    soc: SocLimits = SocLimits()
    broken: frozenset[str] = frozenset()
    """Devices that give and take nothing."""


class PlantState(msgspec.Struct, frozen=True, kw_only=True):
    """A plant at one moment of its own time. Dicts are keyed by device id."""

    time_s: float
    """Plant seconds since the midnight before the first step."""
    steps: int = 0
    clearness: float
    noise: float = 0.0
    load_kw: float
    grid_kw: float
    pv_kw: dict[str, float]
    pv_available_kw: dict[str, float]
    batteries: dict[str, BatteryState]
    grid_register: Register = Register()
    pv_registers: dict[str, Register]
    battery_registers: dict[str, Register]

    @property
    def pv_total_kw(self) -> float:
        return sum(self.pv_kw.values())

    @property
    def battery_total_kw(self) -> float:
        return sum(battery.power_kw for battery in self.batteries.values())

    def measured_kw(self, *, include_consumption: bool) -> float:
        """The power that a site target is measured by: the grid's, or battery minus PV."""
        return self.grid_kw if include_consumption else self.battery_total_kw - self.pv_total_kw


def initial_state(site: SiteConfig) -> PlantState:
    """The plant at its first moment: batteries idle, PV at what the sun gives, registers at zero."""
    time_s = site.weather.start_hour * 3_600.0
    clearness = site.weather.mean_clearness
    sun = pv_model.sun_share(site.weather, time_s)
    pv_kw = {pv.device_id: pv_model.available_kw(pv, sun, clearness) for pv in site.pv}
    load = load_model.load_kw(site.load, time_s, 0.0)
    return PlantState(
        time_s=time_s,
        clearness=clearness,
        load_kw=load,
        grid_kw=load - sum(pv_kw.values()),
        pv_kw=pv_kw,
        pv_available_kw=dict(pv_kw),
        batteries={battery.device_id: BatteryState(soc_pct=battery.soc_pct) for battery in site.batteries},
        pv_registers={pv.device_id: Register() for pv in site.pv},
        battery_registers={battery.device_id: Register() for battery in site.batteries},
    )


def rng_for_step(seed: int, site_id: str, steps: int) -> random.Random:
    """The random numbers of one step of one site."""
    digest = hashlib.blake2b(f"{seed}/{site_id}/{steps}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest))  # noqa: S311 - weather, not secrets


def step(
    site: SiteConfig, state: PlantState, inputs: PlantInputs, dt_s: float, rng: random.Random
) -> PlantState:
    """The plant `dt_s` plant seconds later."""
    time_s = state.time_s + dt_s
    clearness = pv_model.next_clearness(site.weather, state.clearness, dt_s, rng)
    noise = load_model.next_noise(state.noise, dt_s, rng)
    load_kw = load_model.load_kw(site.load, time_s, noise)
    sun = pv_model.sun_share(site.weather, time_s)
    available = {pv.device_id: pv_model.available_kw(pv, sun, clearness) for pv in site.pv}
    allowed = {
        name: 0.0 if name in inputs.broken else min(power, inputs.pv_limits_kw.get(name, power))
        for name, power in available.items()
    }
    physical = _physical_windows(site, state, inputs, dt_s)
    ordered = _ordered_windows(physical, inputs)
    possible = _scaled(physical, inputs.batteries_kw)
    asked = allocate(
        load_kw=load_kw,
        pv_kw=sum(allowed.values()),
        idle_kw=sum(window.clip(0.0) for window in ordered.values()),
        ordered=_together(ordered),
        possible=_together(possible),
        band=inputs.band,
        grid=inputs.grid,
    )
    targets = share_out(asked.battery_kw, ordered=ordered, possible=possible)
    batteries = _next_batteries(site, state, targets, physical, dt_s)
    pv_kw = _next_pv(site, state, available, allowed, asked.pv_kw, dt_s)
    grid_kw = load_kw - sum(pv_kw.values()) + sum(battery.power_kw for battery in batteries.values())
    return PlantState(
        time_s=time_s,
        steps=state.steps + 1,
        clearness=clearness,
        noise=noise,
        load_kw=load_kw,
        grid_kw=grid_kw,
        pv_kw=pv_kw,
        pv_available_kw=available,
        batteries=batteries,
        grid_register=state.grid_register.after(grid_kw, dt_s),
        pv_registers={name: state.pv_registers[name].after(power, dt_s) for name, power in pv_kw.items()},
        battery_registers={
            name: state.battery_registers[name].after(battery.power_kw, dt_s)
            for name, battery in batteries.items()
        },
    )


def _physical_windows(
    site: SiteConfig, state: PlantState, inputs: PlantInputs, dt_s: float
) -> dict[str, Window]:
    """What each battery may do in this step by itself and its SoC limits."""
    return {
        battery.device_id: _NOTHING
        if battery.device_id in inputs.broken
        else possible_window(battery, state.batteries[battery.device_id], inputs.soc, dt_s)
        for battery in site.batteries
    }


def _ordered_windows(physical: Mapping[str, Window], inputs: PlantInputs) -> dict[str, Window]:
    """What each battery was told to do, within what it may.

    The limits of all batteries together go first to those with a fixed power; the others share what is left.
    """
    left, fixed, free = inputs.batteries_kw, dict[str, Window](), dict[str, Window]()
    for name, possible in physical.items():
        order = inputs.battery_windows.get(name, possible)
        window = Window(low_kw=possible.clip(order.low_kw), high_kw=possible.clip(order.high_kw))
        if name not in inputs.battery_windows or order.low_kw != order.high_kw:
            free[name] = window
        elif left is None:
            fixed[name] = window
        else:
            power_kw = left.clip(window.low_kw)
            fixed[name] = Window(low_kw=power_kw, high_kw=power_kw)
            left = Window(
                low_kw=min(0.0, left.low_kw - min(0.0, power_kw)),
                high_kw=max(0.0, left.high_kw - max(0.0, power_kw)),
            )
    return {**fixed, **_scaled(free, left)}


def _together(windows: Mapping[str, Window]) -> Window:
    return Window(
        low_kw=sum(window.low_kw for window in windows.values()),
        high_kw=sum(window.high_kw for window in windows.values()),
    )


def _scaled(windows: dict[str, Window], limit: Window | None) -> dict[str, Window]:
    """Windows narrowed in equal parts until their sums respect the limits of all batteries together."""
    if limit is None:
        return windows
    high_kw = sum(window.high_kw for window in windows.values())
    low_kw = sum(window.low_kw for window in windows.values())
    up = min(1.0, limit.high_kw / high_kw) if high_kw > 0 else 1.0
    down = min(1.0, limit.low_kw / low_kw) if low_kw < 0 else 1.0
    return {
        name: Window(low_kw=window.low_kw * down, high_kw=window.high_kw * up)
        for name, window in windows.items()
    }


def _next_batteries(
    site: SiteConfig,
    state: PlantState,
    targets: Mapping[str, float],
    physical: Mapping[str, Window],
    dt_s: float,
) -> dict[str, BatteryState]:
    return {
        battery.device_id: next_battery(
            battery,
            state.batteries[battery.device_id],
            target_kw=targets[battery.device_id],
            possible=physical[battery.device_id],
            dt_s=dt_s,
        )
        for battery in site.batteries
    }


def _next_pv(
    site: SiteConfig,
    state: PlantState,
    available: Mapping[str, float],
    allowed: Mapping[str, float],
    total_kw: float,
    dt_s: float,
) -> dict[str, float]:
    """Every inverter gives the same part of what it is allowed to."""
    all_kw = sum(allowed.values())
    part = min(1.0, total_kw / all_kw) if all_kw > 0 else 0.0
    return {
        pv.device_id: pv_model.next_power_kw(
            pv,
            state.pv_kw[pv.device_id],
            available=available[pv.device_id],
            wanted=allowed[pv.device_id] * part,
            dt_s=dt_s,
        )
        for pv in site.pv
    }
