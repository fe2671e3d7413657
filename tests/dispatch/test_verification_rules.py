"""Verified by measurement, the pure rules: when a target was in force, what is judged of it, and the verdict."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.verification import (
    Aim,
    Around,
    Measurement,
    ProofRules,
    Rank,
    Target,
    Window,
    aim_of,
    grade,
    hint,
    in_force,
    window_of,
)
from tests.dispatch.helpers import energy, setpoint
from vcp import to_wire

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
RULES = ProofRules()
POWER = Aim(value=-10.0, interval=None, own=False)


def minute(number: float) -> datetime:
    return AT + timedelta(minutes=number)


def target(
    begins: float, ends: float | None, *, order: int = 1, rank: int = Rank.NORMAL, **changes
) -> Target:
    facts = {"asked_at": minute(begins), "ends_all": False}
    return Target(
        order=order,
        rank=rank,
        begins_at=minute(begins),
        ends_at=None if ends is None else minute(ends),
        **(facts | changes),
    )


def window(begins: float, ends: float) -> Window:
    return Window(from_at=minute(begins), to_at=minute(ends))


MINE = target(0, 15, order=5)


# --- in force ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], window(0, 15)),
        ([target(10, 20, order=6)], window(0, 10)),
        ([target(10, 20, order=6), target(5, 7, order=7)], window(0, 5)),
        # One that was asked for before, and starts later, beats it too.
        ([target(10, 20, order=4)], window(0, 10)),
        # The same start: the later order wins.
        ([target(0, 20, order=6)], None),
        ([target(0, 20, order=4)], window(0, 15)),
        ([target(0, 6, order=6)], window(6, 15)),
        # A weaker one changes nothing, a stronger one from before holds it off.
        ([target(-5, 5, order=4, rank=Rank.HIGH)], window(5, 15)),
        ([target(-5, None, order=4, rank=Rank.HIGH)], None),
        ([target(-5, 20, order=4, rank=Rank.HIGH)], None),
        ([target(8, 10, order=4, rank=Rank.HIGH)], window(0, 8)),
        ([target(-5, 60, order=4)], window(0, 15)),
        # Modes and emergencies end what began before them, and nothing that begins after.
        ([target(7, None, order=9, rank=Rank.EMERGENCY, ends_all=True)], window(0, 7)),
        ([target(-1, None, order=2, rank=Rank.EMERGENCY, ends_all=True)], window(0, 15)),
        # What came at the same instant ends it only when it was asked for later.
        ([target(0, None, order=4, rank=Rank.EMERGENCY, ends_all=True)], window(0, 15)),
        ([target(0, None, order=6, rank=Rank.EMERGENCY, ends_all=True)], None),
        # A stronger one that was ended does not hold it off any more.
        (
            [
                target(-5, 60, order=2, rank=Rank.HIGH),
                target(-3, None, order=3, rank=Rank.EMERGENCY, ends_all=True),
            ],
            window(0, 15),
        ),
        # A stronger one whose time was over when it came changes nothing.
        ([target(8, 7, order=7, rank=Rank.HIGH)], window(0, 15)),
        # Stronger ones that follow each other hold it off together, in whatever order they are told.
        (
            [target(3, 10, order=7, rank=Rank.HIGH), target(-5, 5, order=2, rank=Rank.HIGH)],
            window(10, 15),
        ),
    ],
)
def test_a_target_is_in_force_until_one_that_beats_it_begins(others, expected):
    assert in_force(MINE, others) == expected


def test_a_high_target_is_not_ended_by_an_ordinary_one():
    high = target(0, 15, order=1, rank=Rank.HIGH)

    assert in_force(high, [target(5, 20, order=9)]) == window(0, 15)


def test_one_that_reached_voke_late_does_not_beat_what_was_to_start_after_it():
    """By `validFrom`: the later start wins at Voke, whenever the message came."""
    late = target(5, 15, order=1, asked_at=minute(0))

    assert in_force(late, [target(2, 15, order=2)]) is None


# --- what is judged ---------------------------------------------------------------------------------------------------


def test_a_power_is_judged_after_the_settling_time():
    assert window_of(POWER, AT, window(0, 15), RULES) == window(1, 15)


@pytest.mark.parametrize(("minutes", "judged"), [(2.0, True), (1.99, False), (1.0, False)])
def test_what_is_left_after_the_settling_time_must_last(minutes, judged):
    assert (window_of(POWER, AT, window(0, minutes), RULES) is not None) is judged


def test_what_was_never_in_force_is_not_judged():
    assert window_of(POWER, AT, None, RULES) is None


def test_an_energy_is_judged_over_its_whole_interval():
    aim = Aim(value=5.0, interval=timedelta(minutes=15), own=False)

    assert window_of(aim, AT, window(0, 15.5), RULES) == window(0, 15)


def test_an_energy_that_came_a_little_late_still_counts_from_its_start():
    aim = Aim(value=5.0, interval=timedelta(minutes=15), own=False)

    assert window_of(aim, AT, window(0.5, 15), RULES) == window(0, 15)


def test_an_energy_whose_last_minute_is_not_whole_is_judged_in_proportion():
    """An interval is told in whole minutes; what is left of a slot is not."""
    aim = Aim(value=4.0, interval=timedelta(minutes=8), own=False)
    judged = window_of(aim, AT, window(0, 7.5), RULES)

    assert judged == window(0, 7.5)
    assert aim.within(judged) == Aim(value=3.75, interval=timedelta(minutes=7.5), own=False)
    assert aim.within(window(0, 8)) == aim
    assert POWER.within(judged) == POWER


@pytest.mark.parametrize("force", [window(0, 14), window(3, 15), window(0, 0.9)])
def test_a_part_of_an_energy_proves_nothing(force):
    aim = Aim(value=5.0, interval=timedelta(minutes=15 if force.seconds > 60 else 1), own=False)

    assert window_of(aim, AT, force, RULES) is None


# --- the verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured_kw", "verdict", "off_by"),
    [
        (-10.0, "VERIFIED", 0.0),
        (-10.5, "VERIFIED", -0.5),
        (-9.5, "VERIFIED", 0.5),
        (-9.49, "OFF_TARGET", 0.51),
        (-10.51, "OFF_TARGET", -0.51),
        (10.0, "OFF_TARGET", 20.0),
        (0.0, "OFF_TARGET", 10.0),
    ],
)
def test_a_power_is_verified_within_the_tolerance_and_the_sign_counts(measured_kw, verdict, off_by):
    found = grade(POWER, window(1, 15), Measurement(mean_kw=measured_kw, known_s=840, samples=84), RULES)

    assert (found.verdict, found.off_by) == (verdict, pytest.approx(off_by))


@pytest.mark.parametrize(("target_kw", "tolerance"), [(0.0, 0.5), (10.0, 0.5), (10.1, 0.505), (-200.0, 10.0)])
def test_the_larger_tolerance_counts(target_kw, tolerance):
    aim = Aim(value=target_kw, interval=None, own=False)
    found = grade(aim, window(1, 15), Measurement(mean_kw=target_kw, known_s=840, samples=84), RULES)

    assert found.tolerance == pytest.approx(tolerance)


def test_a_target_of_nothing_is_verified_by_nearly_nothing():
    aim = Aim(value=0.0, interval=None, own=False)

    assert (
        grade(aim, window(1, 15), Measurement(mean_kw=0.4, known_s=840, samples=9), RULES).verdict
        == "VERIFIED"
    )


@pytest.mark.parametrize(("known_s", "verdict"), [(419.0, "NO_DATA"), (420.0, "VERIFIED"), (0.0, "NO_DATA")])
def test_less_than_half_of_the_time_is_no_data(known_s, verdict):
    found = grade(POWER, window(1, 15), Measurement(mean_kw=-10.0, known_s=known_s, samples=5), RULES)

    assert found.verdict == verdict
    assert (found.measured is None) is (verdict == "NO_DATA")


def test_an_energy_has_its_tolerance_in_kwh():
    aim = Aim(value=2.5, interval=timedelta(minutes=15), own=False)
    found = grade(aim, window(0, 15), Measurement(mean_kw=10.4, known_s=900, samples=15), RULES)

    assert found.measured == pytest.approx(2.6)
    assert found.tolerance == pytest.approx(0.125)
    assert (found.verdict, found.off_by) == ("VERIFIED", pytest.approx(0.1))


def test_an_aim_has_the_sign_of_the_site():
    assert aim_of(to_wire(setpoint(10.0))) == Aim(value=-10.0, interval=None, own=False)
    imported = aim_of(to_wire(energy(2.5, 15, direction="IMPORT", include_consumption=False)))
    assert imported == Aim(value=2.5, interval=timedelta(minutes=15), own=True)


# --- hints ------------------------------------------------------------------------------------------------------------


def around(**changes) -> Around:
    facts = {
        "grid_kw": 0.0, "soc_end_pct": 50.0, "soc_min_pct": 10.0, "soc_max_pct": 90.0,
        "max_import_kw": 100.0, "max_export_kw": 50.0, "fault_open": False,
    }  # fmt: skip
    return Around(**(facts | changes))


@pytest.mark.parametrize(
    ("off_by", "changes", "expected"),
    [
        (5.0, {}, ""),
        (5.0, {"soc_end_pct": 10.4}, "SOC_AT_BOUND"),
        (5.0, {"soc_end_pct": 12.0}, ""),
        # Empty does not explain why too little was taken.
        (-5.0, {"soc_end_pct": 10.4}, ""),
        (-5.0, {"soc_end_pct": 89.8}, "SOC_AT_BOUND"),
        (5.0, {"soc_end_pct": None}, ""),
        (5.0, {"grid_kw": -49.0}, "LIMITED"),
        (-5.0, {"grid_kw": -49.0}, ""),
        (-5.0, {"grid_kw": 99.0}, "LIMITED"),
        (5.0, {"grid_kw": None}, ""),
        (5.0, {"grid_kw": -49.0, "max_export_kw": None}, ""),
        (5.0, {"fault_open": True}, "DEVICE_FAULT"),
    ],
)
def test_a_hint_is_given_only_where_the_measurement_is_certain(off_by, changes, expected):
    assert hint(off_by, around(**changes), RULES) == expected


# --- late data --------------------------------------------------------------------------------------------------------


def test_late_measurements_are_looked_for_at_growing_distances_until_the_end():
    looks = [RULES.look_again_at(AT, number) for number in range(6)]

    assert looks == [minute(5), minute(30), minute(120), minute(480), minute(1440), None]


def test_without_a_time_for_late_ones_nobody_looks():
    assert ProofRules(late=timedelta(0)).look_again_at(AT, 0) is None
