"""Plants as pure numbers: reproducible, bounded, balanced."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voke_sim.harness import Partner, site_documents
from voke_sim.config import BatteryConfig, LoadConfig, LoadProfile, PvConfig, SiteConfig, WeatherConfig
from voke_sim.physics.allocation import Band, allocate, share_out
from voke_sim.physics.battery import (
    BatteryState,
    SocLimits,
    Window,
    available_kwh,
    next_battery,
    possible_window,
)
from voke_sim.physics.load import load_kw
from voke_sim.physics.meter import Register
from voke_sim.physics.plant import PlantInputs, PlantState, initial_state, rng_for_step, step
from voke_sim.physics.pv import next_clearness, next_power_kw, sun_share

BATTERY = BatteryConfig(device_id="B1", capacity_kwh=100, max_charge_kw=50, max_discharge_kw=40)
NO_LIMITS = SocLimits()


def depot(**changes: Any) -> SiteConfig:
    return msgspec.convert({**site_documents()[0], **changes}, SiteConfig)


def trajectory(
    site: SiteConfig, inputs: PlantInputs, *, seed: int, steps: int, dt_s: float = 1.0
) -> PlantState:
    state = initial_state(site)
    for _ in range(steps):
        state = step(site, state, inputs, dt_s, rng_for_step(seed, site.site_id, state.steps))
    return state


CLOUDY = {"weather": {"cloud_noise": 0.2, "start_hour": 11.0}, "load": {"mean_kw": 20, "noise_pct": 5}}


def test_the_same_seed_and_inputs_give_the_same_trajectory_and_another_seed_another_one() -> None:
    site = depot(**CLOUDY)
    inputs = PlantInputs(band=Band(low_kw=-10, high_kw=-10, may_curtail=True))

    first = trajectory(site, inputs, seed=1, steps=500)
    assert first == trajectory(site, inputs, seed=1, steps=500)
    assert first.clearness != trajectory(site, inputs, seed=2, steps=500).clearness


def test_a_step_changes_nothing_of_the_state_it_was_given() -> None:
    site = depot(**CLOUDY)
    state = initial_state(site)
    before = msgspec.json.encode(state)
    step(site, state, PlantInputs(), 1.0, random.Random(1))

    assert msgspec.json.encode(state) == before


def test_a_trajectory_does_not_depend_on_the_rhythm_of_the_ticks() -> None:
    def run(every_s: float) -> PlantState:
        partner = Partner(sites=[{**site_documents()[0], **CLOUDY}], factor=60)
        partner.run(30, every_s=every_s)
        return partner.site().plant

    assert run(0.5) == run(1.5) == run(30)


def test_a_trajectory_does_not_depend_on_restarts(tmp_path: object) -> None:
    def run(journal: str, *, restart: bool) -> PlantState:
        partner = Partner(sites=[{**site_documents()[0], **CLOUDY}], factor=60, journal_path=journal)
        partner.run(20)
        if restart:
            partner.engine.finish(partner.at)
            partner.restart()
            partner.tick()
        partner.run(20)
        return partner.site().plant

    assert run(f"{tmp_path}/a", restart=True) == run(f"{tmp_path}/b", restart=False)


def test_the_sun_is_down_at_midnight_highest_at_noon_and_higher_in_summer() -> None:
    summer, winter = WeatherConfig(start_day_of_year=172), WeatherConfig(start_day_of_year=355)
    hours = [sun_share(summer, hour * 3600.0) for hour in range(24)]

    assert hours[0] == 0
    assert max(hours) == hours[12]
    assert hours[12] > 2 * sun_share(winter, 12 * 3600.0) > 0


def test_the_sky_stays_within_its_bounds_and_returns_to_its_mean() -> None:
    weather, rng = WeatherConfig(mean_clearness=0.6, cloud_noise=0.3), random.Random(3)
    clearness, seen = 0.1, []
    for _ in range(20_000):
        clearness = next_clearness(weather, clearness, 10.0, rng)
        seen.append(clearness)

    assert 0.1 <= min(seen) <= max(seen) <= 1.0
    assert sum(seen) / len(seen) == pytest.approx(0.6, abs=0.08)


def test_an_inverter_ramps_up_but_follows_the_sun_down_at_once() -> None:
    pv = PvConfig(device_id="PV1", peak_kw=100, ramp_pct_per_s=10)

    assert next_power_kw(pv, 0, available=80, wanted=80, dt_s=1) == 10
    assert next_power_kw(pv, 80, available=80, wanted=20, dt_s=1) == 70
    assert next_power_kw(pv, 80, available=15, wanted=80, dt_s=1) == 15


@pytest.mark.parametrize("profile", list(LoadProfile))
def test_every_load_profile_has_its_mean_over_the_day(profile: LoadProfile) -> None:
    load = LoadConfig(mean_kw=20, profile=profile)
    values = [load_kw(load, minute * 60.0, 0.0) for minute in range(24 * 60)]

    assert sum(values) / len(values) == pytest.approx(20, rel=0.01)
    assert min(values) > 0


def test_charging_stores_less_and_discharging_takes_more_than_flows() -> None:
    battery = BatteryConfig(
        device_id="B1",
        capacity_kwh=100,
        max_charge_kw=50,
        max_discharge_kw=50,
        charge_efficiency=0.9,
        discharge_efficiency=0.8,
        ramp_pct_per_s=100,
    )

    def after_an_hour(target_kw: float) -> float:
        state = BatteryState(soc_pct=50)
        for _ in range(3600):
            possible = possible_window(battery, state, NO_LIMITS, 1.0)
            state = next_battery(battery, state, target_kw=target_kw, possible=possible, dt_s=1.0)
        return state.soc_pct

    assert after_an_hour(20) == pytest.approx(50 + 20 * 0.9)
    assert after_an_hour(-20) == pytest.approx(50 - 20 / 0.8)


def test_a_battery_ramps_towards_its_target() -> None:
    state = next_battery(
        BATTERY, BatteryState(soc_pct=50), target_kw=50, possible=Window(low_kw=-40, high_kw=50), dt_s=1.0
    )

    assert state.power_kw == 5  # 10 % of 50 kW per second


def test_losses_warm_a_battery_and_rest_cools_it() -> None:
    state = BatteryState(soc_pct=20)
    for _ in range(1800):
        possible = possible_window(BATTERY, state, NO_LIMITS, 1.0)
        state = next_battery(BATTERY, state, target_kw=50, possible=possible, dt_s=1.0)
    warm = state.temperature_c
    for _ in range(3600):
        state = next_battery(BATTERY, state, target_kw=0, possible=possible, dt_s=1.0)

    assert warm > 20.5 > 20 < state.temperature_c < warm


@given(
    targets=st.lists(st.floats(min_value=-200, max_value=200), min_size=1, max_size=60),
    soc_pct=st.floats(min_value=5, max_value=100),
    dt_s=st.sampled_from([1.0, 60.0]),
)
def test_whatever_it_is_told_a_battery_stays_within_soc_and_power(
    targets: list[float], soc_pct: float, dt_s: float
) -> None:
    limits = SocLimits(low_pct=10, high_pct=90)
    state = BatteryState(soc_pct=soc_pct)
    for target in targets * 20:
        possible = possible_window(BATTERY, state, limits, dt_s)
        before = state.soc_pct
        state = next_battery(BATTERY, state, target_kw=target, possible=possible, dt_s=dt_s)
        assert -40 <= state.power_kw <= 50
        assert min(before, 10) - 1e-9 <= state.soc_pct <= max(before, 90) + 1e-9


def test_available_energy_counts_down_to_the_lowest_allowed_charge() -> None:
    state = BatteryState(soc_pct=50)

    assert available_kwh(BATTERY, state, NO_LIMITS) == 45
    assert available_kwh(BATTERY, state, SocLimits(low_pct=20)) == 30


@given(powers=st.lists(st.floats(min_value=-1e4, max_value=1e4), max_size=50))
def test_registers_only_grow(powers: list[float]) -> None:
    register = Register()
    for power in powers:
        after = register.after(power, 1.0)
        assert after.positive_kwh >= register.positive_kwh
        assert after.negative_kwh >= register.negative_kwh
        register = after


numbers = st.floats(min_value=0, max_value=100)


@given(load=numbers, pv=numbers, charge=numbers, discharge=numbers, target=st.floats(-150, 150))
def test_a_target_is_met_exactly_wherever_batteries_and_curtailment_reach(
    load: float, pv: float, charge: float, discharge: float, target: float
) -> None:
    window = Window(low_kw=-discharge, high_kw=charge)
    asked = allocate(
        load_kw=load,
        pv_kw=pv,
        idle_kw=0.0,
        ordered=window,
        possible=window,
        band=Band(low_kw=target, high_kw=target, may_curtail=True),
        grid=Band(),
    )
    grid = load - asked.pv_kw + asked.battery_kw

    assert -discharge - 1e-9 <= asked.battery_kw <= charge + 1e-9
    assert -1e-9 <= asked.pv_kw <= pv + 1e-9
    lowest, highest = load - pv - discharge, load + charge
    assert grid == pytest.approx(min(highest, max(lowest, target)), abs=1e-6)


@given(load=numbers, pv=numbers, charge=numbers, target=st.floats(-150, 150), limit=numbers)
def test_the_export_limit_holds_whatever_the_order_says(
    load: float, pv: float, charge: float, target: float, limit: float
) -> None:
    window = Window(low_kw=-50, high_kw=charge)
    asked = allocate(
        load_kw=load,
        pv_kw=pv,
        idle_kw=0.0,
        ordered=window,
        possible=window,
        band=Band(low_kw=target, high_kw=target),
        grid=Band(low_kw=-limit, may_curtail=True),
    )

    assert load - asked.pv_kw + asked.battery_kw >= -limit - 1e-6


@given(
    total=st.floats(min_value=-80, max_value=80),
    highs=st.lists(numbers, min_size=1, max_size=4),
    lows=st.lists(numbers, min_size=4, max_size=4),
)
def test_shares_add_up_and_respect_each_battery(total: float, highs: list[float], lows: list[float]) -> None:
    windows = {
        f"B{index}": Window(low_kw=-low, high_kw=high)
        for index, (high, low) in enumerate(zip(highs, lows, strict=False))
    }
    shares = share_out(total, ordered=windows, possible=windows)

    reachable = min(sum(highs), max(-sum(lows[: len(highs)]), total))
    assert sum(shares.values()) == pytest.approx(reachable, abs=1e-6)
    for name, window in windows.items():
        assert window.low_kw - 1e-9 <= shares[name] <= window.high_kw + 1e-9


@settings(max_examples=30)
@given(
    low=st.one_of(st.none(), st.floats(-100, 100)),
    width=st.floats(0, 50),
    seed=st.integers(0, 1000),
    consumption=st.booleans(),
)
def test_power_is_conserved_in_every_step(
    low: float | None, width: float, seed: int, consumption: bool
) -> None:
    site = depot(**CLOUDY)
    high = None if low is None else low + width
    inputs = PlantInputs(
        band=Band(low_kw=low, high_kw=high, include_consumption=consumption, may_curtail=True)
    )
    state = initial_state(site)
    for _ in range(40):
        state = step(site, state, inputs, 1.0, rng_for_step(seed, site.site_id, state.steps))
        assert state.load_kw == pytest.approx(state.grid_kw + state.pv_total_kw - state.battery_total_kw)
        assert all(0 <= state.pv_kw[name] <= state.pv_available_kw[name] + 1e-9 for name in state.pv_kw)


def test_the_limits_of_all_batteries_go_first_to_those_with_an_order_of_their_own() -> None:
    site = depot()
    inputs = PlantInputs(
        battery_windows={"B1": Window(low_kw=45, high_kw=45)},
        batteries_kw=Window(low_kw=-30, high_kw=30),
    )
    state = trajectory(site, inputs, seed=1, steps=30)

    assert state.batteries["B1"].power_kw == pytest.approx(30)
    assert state.batteries["B2"].power_kw == pytest.approx(0)


def test_a_battery_without_an_order_stays_idle_beside_one_that_charges() -> None:
    inputs = PlantInputs(battery_windows={"B1": Window(low_kw=25, high_kw=25)})
    state = trajectory(depot(), inputs, seed=1, steps=30)

    assert (state.batteries["B1"].power_kw, state.batteries["B2"].power_kw) == (pytest.approx(25), 0)


def test_a_machine_that_slept_for_a_week_skips_plant_time_instead_of_freezing() -> None:
    partner = Partner(factor=60)
    before = partner.site().plant.steps
    partner.tick(7 * 86_400)

    assert partner.site().plant.steps - before == 5_000


def test_a_clock_that_jumps_back_does_not_turn_the_plant_back() -> None:
    partner = Partner()
    partner.run(5)
    before = partner.site().plant
    partner.tick(-3)

    assert partner.site().plant.time_s == before.time_s
    assert partner.site().plant.grid_register == before.grid_register
