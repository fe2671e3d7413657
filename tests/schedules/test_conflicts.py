"""What stands against a plan: which slot, which limit, by how much, and what would fit."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plants.time_config import Block
from schedules.conflicts import (
    Around,
    Code,
    PlanFacts,
    Severity,
    blocks_publication,
    check_plan,
    expected_soc,
)
from schedules.slots import Span, grid_of_day
from tests.schedules.plans import DAY, ZONE, at, slot
from vcp import SetpointType

FACTS = PlanFacts(
    zone=ZONE, slot_minutes=15, max_import_kw=100, max_export_kw=50, max_charge_kw=40, max_discharge_kw=30,
    battery_kw=40, has_load=False, capacity_kwh=80, soc_min_pct=10, soc_max_pct=90,
)  # fmt: skip
AROUND = Around(at=at("00:00") - timedelta(hours=12), soc_pct=50)


def check(*slots, facts=FACTS, **around):
    return check_plan(slots, day=DAY, facts=facts, around=replace(AROUND, **around))


def test_nothing_stands_against_a_plan_within_all_limits():
    assert check(slot("10:00", 20), slot("10:15", 20, "EXPORT")) == []


def test_a_power_over_the_grid_limit_names_limit_excess_and_what_fits():
    (problem,) = check(
        slot("10:00", 120), facts=replace(FACTS, max_charge_kw=None, battery_kw=None, capacity_kwh=0)
    )

    assert (problem.slot, problem.code, problem.severity) == (0, Code.SITE_LIMIT, Severity.ERROR)
    assert (problem.limit, problem.over_by, problem.nearest, problem.unit) == (100, 20, 100, "kW")


def test_an_energy_slot_is_told_in_its_own_unit():
    (problem,) = check(
        slot("10:00", 30, type=SetpointType.ENERGY),
        facts=replace(FACTS, max_charge_kw=None, battery_kw=None, capacity_kwh=0),
    )

    assert (problem.limit, problem.over_by, problem.nearest, problem.unit) == (25, 5, 25, "kWh")


def test_the_tightest_of_block_plant_and_rating_is_named():
    block = Block(
        start_minute=0, end_minute=1440, p_bat_min_kw=-10, p_bat_max_kw=15, soc_min_pct=0, soc_max_pct=100
    )

    (by_plant,) = check(slot("10:00", 35, "EXPORT"))
    (by_rating,) = check(slot("10:00", 45), facts=replace(FACTS, max_charge_kw=None))
    (by_block,) = check(slot("10:00", 20), facts=replace(FACTS, blocks=[block]))

    assert (by_plant.code, by_plant.nearest) == (Code.PLANT_LIMIT, 30)
    assert (by_rating.code, by_rating.nearest) == (Code.ASSET_RATING, 40)
    assert (by_block.code, by_block.nearest, by_block.severity) == (Code.TIME_CONFIG, 15, Severity.ERROR)


def test_only_the_blocks_that_the_slot_touches_limit_it():
    morning = Block(
        start_minute=0, end_minute=600, p_bat_min_kw=0, p_bat_max_kw=5, soc_min_pct=0, soc_max_pct=100
    )

    assert check(slot("10:00", 20), facts=replace(FACTS, blocks=[morning])) == []
    assert [one.code for one in check(slot("09:45", 20), facts=replace(FACTS, blocks=[morning]))] == [
        Code.TIME_CONFIG
    ]


def test_sun_may_carry_an_export_so_that_it_is_a_warning_only():
    with_sun = replace(FACTS, pv_kw=10)

    (doubt,) = [
        one for one in check(slot("10:00", 35, "EXPORT"), facts=with_sun) if one.code is Code.PLANT_LIMIT
    ]
    (sure,) = [
        one for one in check(slot("10:00", 45, "EXPORT"), facts=with_sun) if one.code is Code.PLANT_LIMIT
    ]

    assert (doubt.severity, doubt.nearest) == (Severity.WARNING, 30)
    assert (sure.severity, sure.nearest) == (Severity.ERROR, 40)


def test_consumption_may_carry_any_import_from_the_grid():
    (problem,) = check(slot("10:00", 60), facts=replace(FACTS, has_load=True, capacity_kwh=0))

    assert (problem.code, problem.severity) == (Code.PLANT_LIMIT, Severity.WARNING)


def test_the_expected_charge_runs_along_the_plan():
    slots = [slot("10:00", 32), slot("10:15", 16, "EXPORT"), slot("12:00", 32)]

    assert expected_soc(slots, day=DAY, facts=FACTS, soc_pct=50) == [(60, 0), (55, 0), (65, 0)]


def test_a_battery_that_will_be_full_is_told_with_what_would_fit():
    charging = [slot(f"1{hour}:{quarter:02d}", 32) for hour in range(2) for quarter in (0, 15, 30, 45)]

    problems = check(*charging)

    assert [(one.slot, one.code) for one in problems] == [(index, Code.SOC_WINDOW) for index in range(4, 8)]
    assert problems[0].limit == pytest.approx(90)
    assert problems[0].nearest == pytest.approx(0)
    assert problems[0].severity is Severity.ERROR


def test_an_unknown_charge_makes_doubts_of_it():
    problems = check(*[slot(f"10:{quarter:02d}", 40) for quarter in (0, 15, 30, 45)], soc_pct=None)

    assert [(one.slot, one.code, one.severity) for one in problems] == [
        (3, Code.SOC_WINDOW, Severity.WARNING)
    ]
    assert "50 % assumed" in problems[0].text


def test_a_battery_beyond_its_window_may_come_back_but_not_go_further():
    assert expected_soc([slot("10:00", 16, "EXPORT")], day=DAY, facts=FACTS, soc_pct=95) == [(90, 0)]
    ((pct, beyond),) = expected_soc([slot("10:00", 16)], day=DAY, facts=FACTS, soc_pct=95)
    assert (pct, beyond) == (95, pytest.approx(5))


def test_slots_that_are_not_the_days_are_refused():
    codes = [
        check(slot("10:05", 5))[0].code,
        check(slot("10:00", 5, minutes=30))[0].code,
        check(replace(slot("10:00", 5), start_at=at("00:00") - timedelta(minutes=15), end_at=at("00:00")))[
            0
        ].code,
        check(slot("10:00", 5), slot("10:00", 6))[0].code,
    ]

    assert codes == [Code.NOT_ON_GRID, Code.NOT_ON_GRID, Code.OUTSIDE_DAY, Code.OVERLAP]


def test_what_is_over_is_said_and_a_plan_that_is_all_over_is_refused():
    two = (slot("10:00", 5), slot("12:00", 5))

    (past,) = check(*two, at=at("11:00"))
    everything = check(*two, at=at("13:00"))

    assert (past.slot, past.code, past.severity) == (0, Code.PAST, Severity.WARNING)
    assert blocks_publication(everything) and not blocks_publication([past])


def test_other_plans_overrides_and_an_emergency_are_named():
    span = Span(start_at=at("10:00"), end_at=at("11:00"))

    problems = check(slot("10:00", 5), other_plans=[("the plan of 3 January", span)], latch="STOP")
    (override,) = check(slot("10:15", 5), overrides=[("the override of Eva", span)])

    assert [(one.code, one.severity) for one in problems] == [
        (Code.LATCH, Severity.WARNING),
        (Code.OTHER_PLAN, Severity.ERROR),
    ]
    assert override.text == "the override of Eva has 10:00-11:00"


def test_what_of_the_day_is_over_does_not_charge_the_battery_once_more():
    charged = [slot(f"0{hour}:00", 32) for hour in range(1, 7)]

    assert check(*charged, slot("12:00", 32), at=at("11:00"), soc_pct=80)[6:] == []
    (late,) = check(*charged, slot("12:00", 36), slot("12:15", 36), at=at("11:00"), soc_pct=72)[6:]
    assert (late.slot, late.code) == (7, Code.SOC_WINDOW)


def test_of_the_slot_that_runs_only_the_rest_is_expected():
    # Ten minutes at 36 kW are 6 kWh: 7.5 % of 80 kWh.
    assert check(slot("10:00", 36), at=at("10:05"), soc_pct=82) == []
    (problem,) = check(slot("10:00", 36), at=at("10:05"), soc_pct=85)

    assert problem.nearest == pytest.approx(24)
    assert (problem.unit, problem.nearest_unit) == ("%", "kW")


def test_the_energy_of_a_slot_that_runs_is_told_for_the_whole_of_it():
    energy = slot("10:00", 9, type=SetpointType.ENERGY)

    (problem,) = check(energy, at=at("10:05"), soc_pct=85)

    # 6 of 9 kWh are left, 4 kWh fit: so many are left of 6.
    assert (problem.nearest, problem.nearest_unit) == (pytest.approx(6), "kWh")


def test_a_day_of_25_hours_charges_for_25_hours():
    day = date(2026, 10, 25)
    spans = grid_of_day(day, zone=ZONE, minutes=60)
    slots = [replace(slot("10:00", 1), start_at=span.start_at, end_at=span.end_at) for span in spans]
    facts = replace(FACTS, slot_minutes=60, capacity_kwh=100)

    assert expected_soc(slots, day=day, facts=facts, soc_pct=20)[-1] == (pytest.approx(45), 0)


def test_what_fits_is_rounded_so_that_it_fits_when_it_is_typed():
    facts = replace(FACTS, slot_minutes=20, max_import_kw=50, capacity_kwh=0)
    too_much = slot("10:00", 20, type=SetpointType.ENERGY, minutes=20)

    found = check(too_much, facts=replace(facts, max_charge_kw=None, battery_kw=None))
    typed = replace(too_much, value=found[0].nearest)

    assert found[0].nearest == 16.66
    assert check(typed, facts=replace(facts, max_charge_kw=None, battery_kw=None)) == []


def test_sun_does_not_make_the_grid_connection_larger():
    problems = check(slot("10:00", 90, "EXPORT"), facts=replace(FACTS, pv_kw=40))

    assert [(one.code, one.nearest) for one in problems if one.severity is Severity.ERROR] == [
        (Code.SITE_LIMIT, 50),
        (Code.PLANT_LIMIT, 50),
    ]


def test_by_how_much_is_what_must_go():
    (problem,) = [
        one
        for one in check(slot("10:00", 45, "EXPORT"), facts=replace(FACTS, pv_kw=10))
        if one.code is Code.PLANT_LIMIT
    ]

    assert (problem.over_by, problem.nearest) == (5, 40)
    assert problem.text == "needs discharging at 35 kW or more; the plant allows 30 kW"


@given(
    kw=st.floats(0, 500),
    pv_kw=st.sampled_from([0.0, 7.5]),
    direction=st.sampled_from(["IMPORT", "EXPORT"]),
    kind=st.sampled_from(list(SetpointType)),
    minutes=st.sampled_from([5, 10, 15, 20, 60]),
    limits=st.tuples(*[st.floats(1, 200)] * 4),
    load=st.booleans(),
)
def test_the_lowest_value_that_is_told_to_fit_does(kw, pv_kw, direction, kind, minutes, limits, load):
    max_import_kw, max_export_kw, charge_kw, battery_kw = limits
    facts = replace(
        FACTS, slot_minutes=minutes, max_import_kw=max_import_kw, max_export_kw=max_export_kw, pv_kw=pv_kw,
        max_charge_kw=charge_kw, max_discharge_kw=charge_kw, battery_kw=battery_kw, has_load=load,
    )  # fmt: skip
    asked = slot("10:00", kw, direction, minutes=minutes, type=kind)

    told = [one.nearest for one in check(asked, facts=facts)]
    left = check(replace(asked, value=min(told)), facts=facts) if told else []

    # With sun what fits may still be a doubt.
    assert left == [] or (pv_kw and not blocks_publication(left))
