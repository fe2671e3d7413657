"""Energy of one meter from its registers: what is counted, what is judged, what is told about it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.models import RegisterEvent, RegisterKind
from metering.registers import (
    FULL_SCALES_KWH,
    HOUR_US,
    QUARTER_US,
    REGISTERS,
    LeapKind,
    MeterRules,
    Pair,
    Reading,
    Verdict,
    count_energy,
    judge,
)

DAY_US = 24 * HOUR_US
START_US = 1_772_000_100_000_000 // QUARTER_US * QUARTER_US
MINUTE_US = 60_000_000
RULES = MeterRules(tolerances=[(0, 185_000_000)], bridge_us=35 * DAY_US, power_kw=100.0)


def reading(minute: float, *values: float | None, rank: int = 3, role: str = "GRID") -> Reading:
    at_us = START_US + round(minute * MINUTE_US)
    return Reading(at_us, rank, role, (*values, *[None] * (len(REGISTERS) - len(values))))


def count(*readings: Reading, quarters: int = 1, first: int = 0, **changes):
    facts = {"rules": RULES} | changes
    low_us = START_US + first * QUARTER_US
    return count_energy(readings, low_us=low_us, high_us=low_us + quarters * QUARTER_US, **facts)


def energies(counted, register: int = 0) -> list[float | None]:
    """Of each quarter-hour from START on, up to the last that is known; None also where there is none."""
    last = max(counted.quarters, default=START_US - QUARTER_US)
    return [
        counted.quarters[start].energies_kwh[register] if start in counted.quarters else None
        for start in range(START_US, last + 1, QUARTER_US)
    ]


def each_minute(upto: int, *, kwh: float = 0.5) -> list[Reading]:
    return [reading(minute, 100 + kwh * minute) for minute in range(upto + 1)]


def test_registers_and_kinds_are_those_of_the_tables():
    assert list(REGISTERS) == RegisterKind.values
    assert [*LeapKind, "IGNORED"] == RegisterEvent.Kind.values


def test_a_quarter_hour_counts_what_the_register_grew_by():
    (quarter,) = count(*each_minute(15)).quarters.values()

    assert quarter.energies_kwh == (pytest.approx(7.5), None, None, None, None)
    assert (quarter.readings, quarter.covered_s, quarter.quality_rank) == (15, 900, 3)
    assert (quarter.role, quarter.estimated, quarter.events) == ("GRID", False, "")


def test_a_difference_over_a_boundary_is_spread_evenly_over_its_time():
    counted = count(reading(14, 10), reading(16, 14), quarters=2)

    assert energies(counted) == [pytest.approx(2), pytest.approx(2)]
    assert [one.covered_s for one in counted.quarters.values()] == [60, 60]


def test_energy_of_a_hole_counts_is_estimated_and_covers_nothing():
    counted = count(reading(0, 10), reading(45, 40), quarters=3)

    assert energies(counted) == [pytest.approx(10)] * 3
    assert [(one.estimated, one.covered_s, one.readings) for one in counted.quarters.values()] == [
        (True, 0, 1),
        (True, 0, 0),
        (True, 0, 0),
    ]


@pytest.mark.parametrize(("apart_s", "covered_s"), [(185, 185), (185.000001, 0)])
def test_a_hole_begins_beyond_the_tolerance(apart_s, covered_s):
    (quarter,) = count(reading(0, 10), reading(apart_s / 60, 11)).quarters.values()

    assert (quarter.covered_s, quarter.estimated) == (covered_s, covered_s == 0)


def test_the_tolerance_is_that_of_its_time():
    rules = MeterRules(
        tolerances=[(0, 185_000_000), (START_US + 10 * MINUTE_US, 400_000_000)],
        bridge_us=DAY_US,
        power_kw=100,
    )

    (quarter,) = count(
        reading(0, 1), reading(6, 2), reading(10, 3), reading(15, 4), rules=rules
    ).quarters.values()

    assert (quarter.covered_s, quarter.estimated) == (300, True)


def test_between_values_further_apart_than_the_bridge_nothing_is_counted():
    rules = MeterRules(tolerances=[(0, 185_000_000)], bridge_us=30 * MINUTE_US, power_kw=100)

    within = count(reading(0, 1), reading(30, 2), quarters=2, rules=rules)
    beyond = count(reading(0, 1), reading(30.001, 2), quarters=2, rules=rules)

    assert energies(within) == [pytest.approx(0.5), pytest.approx(0.5)]
    assert energies(beyond) == [None]


def test_a_register_that_some_readings_lack_goes_on_from_its_last_known_value():
    counted = count(reading(0, 10, 5), reading(5, 11), reading(10, 12, 7), reading(15, 13), quarters=1)

    assert energies(counted) == [pytest.approx(3)]
    assert energies(counted, register=1) == [pytest.approx(2)]
    assert counted.quarters[START_US].estimated  # ten minutes without the export register are a hole of it


def test_a_reading_that_tells_no_register_counts_for_nothing():
    with_it = count(reading(0, 10), reading(1, None, rank=0), reading(2, 11))

    assert with_it == count(reading(0, 10), reading(2, 11))


def test_quality_is_that_of_the_worst_reading_that_counts():
    counted = count(*each_minute(13), reading(14, 107, rank=2), reading(16, 108, rank=1), quarters=3)

    assert [one.quality_rank for one in counted.quarters.values()] == [1, 1]


def test_a_fall_by_one_step_of_the_last_digit_is_no_event_and_is_taken_back():
    counted = count(reading(0, 10), reading(1, 10.002), reading(2, 10.001), reading(3, 10.003))

    assert energies(counted) == [pytest.approx(0.003)]
    assert counted.leaps == []


def test_a_quarter_hour_of_nothing_but_such_a_fall_is_zero():
    counted = count(reading(0, 10), reading(1, 9.999))

    assert energies(counted) == [0]
    assert counted.leaps == []


@pytest.mark.parametrize(
    ("before_kwh", "after_kwh", "kind", "energy_kwh"),
    [
        (1000, 1002, None, 2),
        (1000, 1000, None, 0),
        (1000, 999.999, None, -0.001),
        (54_321, 0, LeapKind.RESET, 0),
        (54_321, 1.5, LeapKind.RESET, 1.5),
        (99_999.5, 0.5, LeapKind.ROLLOVER, 1),
        (999_999.999, 0, LeapKind.ROLLOVER, 0.001),
        (4_294_967.2, 0.1, LeapKind.ROLLOVER, 0.196),
        (99_999.5, 1.0e5 - 60, LeapKind.EXCHANGE, None),
        (54_321, 1234, LeapKind.EXCHANGE, None),
        (54_321, 54_320, LeapKind.EXCHANGE, None),
        (1000, 2000, LeapKind.EXCHANGE, None),
        (1000, -3, LeapKind.EXCHANGE, None),
    ],
)
def test_a_difference_is_judged_by_what_was_possible(before_kwh, after_kwh, kind, energy_kwh):
    verdict = judge(before_kwh=before_kwh, after_kwh=after_kwh, possible_kwh=40)

    assert verdict.kind == kind
    assert verdict.energy_kwh == (energy_kwh if energy_kwh is None else pytest.approx(energy_kwh, abs=1e-6))


@pytest.mark.parametrize("full_kwh", FULL_SCALES_KWH)
def test_a_register_that_runs_over_goes_on_counting(full_kwh):
    verdict = judge(before_kwh=full_kwh - 3, after_kwh=2, possible_kwh=40)

    assert verdict == (LeapKind.ROLLOVER, pytest.approx(5))


def test_a_long_hole_makes_no_rollover_of_a_register_far_from_its_end():
    verdict = judge(before_kwh=80_000, after_kwh=500, possible_kwh=24_000)

    assert verdict == (LeapKind.RESET, 500)


def test_what_a_leap_was_taken_for_is_told_with_the_quarter_hours_it_lies_in():
    counted = count(reading(13, 54_320), reading(14, 54_321), reading(16, 1), quarters=2)

    assert [(one.events, one.estimated) for one in counted.quarters.values()] == [("RESET", True)] * 2
    assert energies(counted) == [pytest.approx(1.5), pytest.approx(0.5)]
    pair = Pair("IMPORT", START_US + 14 * MINUTE_US, START_US + 16 * MINUTE_US, 54_321, 1)
    assert counted.leaps == [(pair, Verdict(LeapKind.RESET, 1))]


def test_an_exchange_is_not_counted_and_its_time_is_not_covered():
    counted = count(reading(0, 10, 5), reading(3, 11, 5), reading(5, 7000, 6), reading(8, 7001, 7))

    (quarter,) = counted.quarters.values()
    assert quarter.energies_kwh[:2] == (pytest.approx(2), pytest.approx(2))
    assert (quarter.covered_s, quarter.events, quarter.estimated) == (360, "EXCHANGE", False)


def test_a_quarter_hour_within_an_exchange_knows_no_energy():
    counted = count(reading(0, 10), reading(40, 70_000), quarters=3)

    assert energies(counted) == [None] * 3
    assert {one.events for one in counted.quarters.values()} == {"EXCHANGE"}


def test_what_a_person_decided_counts_instead_of_our_judgement():
    pair = Pair("IMPORT", START_US, START_US + 10 * MINUTE_US, 10, 70_000)

    counted = count(reading(0, 10), reading(10, 70_000), decided={pair: Verdict(LeapKind.EXCHANGE, 4.0)})

    assert energies(counted) == [pytest.approx(4)]
    assert counted.quarters[START_US].estimated
    assert counted.leaps == [(pair, Verdict(LeapKind.EXCHANGE, 4.0))]


def test_a_decision_on_other_readings_counts_for_nothing():
    pair = Pair("IMPORT", START_US, START_US + 10 * MINUTE_US, 10, 70_000)

    counted = count(
        reading(0, 10), reading(9, 12), reading(10, 70_000), decided={pair: Verdict(LeapKind.EXCHANGE, 4.0)}
    )

    assert energies(counted) == [pytest.approx(2)]


def test_leaps_outside_of_what_is_asked_for_are_left_out():
    readings = [reading(0, 10), reading(1, 70_000), reading(20, 70_001), reading(40, 9)]

    counted = count(*readings, first=1)

    assert [leap.pair.register for leap in counted.leaps] == ["IMPORT"]
    assert counted.leaps[0].pair.before_kwh == 70_001


def test_the_role_is_the_last_one_told_there():
    counted = count(reading(0, 1, role=""), reading(5, 2, role="GRID"), reading(10, 3, role=""))

    assert counted.quarters[START_US].role == "GRID"


GROWING = st.lists(
    st.tuples(st.integers(1, 3_000_000_000), st.floats(0, 1)), min_size=1, max_size=60
)  # (microseconds since the last reading, share of what is possible in that time)


@settings(max_examples=200, deadline=None)
@given(steps=GROWING, begin_us=st.integers(0, QUARTER_US - 1), first_kwh=st.floats(0, 1e6))
def test_quarter_hours_sum_to_what_the_register_counted(steps, begin_us, first_kwh):
    at_us, value = START_US + begin_us, first_kwh
    readings = [Reading(at_us, 3, "", (value, None, None, None, None))]
    for step_us, share in steps:
        at_us, value = at_us + step_us, value + share * RULES.possible_kwh(step_us) * 0.999
        readings.append(Reading(at_us, 3, "", (value, None, None, None, None)))

    counted = count(*readings, quarters=(at_us - START_US) // QUARTER_US + 1)

    total = sum(one.energies_kwh[0] or 0 for one in counted.quarters.values())
    assert total == pytest.approx(value - first_kwh, abs=1e-6)
    assert sum(one.readings for one in counted.quarters.values()) == len(readings)
    assert all(0 <= one.covered_s <= 900 for one in counted.quarters.values())


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(
        st.tuples(
            st.integers(1, 2_000_000_000), st.one_of(st.none(), st.floats(0, 200_000)), st.integers(0, 3)
        ),
        min_size=1,
        max_size=40,
    ),
    cuts=st.lists(st.integers(1, 95), max_size=5),
)
def test_counted_in_parts_or_at_once_is_the_same(values, cuts):
    at_us, readings = START_US, []
    for step_us, value, rank in values:
        at_us += step_us
        readings.append(Reading(at_us, rank, "", (value, 7.0, None, None, None)))
    bounds = sorted({0, 96, *cuts})

    whole = count(*readings, quarters=96)
    parts = [count(*readings, first=low, quarters=high - low) for low, high in pairwise(bounds)]

    assert {start: one for part in parts for start, one in part.quarters.items()} == whole.quarters
    assert {leap for part in parts for leap in part.leaps} == set(whole.leaps)
