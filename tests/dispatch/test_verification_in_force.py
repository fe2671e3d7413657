"""Which part of its time a setpoint was in force, and is judged for."""

from datetime import timedelta

import pytest

from dispatch.models import Proof
from dispatch.services.commands import cancel
from dispatch.services.verification import verify_due
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode, setpoint, stop_now
from tests.dispatch.proof_world import (
    DUE,
    MINUTE,
    RULES,
    SLOT,
    S,
    judged,
    measure,
    proof_of,
    say,
    sent,
)
from tests.factories import AT, OPERATOR
from vcp import Priority

pytestmark = pytest.mark.django_db


# --- in force or not --------------------------------------------------------------------------------------------------


def test_a_setpoint_that_reached_voke_late_is_judged_from_then_on():
    plant = factories.plant()
    command = ask(plant, setpoint(10.0))
    deliver(command.connection, at=AT + 3 * MINUTE)
    measure(plant, -10.0)

    assert judged(command).from_at == AT + 4 * MINUTE


def test_a_newer_setpoint_ends_what_is_judged():
    plant = factories.plant()
    first = sent(plant, setpoint(10.0))
    half = AT + 5 * MINUTE
    second = sent(plant, setpoint(20.0, valid_from=half), at=half)
    measure(plant, lambda s: -10.0 if s < 300 else -20.0)

    verify_due(at=DUE, rules=RULES)

    assert (proof_of(first).verdict, proof_of(first).to_at) == (Proof.VERIFIED, half)
    assert (proof_of(second).verdict, proof_of(second).from_at) == (Proof.VERIFIED, half + MINUTE)


@pytest.mark.parametrize("payload", [mode(), stop_now()])
def test_a_mode_and_an_emergency_end_what_is_judged(payload):
    plant = factories.plant()
    first = sent(plant, setpoint(10.0))
    half = AT + 5 * MINUTE
    sent(plant, payload, at=half)
    measure(plant, lambda s: -10.0 if s < 300 else 0.0)

    proof = judged(first)

    assert (proof.verdict, proof.to_at) == (Proof.VERIFIED, half)


def test_a_setpoint_that_was_ended_at_once_was_not_in_force():
    plant = factories.plant()
    first = sent(plant, setpoint(10.0))
    sent(plant, mode(), at=AT + 90 * S)

    assert judged(first).verdict == Proof.NOT_IN_FORCE


def test_what_voke_rejected_ends_nothing():
    plant = factories.plant()
    first = sent(plant, setpoint(10.0))
    half = AT + 5 * MINUTE
    other = ask(plant, setpoint(20.0, valid_from=half), at=half)
    deliver(other.connection, at=half)
    say(other, State.REJECTED, at=half)
    measure(plant, -10.0)

    assert judged(first).to_at == AT + SLOT


def test_a_high_setpoint_holds_an_ordinary_one_off_until_it_ends():
    plant = factories.plant()
    high = sent(plant, setpoint(30.0, priority=Priority.HIGH, valid_until=AT + 5 * MINUTE))
    plain = sent(plant, setpoint(10.0))
    measure(plant, lambda s: -30.0 if s < 300 else -10.0)

    verify_due(at=DUE, rules=RULES)

    assert (proof_of(high).verdict, proof_of(high).to_at) == (Proof.VERIFIED, AT + 5 * MINUTE)
    assert (proof_of(plain).verdict, proof_of(plain).from_at) == (Proof.VERIFIED, AT + 6 * MINUTE)


def test_a_high_setpoint_from_the_day_before_still_holds_it_off():
    plant = factories.plant()
    before = AT - timedelta(hours=20)
    sent(plant, setpoint(30.0, priority=Priority.HIGH, valid_from=before, valid_until=AT + SLOT), at=before)
    plain = sent(plant, setpoint(10.0))

    assert judged(plain).verdict == Proof.NOT_IN_FORCE


def test_a_high_setpoint_that_was_ended_long_ago_holds_nothing_off():
    plant = factories.plant()
    before = AT - timedelta(hours=70)
    sent(plant, setpoint(30.0, priority=Priority.HIGH, valid_from=before, valid_until=AT + SLOT), at=before)
    sent(plant, mode(), at=before + MINUTE)
    plain = sent(plant, setpoint(10.0))
    measure(plant, -10.0)

    assert (judged(plain).verdict, judged(plain).from_at) == (Proof.VERIFIED, AT + MINUTE)


def test_a_mode_that_the_broker_took_in_the_same_window_as_the_next_setpoint_does_not_end_it():
    """As after a release: the base mode and the slot that is current follow each other at once."""
    plant = factories.plant()
    ask(plant, mode())
    plain = ask(plant, setpoint(10.0))
    deliver(plant.connection)
    measure(plant, -10.0)

    assert judged(plain).verdict == Proof.VERIFIED


def test_what_voke_kept_waiting_is_judged_from_its_execution_on():
    plant = factories.plant()
    command = ask(plant, setpoint(10.0))
    deliver(command.connection)
    say(command, State.QUEUED_BY_VOKE, at=AT)
    say(command, State.EXECUTING, at=AT + 4 * MINUTE)
    measure(plant, -10.0)

    assert judged(command).from_at == AT + 5 * MINUTE


def test_what_voke_never_began_was_not_in_force():
    plant = factories.plant()
    command = ask(plant, setpoint(10.0))
    deliver(command.connection)
    say(command, State.QUEUED_BY_VOKE, at=AT)
    measure(plant, -10.0)

    assert judged(command).verdict == Proof.NOT_IN_FORCE


def test_a_command_without_any_answer_is_judged_all_the_same():
    plant = factories.plant()
    command = ask(plant, setpoint(10.0))
    deliver(command.connection)
    say(command, State.UNCONFIRMED, at=AT + MINUTE)
    measure(plant, -10.0)

    assert judged(command).verdict == Proof.VERIFIED


def test_a_cancelled_command_is_not_in_force_in_the_same_step():
    plant = factories.plant()
    soon = AT + timedelta(hours=1)
    command = ask(plant, setpoint(valid_from=soon, valid_until=soon + SLOT), due_at=soon)

    cancel(
        organisation_id=plant.organisation_id,
        command_id=command.pk,
        actor=OPERATOR,
        reason="no",
        at=AT + MINUTE,
    )

    assert (proof_of(command).verdict, proof_of(command).judged_at) == (Proof.NOT_IN_FORCE, AT + MINUTE)


def test_a_rejected_command_is_not_in_force_in_the_same_step():
    command = ask(factories.plant(), setpoint())
    deliver(command.connection)

    say(command, State.REJECTED, at=AT + S)

    assert proof_of(command).verdict == Proof.NOT_IN_FORCE


def test_a_command_that_an_emergency_took_back_is_not_in_force_in_the_same_step():
    plant = factories.plant()
    command = ask(plant, setpoint())

    ask(plant, stop_now(), at=AT + S)

    assert proof_of(command).verdict == Proof.NOT_IN_FORCE
