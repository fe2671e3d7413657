"""A second bundle takes over: plants move, the old connection drains, the rest is signed anew in its old place."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.services.confirms import forget_attempts
from dispatch.services.due import queue_due
from dispatch.services.emergency import care_for_undelivered
from dispatch.services.late import settle_late
from dispatch.services.life import advance
from dispatch.services.site_config import publish_changed
from dispatch.services.takeover import follow_moved, retire_drained, take_over
from dispatch.services.voke_words import Told, apply_words
from dispatch.states import State
from plants.errors import Conflict
from plants.models import Alarm, Connection, ConnectionMode, Disposition, InboundMessage, Plant
from plants.services.connections import attach_plants
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    envelope_of,
    lease,
    message_of,
    messages_of,
    mode,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.factories import AT
from tests.threads import together
from vcp import CommandAck, verify

pytestmark = pytest.mark.django_db
NEW_KEY = "ffeeddccbbaa99887766554433221100" * 2
LATER = AT + timedelta(seconds=2)
GRACE = timedelta(days=1)


def successor(old, **changes):
    """A second connection of the organisation, as a fresh import leaves it."""
    facts = {"mode": ConnectionMode.OBSERVE, "signing_key": NEW_KEY, "routing_prefix": "acme-new"}
    return factories.connection(owner=old.organisation, **(facts | changes))


def taken_over(old, new, at=LATER):
    return take_over(old=old, new=new, at=at, policy=factories.policy())


def ids(claimed):
    return [one.outbound_id for one in claimed]


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
        "acme-new.config.topology", "acme-new.config.constraints",
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


# --- refused ----------------------------------------------------------------------------------------------------------


def observing_pair(**changes):
    old = factories.connection()
    return old, successor(old, **changes)


def chained():
    old, new = observing_pair()
    taken_over(old, new)
    return old, successor(old)


def into_the_past():
    old, new = observing_pair()
    taken_over(old, new)
    return successor(old), old


def same_uuid():
    old, new = observing_pair()
    factories.plant(on=new, voke_uuid=factories.plant(on=old).voke_uuid)
    return old, new


def undecryptable():
    old, new = observing_pair()
    factories.make_undecryptable(new)
    return old, Connection.objects.defer("signing_key").get(pk=new.pk)


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        (lambda: [factories.connection()] * 2, "TAKEOVER_OF_ITSELF"),
        (lambda: (factories.connection(), factories.connection()), "ANOTHER_ORGANISATION"),
        (chained, "CONNECTION_SUCCEEDED"),
        (into_the_past, "CONNECTION_SUCCEEDED"),
        (lambda: observing_pair(signing_key=""), "SIGNING_KEY_MISSING"),
        (lambda: observing_pair(signing_key="no hex"), "INVALID_SIGNING_KEY"),
        (lambda: observing_pair(key_decoding="rot"), "INVALID_SIGNING_KEY"),
        (undecryptable, "SECRET_UNREADABLE"),
        (same_uuid, "VOKE_UUID_TAKEN"),
    ],
    ids=[
        "itself",
        "stranger",
        "twice",
        "into the past",
        "no key",
        "bad key",
        "decoding",
        "undecryptable",
        "uuid",
    ],
)
def test_a_connection_that_cannot_take_over_is_refused_and_nothing_changes(pair, code):
    old, new = pair()
    plants = list(Plant.objects.order_by("pk").values("pk", "connection", "site_revision"))
    before = list(Connection.objects.order_by("pk").values("pk", "mode", "succeeded_by"))

    with pytest.raises(Conflict) as caught:
        taken_over(old, new)

    assert caught.value.code == code
    assert list(Plant.objects.order_by("pk").values("pk", "connection", "site_revision")) == plants
    assert list(Connection.objects.order_by("pk").values("pk", "mode", "succeeded_by")) == before


def test_a_takeover_does_not_decide_whether_anything_is_published():
    observing = factories.connection(mode=ConnectionMode.OBSERVE)
    off = factories.connection(dispatch_enabled=False)
    one, other = successor(observing), successor(off)

    answers = [taken_over(observing, one).activated, taken_over(off, other).activated]

    one.refresh_from_db()
    other.refresh_from_db()
    assert answers == [False, True]
    assert (one.mode, other.mode, other.dispatch_enabled) == ("OBSERVE", "ACTIVE", False)


# --- one plant alone --------------------------------------------------------------------------------------------------


def test_a_single_plant_that_is_attached_elsewhere_takes_what_is_unsent_along():
    plant = factories.plant()
    old = plant.connection
    stays = factories.plant(on=old)
    new = successor(old, mode=ConnectionMode.ACTIVE)
    moved, kept = ask(plant, mode()), ask(stays, mode())
    attach_plants(connection=new, external_plant_ids=[plant.external_plant_id])
    plant.refresh_from_db()
    younger = ask(plant, setpoint(), at=LATER)

    between = [ids(claims(link, at=LATER)) for link in (old, new)]
    follow_moved(at=LATER, policy=factories.policy())

    assert between == [[message_of(kept).pk], []]
    assert ids(deliver(new, at=LATER)) == [messages_of(moved)[1].pk, message_of(younger).pk]


def test_a_plant_that_moves_takes_its_undelivered_emergency_along():
    plant = factories.plant()
    old = plant.connection
    new = successor(old, mode=ConnectionMode.ACTIVE)
    stop = ask(plant, stop_now())
    claims(old)
    attach_plants(connection=new, external_plant_ids=[plant.external_plant_id])

    follow_moved(at=LATER, policy=factories.policy())

    assert claims(old, at=LATER) == []
    assert ids(claims(new, at=LATER)) == [messages_of(stop)[1].pk]


def test_when_nothing_moved_the_tick_finds_nothing():
    plant = factories.plant()
    ask(plant, mode())

    assert follow_moved(at=AT, policy=factories.policy()) == 0


# --- drained ----------------------------------------------------------------------------------------------------------


def retired(at):
    return retire_drained(at=at, grace=GRACE, policy=factories.policy())


def test_the_old_connection_retires_when_nothing_is_pending_and_its_deadlines_are_over():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    command = ask(plant, mode())
    window = claims(old)
    taken_over(old, new)
    while_pending = retired(LATER)
    broker_says(Outcome.CONFIRMED, *window, at=LATER)
    command.refresh_from_db()

    before, after = retired(command.ack_due_at - timedelta(seconds=1)), retired(command.ack_due_at)

    old.refresh_from_db()
    assert (while_pending, before, after) == (0, 0, 1)
    assert old.retired_at == command.ack_due_at
    assert retired(command.ack_due_at) == 0


def test_a_long_execution_is_waited_for_until_the_grace_is_over():
    plant = factories.plant()
    old = plant.connection
    start = AT + 3 * GRACE
    command = ask(plant, setpoint(valid_from=start, valid_until=start + timedelta(hours=1)))
    deliver(old)
    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="ACK_ACCEPTED")
    taken_over(old, successor(old))

    assert [retired(LATER + GRACE - timedelta(seconds=1)), retired(LATER + GRACE)] == [0, 1]


def test_a_plant_that_reached_the_old_connection_during_the_takeover_is_moved_on():
    old = factories.connection()
    new = successor(old)
    taken_over(old, new)
    stray = factories.plant(on=new)
    Plant.objects.filter(pk=stray.pk).update(connection=old)

    retired(LATER)

    assert Plant.objects.get().connection == new


def test_a_connection_that_nobody_took_over_never_retires():
    factories.connection()

    assert retired(AT + 10 * GRACE) == 0


# --- at once with others ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_takeover_and_a_claim_at_once_send_no_message_twice_and_lose_none():
    old = factories.connection()
    new = successor(old)
    commands = [ask(factories.plant(on=old, assets=[]), mode()) for _ in range(12)]
    lease(old)

    claimed, done = together(
        lambda: claims(old, at=LATER, window=6),
        lambda: take_over(old=old, new=new, at=LATER, policy=factories.policy()),
    )

    draining = set(ids(claimed))
    replaced = set(OutboundMessage.objects.filter(outcome=Outcome.REPLACED).values_list("pk", flat=True))
    assert not draining & replaced
    assert len(draining) + len(replaced) == len(commands)
    assert done.followed.replaced == len(replaced)
    assert {one.outbound_id for one in claims(new, at=LATER)} == set(
        OutboundMessage.objects.filter(connection=new).values_list("pk", flat=True)
    )


@pytest.mark.django_db(transaction=True)
def test_two_takeovers_at_once_make_one():
    old = factories.connection()
    one, other = successor(old), successor(old)
    factories.plant(on=old)

    answers = together(lambda: taken_over(old, one), lambda: taken_over(old, other))

    refusals = [answer for answer in answers if isinstance(answer, Conflict)]
    assert [error.code for error in refusals] == ["CONNECTION_SUCCEEDED"]
    old.refresh_from_db()
    assert Plant.objects.get().connection_id == old.succeeded_by_id
