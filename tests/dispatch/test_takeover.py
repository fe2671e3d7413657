"""A second bundle takes over: plants move, the old connection drains, the rest is signed anew in its old place."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Outcome
from dispatch.services.confirms import forget_attempts
from dispatch.services.due import queue_due
from dispatch.services.emergency import care_for_undelivered
from dispatch.services.late import settle_late
from dispatch.services.site_config import publish_changed
from dispatch.services.takeover import follow_moved
from dispatch.services.voke_words import Told, apply_words
from dispatch.states import State
from plants.models import Alarm, Disposition, InboundMessage, Plant
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    envelope_of,
    message_of,
    messages_of,
    mode,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.dispatch.takeovers import LATER, NEW_KEY, ids, successor, taken_over
from tests.factories import AT
from vcp import CommandAck, verify

pytestmark = pytest.mark.django_db


def test_every_plant_moves_and_the_old_connection_knows_its_successor():
    old = factories.connection()
    plants = [factories.plant(on=old) for _ in range(2)]
    new = successor(old)

    done = taken_over(old, new)

    moved = list(Plant.objects.filter(connection=new).order_by("pk"))
    old.refresh_from_db()
    new.refresh_from_db()
    assert (done.plants, done.activated, new.mode) == (2, True, "ACTIVE")
    assert [one.site_revision for one in moved] == [one.site_revision + 1 for one in plants]
    assert (old.succeeded_by, old.handed_over_at, old.retired_at) == (new, LATER, None)


def test_what_was_never_attempted_is_signed_anew_with_the_new_key_in_the_same_order():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    commands = [ask(plant, mode()), ask(plant, setpoint()), ask(plant, mode())]

    done = taken_over(old, new)

    pairs = [messages_of(one) for one in commands]
    assert done.followed.replaced == 3
    assert [[one.outcome for one in pair] for pair in pairs] == [[Outcome.REPLACED, Outcome.PENDING]] * 3
    assert all(verify(envelope_of(pair[1]), NEW_KEY) for pair in (pairs[0], pairs[2]))
    assert {pair[0].message_id != pair[1].message_id for pair in pairs} == {True}
    assert {Command.objects.get(pk=one.pk).connection_id for one in commands} == {new.pk}
    assert words_of(commands[0])[-1] == ("REISSUED", "NOTE")
    assert claims(old, at=LATER) == []
    assert ids(deliver(new, at=LATER)) == [pair[1].pk for pair in pairs]


def heard(link, message, word, at=LATER):
    """What Voke says about a message, arriving on a connection; its disposition."""
    row = InboundMessage.objects.create(
        connection=link,
        message_id=f"{link.pk}-{InboundMessage.objects.count()}",
        routing_key="acme.event.command.ack",
        family="event.command.ack",
        sent_at=at,
        received_at=at,
        disposition=Disposition.APPLIED,
        body=b"{}",
    )
    told = Told(inbound_id=row.pk, correlation_id=str(message.correlation_id), told_at=at, word=word)
    return apply_words(connection_id=link.pk, told=[told], at=at)[row.pk]


ACCEPTED = CommandAck(status="ACCEPTED", command_type="mode")


def test_what_was_attempted_drains_on_the_old_connection_as_the_same_bytes():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    command = ask(plant, mode())
    first = claims(old)

    done = taken_over(old, new)
    again = claims(old, at=LATER)
    broker_says(Outcome.CONFIRMED, *again, at=LATER)

    assert (done.followed.draining, done.followed.replaced) == (1, 0)
    assert [(one.outbound_id, one.body) for one in again] == [(one.outbound_id, one.body) for one in first]
    assert state_of(command) == State.SENT
    assert heard(old, message_of(command), ACCEPTED) == Disposition.APPLIED
    assert state_of(command) == State.ACCEPTED


def test_newer_messages_wait_on_the_new_connection_until_the_old_one_has_ended_what_it_began():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    ask(plant, mode())
    waiting = ask(plant, setpoint())
    window = claims(old)
    taken_over(old, new)
    plant.refresh_from_db()
    later = ask(plant, mode(), at=LATER)

    before = claims(new, at=LATER)
    broker_says(Outcome.CONFIRMED, *window, at=LATER)
    after = deliver(new, at=LATER)

    assert before == []
    assert ids(after) == [messages_of(waiting)[-1].pk, message_of(later).pk]


def test_the_wait_ends_at_the_replay_margin_when_the_old_connection_is_gone_for_good():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    lost = ask(plant, setpoint())
    claims(old)
    waiting = ask(plant, setpoint())
    taken_over(old, new)
    margin = AT + factories.policy().replay_margin

    settle_late(at=margin, policy=factories.policy())

    assert state_of(lost) == State.UNCONFIRMED
    assert len(claims(new, at=margin)) == 1
    assert state_of(waiting) == State.QUEUED


def test_an_attempt_that_did_not_happen_after_all_is_signed_anew_by_the_tick():
    """The link found out after the takeover that no byte had left: on the old connection it may not go any more."""
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    command = ask(plant, mode())
    window = claims(old)
    taken_over(old, new)
    forget_attempts(outbound_ids=ids(window))

    there = claims(old, at=LATER)
    count = follow_moved(at=LATER, policy=factories.policy())

    assert (there, count) == ([], 1)
    assert [one.outcome for one in messages_of(command)] == [Outcome.REPLACED, Outcome.PENDING]
    assert ids(claims(new, at=LATER)) == [messages_of(command)[1].pk]


@pytest.mark.parametrize("attempted", [True, False])
def test_an_undelivered_emergency_goes_at_once_on_the_new_connection(attempted):
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    stop = ask(plant, stop_now())
    if attempted:
        claims(old)

    done = taken_over(old, new)

    first, second = messages_of(stop)
    assert done.followed.emergencies == 1
    assert first.outcome == (Outcome.ABANDONED if attempted else Outcome.REPLACED)
    assert (second.connection, second.urgent) == (new, True)
    assert claims(old, at=LATER) == []
    assert ids(claims(new, at=LATER)) == [second.pk]
    assert Command.objects.get().connection == new


def test_an_emergency_that_the_old_broker_did_not_take_goes_on_the_new_connection_and_takes_its_alarm_along():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    ask(plant, stop_now())
    broker_says(Outcome.REFUSED, *claims(old))
    care_for_undelivered(at=AT + timedelta(seconds=15), policy=factories.policy())

    taken_over(old, new, at=AT + timedelta(seconds=16))
    deliver(new, at=AT + timedelta(seconds=16))
    care_for_undelivered(at=AT + timedelta(seconds=17), policy=factories.policy())

    assert Command.objects.get().state == State.SENT
    assert not Alarm.objects.filter(cleared_at__isnull=True).exists()


def test_an_emergency_after_the_takeover_does_not_wait_for_what_the_old_connection_has_on_its_way():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    begun = ask(plant, mode())
    claims(old)
    taken_over(old, new)
    plant.refresh_from_db()

    stop = ask(plant, stop_now(), at=LATER)

    assert ids(claims(new, at=LATER)) == [message_of(stop).pk]
    assert claims(old, at=LATER) == []
    assert state_of(begun) == State.UNCONFIRMED


def test_a_planned_command_is_built_for_the_new_connection_when_it_is_due():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    command = ask(plant, mode(), due_at=LATER)

    done = taken_over(old, new)
    queue_due(at=LATER)

    assert done.followed.scheduled == 1
    assert message_of(command).connection == new
    assert verify(envelope_of(message_of(command)), NEW_KEY)


def test_topology_and_limits_are_told_on_the_new_connection_and_not_any_more_on_the_old_one():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    publish_changed(at=AT, policy=factories.policy())

    taken_over(old, new)
    publish_changed(at=LATER, policy=factories.policy())

    assert claims(old, at=LATER) == []
    assert [one.routing_key for one in deliver(new, at=LATER)] == [
        "acme-new.config.topology", "acme-new.config.constraints", "acme-new.config.fallback",
    ]  # fmt: skip


def test_a_command_that_the_new_key_has_no_scope_for_ends_with_that_reason():
    plant = factories.plant()
    old = plant.connection
    new = successor(old, scopes=["vcp:write:setpoint"])
    lost, kept = ask(plant, mode()), ask(plant, setpoint())

    done = taken_over(old, new)

    assert (done.followed.cancelled, done.followed.replaced) == (1, 1)
    assert (state_of(lost), lost.cause) == (State.CANCELLED, "SCOPE_MISSING")
    assert state_of(kept) == State.QUEUED


def test_the_same_acknowledgement_on_both_connections_is_applied_once():
    """Voke's federation copies events into the vhosts of both keys."""
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    command = ask(plant, mode())
    deliver(old)
    taken_over(old, new)

    dispositions = [heard(link, message_of(command), ACCEPTED) for link in (new, old)]

    assert dispositions == [Disposition.APPLIED, Disposition.NO_CHANGE]
    assert words_of(command)[-2:] == [("ACCEPTED", "APPLIED"), ("ACCEPTED", "DUPLICATE")]


def test_a_word_about_a_message_of_the_new_connection_is_foreign_on_the_old_one():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    taken_over(old, new)
    plant.refresh_from_db()
    command = ask(plant, mode(), at=LATER)
    deliver(new, at=LATER)

    assert heard(old, message_of(command), ACCEPTED) == Disposition.FOREIGN
    assert state_of(command) == State.SENT
