"""How long Voke's events are kept: the retention, and longer while the command that they speak of is open."""

from datetime import timedelta

import pytest

from dispatch.models import Command, CommandEvent
from dispatch.services.life import Move, advance_many
from dispatch.services.retention import prune_inbound
from dispatch.states import FINAL, OPEN, State
from plants.models import Disposition, InboundMessage
from tests import factories
from tests.dispatch.helpers import ask, mode
from tests.factories import AT

pytestmark = pytest.mark.django_db
KEEP = timedelta(days=7)
OLD = KEEP + timedelta(seconds=1)


def event(link, name="m", received_at=AT):
    return InboundMessage.objects.create(
        connection=link,
        message_id=name,
        routing_key="acme.event.execution",
        family="event.execution",
        sent_at=received_at,
        received_at=received_at,
        disposition=Disposition.APPLIED,
        body=b"{}",
    )


def heard_command(state):
    """A command in a state that an inbound event speaks of."""
    command = ask(factories.plant(), mode())
    inbound = event(command.connection)
    advance_many(moves=[Move(command_id=command.pk, to=State.ACCEPTED, inbound_id=inbound.pk)], at=AT)
    Command.objects.filter(pk=command.pk).update(state=state)
    return command


def prune(at, **changes):
    return prune_inbound(at=at, keep_days=7, **changes)


def test_an_event_of_no_command_is_kept_for_the_retention_and_then_forgotten():
    event(factories.connection())

    assert prune(AT + KEEP) == 0
    assert prune(AT + OLD) == 1
    assert not InboundMessage.objects.exists()


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_event_of_an_open_command_is_kept(state):
    heard_command(state)

    assert prune(AT + OLD) == 0


@pytest.mark.parametrize("state", sorted(FINAL))
def test_an_event_of_a_command_that_has_ended_is_forgotten_and_the_commands_history_stays(state):
    command = heard_command(state)

    assert prune(AT + OLD) == 1
    assert [one.word for one in CommandEvent.objects.filter(command=command)] == [
        "SCHEDULED",
        "QUEUED",
        "ACCEPTED",
    ]


def test_a_command_that_voke_never_finished_keeps_its_events_however_old_they_are():
    heard_command(State.ACCEPTED)

    assert prune(AT + timedelta(days=900)) == 0


def test_one_run_forgets_no_more_than_asked_for_the_oldest_first():
    link = factories.connection()
    kept = event(link, "young", AT + timedelta(seconds=1))
    event(link, "old")

    assert prune(AT + 2 * OLD, limit=1) == 1
    assert list(InboundMessage.objects.all()) == [kept]
