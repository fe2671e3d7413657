"""Verified by measurement: each setpoint's proof, from the row that stands with the command to the verdict."""

from datetime import timedelta

import pytest

from dispatch.models import Proof, Verification
from dispatch.services import grading, verification
from dispatch.services.verification import verify_due
from dispatch.targets import targets_of
from plants.models import Asset
from tests import factories
from tests.dispatch.helpers import ask, mode, setpoint
from tests.dispatch.proof_world import (
    DUE,
    GRACE,
    MINUTE,
    RULES,
    SLOT,
    S,
    judged,
    measure,
    proof_of,
    sent,
)
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import together
from vcp import Direction

pytestmark = pytest.mark.django_db


# --- the row ----------------------------------------------------------------------------------------------------------


def test_a_setpoint_has_its_proof_from_the_moment_it_is_stored():
    command = ask(factories.plant(), setpoint())

    proof = proof_of(command)

    assert (proof.verdict, proof.plant_id, proof.rank) == (Proof.PENDING, command.plant_id, 0)
    assert (proof.begins_at, proof.ends_at, proof.due_at) == (AT, AT + SLOT, DUE)


def test_other_commands_have_none():
    ask(factories.plant(), mode())

    assert not Verification.objects.exists()


def test_a_setpoint_that_names_no_end_is_judged_when_its_plants_time_is_over():
    command = ask(factories.plant(setpoint_valid_s=600), setpoint(valid_until=None))

    assert proof_of(command).due_at == AT + timedelta(seconds=600) + GRACE


def test_before_its_time_nothing_is_judged():
    plant = factories.plant()
    command = sent(plant, setpoint())
    measure(plant, -10.0)

    assert judged(command, at=DUE - S).verdict == Proof.PENDING


# --- verdicts by power ------------------------------------------------------------------------------------------------


def test_a_power_that_was_kept_is_verified_and_the_numbers_stand_with_it():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.2)

    proof = judged(command)

    assert proof.verdict == Proof.VERIFIED
    assert (proof.from_at, proof.to_at, proof.judged_at) == (AT + MINUTE, AT + SLOT, DUE)
    assert (proof.unit, proof.target, proof.tolerance) == ("kW", -10.0, 0.5)
    assert proof.measured == pytest.approx(-10.2)
    assert proof.off_by == pytest.approx(-0.2)
    assert (proof.source, proof.samples, proof.coverage_pct) == ("TELEMETRY", 84, pytest.approx(100.0))
    assert proof.again_at is None


def test_the_time_of_settling_is_not_judged():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, lambda s: 30.0 if s < 60 else -10.0)

    assert judged(command).verdict == Proof.VERIFIED


def test_a_power_that_was_missed_says_by_how_much():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -7.0)

    proof = judged(command)

    assert (proof.verdict, proof.off_by) == (Proof.OFF_TARGET, pytest.approx(3.0))
    assert proof.again_at == DUE + 5 * MINUTE


def test_the_mean_is_weighted_by_time():
    """Ten seconds between samples in one half, sixty in the other: each half counts as long as it lasted."""
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    half = AT + MINUTE + (SLOT - MINUTE) / 2
    measure(plant, -6.0, until=half, every_s=10)
    measure(plant, -14.0, since=half, every_s=10)

    assert judged(command).measured == pytest.approx(-10.0)


def test_without_consumption_the_plants_own_power_is_judged():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0, include_consumption=False))
    measure(plant, 55.0, battery_power_kw=-4.0, fve_power_kw=6.0)

    assert judged(command).verdict == Proof.VERIFIED


def test_a_plants_own_power_is_not_known_without_its_battery():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0, include_consumption=False))
    measure(plant, 55.0, battery_power_kw=None, fve_power_kw=10.0)

    assert judged(command).verdict == Proof.NO_DATA


def test_a_plant_without_a_battery_needs_no_value_of_one():
    plant = factories.plant(assets=[factories.pv()])
    command = sent(plant, setpoint(10.0, include_consumption=False))
    measure(plant, 55.0, battery_power_kw=None, fve_power_kw=10.0)

    assert judged(command).verdict == Proof.VERIFIED


@pytest.mark.parametrize(("rank", "word"), [(1, "STALE"), (0, "MISSING"), (0, "NEW_WORD")])
def test_what_is_no_good_measurement_proves_nothing(rank, word):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0, rank=rank, word=word)

    proof = judged(command)

    assert (proof.verdict, proof.samples, proof.measured) == (Proof.NO_DATA, 0, None)


def test_less_than_half_of_the_time_measured_is_no_data_and_looked_at_again():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0, until=AT + 7 * MINUTE)

    proof = judged(command)

    assert (proof.verdict, proof.again_at) == (Proof.NO_DATA, DUE + 5 * MINUTE)
    assert proof.coverage_pct == pytest.approx(100 * (360 + 5) / 840)


def test_another_plants_samples_do_not_count():
    plant, other = factories.plant(), factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(other, -10.0)

    assert judged(command).verdict == Proof.NO_DATA


# --- late data --------------------------------------------------------------------------------------------------------


def test_measurements_that_come_late_change_the_verdict_and_the_first_one_stays_told():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    judged(command)
    measure(plant, -10.0, received_at=DUE + 20 * MINUTE)

    proof = judged(command, at=DUE + 30 * MINUTE)

    assert (proof.verdict, proof.first_verdict, proof.looks) == (Proof.VERIFIED, Proof.NO_DATA, 1)
    assert (proof.judged_at, proof.again_at) == (DUE + 30 * MINUTE, None)


def test_without_anything_new_the_verdict_stays_and_the_looks_end():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    judged(command)
    at, looks = DUE, []

    while (due := proof_of(command).again_at) is not None:
        at = due
        looks.append(at)
        judged(command, at=at)

    proof = proof_of(command)
    assert (proof.verdict, proof.judged_at, proof.first_verdict) == (Proof.NO_DATA, DUE, "")
    assert len(looks) == 5
    assert at - DUE > timedelta(hours=24)


def test_a_backfill_in_parts_is_judged_by_what_there_is_each_time():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    judged(command)
    measure(plant, -2.0, since=AT + MINUTE, until=AT + 9 * MINUTE)
    first = judged(command, at=DUE + 5 * MINUTE)
    measure(plant, -20.7, since=AT + 9 * MINUTE)

    second = judged(command, at=first.again_at)

    assert (first.verdict, second.verdict, second.first_verdict) == ("OFF_TARGET", "VERIFIED", "NO_DATA")
    assert second.measured == pytest.approx((-2.0 * 480 - 20.7 * 360) / 840)


def test_what_is_looked_at_again_after_a_day_does_not_widen_what_is_read_for_the_others(monkeypatch):
    """Both at once: all that was asked of their plants in the day between would be read."""
    read = []

    def noted(*, low, high, **facts):
        read.append(high - low)
        return targets_of(low=low, high=high, **facts)

    later = AT + timedelta(days=1)
    sent(factories.plant(), setpoint(10.0))
    sent(factories.plant(), setpoint(10.0, valid_from=later, valid_until=later + SLOT), at=later)
    verify_due(at=DUE, rules=RULES)
    verify_due(at=later + SLOT + GRACE, rules=RULES)  # the second's first look, the first one's second
    Verification.objects.update(again_at=later + SLOT + GRACE)
    monkeypatch.setattr(verification, "targets_of", noted)

    verify_due(at=later + SLOT + GRACE, rules=RULES)

    assert read == [SLOT, SLOT]


def test_a_verified_target_is_not_looked_at_again():
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0)
    judged(command)

    measure(plant, 50.0, since=AT + 5 * S)

    assert judged(command, at=DUE + timedelta(hours=2)).verdict == Proof.VERIFIED


# --- many, at once, crashes -------------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_the_number_of_statements_does_not_grow_with_what_is_due():
    plants = [factories.plant() for _ in range(12)]

    def statements(some, at):
        for plant in some:
            sent(plant, setpoint(10.0, valid_from=at, valid_until=at + SLOT), at=at)
            measure(plant, -3.0, since=at, until=at + SLOT, soc_pct=50.0)
        return queries_of(lambda: verify_due(at=at + SLOT + GRACE, rules=RULES))

    few = statements(plants[:2], AT)
    Verification.objects.update(again_at=None)
    many = statements(plants, AT + 4 * SLOT)

    assert Verification.objects.filter(verdict=Proof.OFF_TARGET).count() == 14
    assert many == few
    assert few < 25


def test_a_batch_leaves_the_rest_for_the_next():
    plant = factories.plant()
    for number in range(3):
        sent(plant, setpoint(10.0 + number))

    counts = [verify_due(at=DUE, rules=RULES, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_judge_each_setpoint_once():
    plants = [factories.plant() for _ in range(10)]
    commands = [sent(plant, setpoint(10.0)) for plant in plants]
    for plant in plants:
        measure(plant, -3.0)

    counts = together(*[lambda: verify_due(at=DUE, rules=RULES)] * 3)

    assert not [one for one in counts if isinstance(one, Exception)]
    proofs = Verification.objects.filter(command__in=commands)
    assert {(one.verdict, one.looks) for one in proofs} == {("OFF_TARGET", 0)}


def test_what_changed_while_it_was_judged_is_left_as_it_is(monkeypatch):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0)
    measured = grading.judge_cases

    def judge_slowly(**asked):
        outcomes = measured(**asked)
        Verification.objects.filter(command=command).update(verdict=Proof.NOT_IN_FORCE)
        return outcomes

    monkeypatch.setattr("dispatch.services.verification.judge_cases", judge_slowly)

    assert judged(command).verdict == Proof.NOT_IN_FORCE


def test_a_crash_before_the_verdict_is_written_leaves_it_due(monkeypatch):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0)

    def crash(*_args, **_more):
        raise RuntimeError("gone")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(grading, "_update", crash)
        verify_due(at=DUE, rules=RULES)

    assert proof_of(command).verdict == Proof.PENDING
    assert judged(command).verdict == Proof.VERIFIED


def test_a_plant_with_no_device_named_must_tell_battery_and_pv():
    plant = factories.plant(assets=[])
    assert not Asset.objects.filter(plant=plant).exists()
    command = sent(plant, setpoint(5.0, include_consumption=False, direction=Direction.IMPORT))
    measure(plant, 0.0, battery_power_kw=5.0, fve_power_kw=None)

    assert judged(command).verdict == Proof.NO_DATA
