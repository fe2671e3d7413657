"""Silence: an ACK or an execution report that does not come is said, never answered by a resend."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage
from dispatch.services.life import advance
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import ask, deliver, last_event, mode, setpoint, state_of, words_of
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
ACK = timedelta(seconds=60)
EXECUTION = timedelta(seconds=900)


def sent_command(payload=None, plant=None):
    command = ask(plant or factories.plant(), payload or mode())
    deliver(command.connection)
    return command


def accepted_command(payload=None):
    command = sent_command(payload)
    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="")
    return command


def test_a_command_without_an_ack_in_time_is_unconfirmed_and_nothing_is_sent_again():
    command = sent_command()

    count = mark_ack_overdue(at=AT + ACK)

    assert count == 1
    assert (state_of(command), command.cause) == (State.UNCONFIRMED, "ACK_OVERDUE")
    assert OutboundMessage.objects.count() == 1


def test_a_moment_before_the_deadline_nothing_is_said():
    command = sent_command()

    assert mark_ack_overdue(at=AT + ACK - timedelta(milliseconds=1)) == 0
    assert state_of(command) == State.SENT


def test_a_command_that_was_answered_is_not_overdue():
    command = accepted_command()

    assert mark_ack_overdue(at=AT + ACK) == 0
    assert state_of(command) == State.ACCEPTED


@pytest.mark.parametrize("state", [State.ACCEPTED, State.PARTIAL, State.EXECUTING])
def test_an_execution_past_its_deadline_gets_a_flag_and_no_new_state(state):
    command = sent_command()
    advance(command_id=command.pk, to=state, at=AT, cause="")

    count = flag_execution_overdue(at=AT + EXECUTION)

    assert count == 1
    assert state_of(command) == state
    assert command.execution_overdue
    assert words_of(command)[-1] == ("EXECUTION_OVERDUE", "NOTE")
    assert last_event(command).cause == "EXECUTION_OVERDUE"


def test_an_execution_is_flagged_once():
    accepted_command()
    flag_execution_overdue(at=AT + EXECUTION)

    assert flag_execution_overdue(at=AT + 2 * EXECUTION) == 0


@pytest.mark.parametrize("state", [State.COMPLETED, State.QUEUED_BY_VOKE])
def test_what_has_ended_or_waits_for_its_site_is_not_overdue(state):
    command = sent_command()
    advance(command_id=command.pk, to=state, at=AT, cause="")

    assert flag_execution_overdue(at=AT + EXECUTION) == 0
    assert not Command.objects.get().execution_overdue


def test_the_execution_of_a_setpoint_is_counted_from_its_start():
    start = AT + timedelta(hours=1)
    command = accepted_command(setpoint(valid_from=start, valid_until=start + timedelta(hours=1)))

    assert command.execution_due_at == start + EXECUTION
    assert flag_execution_overdue(at=start + EXECUTION - timedelta(seconds=1)) == 0


def test_the_number_of_queries_does_not_grow_with_the_number_of_silent_commands():
    plant = factories.plant()

    def marked(count):
        for _ in range(count):
            ask(plant, mode())
        deliver(plant.connection)
        return queries_of(lambda: mark_ack_overdue(at=AT + ACK))

    assert marked(2) == marked(20)
    assert Command.objects.filter(state=State.UNCONFIRMED).count() == 22
