"""After a restore: whatever may have been sent since the backup is not sent again, and nothing else changes."""

from datetime import timedelta

import pytest

from dispatch.models import (
    Command,
    EmergencyLatch,
    OutboundMessage,
    OutboxLease,
    Outcome,
    PublishedSiteConfig,
)
from dispatch.services.due import queue_due
from dispatch.services.emergency import NOT_DELIVERED, care_for_undelivered
from dispatch.services.emergency_doubt import IN_DOUBT, watch_latched
from dispatch.services.late import settle_late
from dispatch.services.restored import settle_restored
from dispatch.services.site_config import publish_changed
from dispatch.states import State
from plants.models import Alarm
from tests import factories
from tests.dispatch.helpers import (
    ask,
    claims,
    deliver,
    last_event,
    messages_of,
    mode,
    release,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.factories import AT

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(seconds=30)


def what_goes_out(link, *, at=LATER):
    """Every tick, then everything that a relay would publish: families in order."""
    policy = factories.policy()
    queue_due(at=at)
    settle_late(at=at, policy=policy)
    care_for_undelivered(at=at, policy=policy)
    publish_changed(at=at, policy=policy)
    return [claimed.routing_key for claimed in deliver(link, at=at)]


def test_a_message_that_waited_is_given_up_whether_it_was_attempted_or_not():
    link = factories.connection()
    untried, tried = (ask(factories.plant(on=link), setpoint()) for _ in range(2))
    assert len(claims(link, window=1)) == 1

    settled = settle_restored(at=LATER)

    assert (settled.messages, settled.queued, settled.due) == (2, 2, 0)
    for command in (untried, tried):
        assert (state_of(command), command.cause) == (State.UNCONFIRMED, "RESTORED")
        assert [message.outcome for message in messages_of(command)] == [Outcome.ABANDONED]
    assert [key for key in what_goes_out(link) if ".command." in key] == []


def test_a_command_that_became_due_since_is_not_built():
    plant = factories.plant()
    due = ask(plant, mode(), due_at=AT + timedelta(seconds=10))

    settled = settle_restored(at=LATER)

    assert settled.due == 1
    assert state_of(due) == State.UNCONFIRMED
    assert words_of(due)[-2:] == [("QUEUED", "APPLIED"), ("UNCONFIRMED", "APPLIED")]
    assert last_event(due).actor == "restore"
    assert [key for key in what_goes_out(plant.connection) if ".command." in key] == []


def test_a_command_for_later_stays_planned_and_is_sent_when_it_is_due():
    plant = factories.plant()
    planned = ask(plant, mode(), due_at=AT + timedelta(hours=1))

    settled = settle_restored(at=LATER)

    assert (settled.later, state_of(planned)) == (1, State.SCHEDULED)
    assert "acme.command.mode" in what_goes_out(plant.connection, at=AT + timedelta(hours=1, seconds=1))


def test_an_emergency_that_waited_is_not_issued_again_its_latch_stays_and_a_person_is_asked_to_look():
    plant = factories.plant()
    stop = ask(plant, stop_now())

    settled = settle_restored(at=LATER)
    out = what_goes_out(plant.connection, at=AT + timedelta(minutes=5))
    watch_latched(at=LATER)

    assert settled.latched == 1
    assert state_of(stop) == State.UNCONFIRMED
    assert messages_of(stop)[0].routing_key not in out
    assert len(messages_of(stop)) == 1
    assert EmergencyLatch.objects.filter(released_at__isnull=True).count() == 1
    standing = Alarm.objects.filter(cleared_at__isnull=True)
    assert list(standing.values_list("code", flat=True)) == [IN_DOUBT]
    assert NOT_DELIVERED not in standing.values_list("code", flat=True)


def test_the_latch_of_a_restored_emergency_can_be_released():
    plant = factories.plant()
    ask(plant, stop_now())
    settle_restored(at=LATER)

    command = release(plant, at=LATER)

    assert "acme.command.mode" in what_goes_out(plant.connection)
    assert state_of(command) == State.SENT


def test_commands_that_voke_has_keep_what_is_known_of_them():
    link = factories.connection()
    states = [State.SENT, State.ACCEPTED, State.EXECUTING, State.COMPLETED, State.REJECTED, State.EXPIRED]
    commands = [ask(factories.plant(on=link), setpoint()) for _ in states]
    deliver(link)
    for command, state in zip(commands, states, strict=True):
        Command.objects.filter(pk=command.pk).update(state=state)

    settle_restored(at=LATER)

    assert [state_of(command) for command in commands] == states


def test_topology_and_limits_are_published_again():
    plant = factories.plant()
    first = what_goes_out(plant.connection, at=AT)

    settled = settle_restored(at=LATER)

    assert settled.site_configs == 3
    assert (
        what_goes_out(plant.connection)
        == first
        == ["acme.config.topology", "acme.config.constraints", "acme.config.fallback"]
    )


def test_leases_of_relays_of_then_are_gone():
    plant = factories.plant()
    ask(plant, mode())
    claims(plant.connection)

    settle_restored(at=LATER)

    assert not OutboxLease.objects.exists()


def test_settling_twice_is_harmless():
    plant = factories.plant()
    command = ask(plant, setpoint())
    settle_restored(at=LATER)
    words = words_of(command)

    again = settle_restored(at=LATER)

    assert (again.messages, again.queued, again.due) == (0, 0, 0)
    assert words_of(command) == words
    assert not PublishedSiteConfig.objects.exists()
    assert not OutboundMessage.objects.filter(outcome=Outcome.PENDING).exists()
