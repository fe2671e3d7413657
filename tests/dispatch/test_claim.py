"""Claiming: which messages a relay may hand over now, in which order, and what is held back."""

from datetime import timedelta

import pytest
from django.db import connection

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.services.claim import has_sendable, sendable
from dispatch.services.site_config import publish_changed
from dispatch.states import State
from plants.models import Connection, ConnectionMode
from plants.services.connections import set_connection_dispatch
from plants.services.organisations import set_installation_dispatch
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    lease,
    message_of,
    mode,
    release,
    setpoint,
    state_of,
    stop_now,
)
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def ids(claimed):
    return [one.outbound_id for one in claimed]


def test_a_claim_commits_the_attempt_before_anything_is_handed_over():
    plant = factories.plant()
    message = message_of(ask(plant, mode()))

    claimed = claims(plant.connection, at=AT + timedelta(seconds=1))

    message.refresh_from_db()
    assert (message.attempted_at, message.attempts) == (AT + timedelta(seconds=1), 1)
    assert claimed[0].body == bytes(message.body)
    assert claimed[0].message_id == str(message.message_id)
    assert claimed[0].routing_key == "acme.command.mode"
    assert state_of(message.command) == State.QUEUED


def test_a_message_that_was_not_settled_is_claimed_again_as_the_same_bytes_and_keeps_its_first_attempt():
    plant = factories.plant()
    message = message_of(ask(plant, mode()))
    first = claims(plant.connection)

    again = claims(plant.connection, at=AT + timedelta(seconds=5))

    message.refresh_from_db()
    assert [(one.outbound_id, one.body, one.message_id) for one in again] == [
        (one.outbound_id, one.body, one.message_id) for one in first
    ]
    assert (message.attempted_at, message.attempts) == (AT, 2)


def test_a_message_may_be_handed_over_until_its_command_is_over_or_its_bytes_are_too_old():
    link = factories.connection()
    ask(factories.plant(on=link), mode())
    ask(factories.plant(on=link), setpoint())

    claimed = claims(link)

    assert [one.not_after for one in claimed] == [
        AT + timedelta(seconds=60),
        AT + factories.policy().replay_margin,
    ]


def test_emergencies_go_first_and_everything_else_in_the_order_in_which_it_was_made():
    link = factories.connection()
    quiet, calm, burning = (factories.plant(on=link) for _ in range(3))
    first, second = message_of(ask(quiet, mode())), message_of(ask(calm, setpoint()))
    stop = message_of(ask(burning, stop_now()))

    assert ids(claims(link)) == [stop.pk, first.pk, second.pk]


def test_a_window_takes_no_more_than_asked_for():
    link = factories.connection()
    made = [message_of(ask(factories.plant(on=link), mode())).pk for _ in range(3)]

    assert ids(claims(link, window=2)) == made[:2]


def test_an_emergency_is_in_the_window_however_much_waited_longer():
    link = factories.connection()
    quiet, burning = factories.plant(on=link), factories.plant(on=link)
    for _ in range(3):
        ask(quiet, setpoint())
    stop = message_of(ask(burning, stop_now()))

    assert ids(claims(link, window=1)) == [stop.pk]


def test_only_the_connections_own_messages_are_claimed():
    ours, theirs = factories.plant(), factories.plant()
    mine = message_of(ask(ours, mode()))
    ask(theirs, mode())

    assert ids(claims(ours.connection)) == [mine.pk]


def test_nothing_is_claimed_before_it_is_due():
    plant = factories.plant()
    ask(plant, mode(), due_at=AT + timedelta(minutes=1))

    assert claims(plant.connection) == []


# --- the order of one plant -------------------------------------------------------------------------------------------


def test_one_message_of_a_plant_is_on_its_way_at_a_time():
    plant = factories.plant()
    first, second = (message_of(ask(plant, setpoint(kw))) for kw in (1.0, 2.0))

    one, again = claims(plant.connection), claims(plant.connection)
    broker_says(Outcome.CONFIRMED, *one)

    assert ids(one) == ids(again) == [first.pk]
    assert ids(claims(plant.connection)) == [second.pk]


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_a_message_that_the_broker_did_not_take_lets_the_next_one_go(outcome):
    plant = factories.plant()
    ask(plant, setpoint(1.0))
    second = message_of(ask(plant, setpoint(2.0)))

    broker_says(outcome, *claims(plant.connection))

    assert ids(claims(plant.connection)) == [second.pk]


# --- held back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switch",
    [
        lambda plant, on: set_installation_dispatch(enabled=on),
        lambda plant, on: set_connection_dispatch(connection_id=plant.connection_id, enabled=on),
        lambda plant, on: set_plant_dispatch(plant_id=plant.pk, enabled=on),
        lambda plant, on: Connection.objects.update(mode="ACTIVE" if on else ConnectionMode.OBSERVE),
    ],
    ids=["installation", "connection", "plant", "observe"],
)
@pytest.mark.parametrize("payload", [mode(), stop_now()], ids=["command", "emergency"])
def test_each_switch_holds_messages_back_and_lets_them_go_again(switch, payload):
    plant = factories.plant()
    message = message_of(ask(plant, payload))

    switch(plant, False)
    held = claims(plant.connection)
    switch(plant, True)

    assert held == []
    assert ids(claims(plant.connection)) == [message.pk]


def test_a_held_plant_does_not_stand_in_the_way_of_others():
    link = factories.connection()
    held, free = factories.plant(on=link), factories.plant(on=link)
    for _ in range(5):
        ask(held, mode())
    message = message_of(ask(free, mode()))
    set_plant_dispatch(plant_id=held.pk, enabled=False)

    assert ids(claims(link, window=2)) == [message.pk]


def test_a_message_held_by_a_switch_is_not_marked_as_attempted():
    plant = factories.plant()
    message = message_of(ask(plant, mode()))
    set_plant_dispatch(plant_id=plant.pk, enabled=False)

    claims(plant.connection)

    message.refresh_from_db()
    assert message.attempted_at is None


def test_a_latched_plant_is_sent_its_emergencies_and_nothing_else_not_even_site_config():
    link = factories.connection()
    burning, quiet = factories.plant(on=link), factories.plant(on=link)
    ask(burning, stop_now())
    publish_changed(at=AT, policy=factories.policy())
    stop = message_of(Command.objects.get())

    claimed = set(ids(claims(link)))

    topology = OutboundMessage.objects.get(plant=quiet, family="config.topology")
    assert claimed == {stop.pk, topology.pk}


def test_what_the_latch_held_back_goes_after_the_release():
    plant = factories.plant()
    ask(plant, stop_now())
    publish_changed(at=AT, policy=factories.policy())
    deliver(plant.connection)

    release(plant)

    assert [one.routing_key for one in deliver(plant.connection)] == [
        "acme.config.topology", "acme.config.constraints", "acme.config.fallback", "acme.command.mode",
    ]  # fmt: skip


def test_a_message_whose_command_voke_has_answered_is_not_sent_again():
    """A relay crashed between the broker's confirm and its own bookkeeping, and the answer came meanwhile."""
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)
    Command.objects.update(state=State.COMPLETED)

    assert claims(plant.connection, at=AT + timedelta(seconds=5)) == []
    assert message_of(command).attempts == 1


def test_an_idle_connection_has_nothing_to_claim():
    plant = factories.plant()

    before = has_sendable(connection=plant.connection, holder="a", at=AT)
    ask(plant, mode())

    assert not before
    assert has_sendable(connection=plant.connection, holder="a", at=AT)


@pytest.mark.parametrize("switch", ["installation", "connection", "mode"])
def test_a_relay_that_is_switched_off_finds_nothing_and_so_writes_nothing(switch):
    plant = factories.plant()
    ask(plant, mode())

    if switch == "installation":
        set_installation_dispatch(enabled=False)
    elif switch == "connection":
        set_connection_dispatch(connection_id=plant.connection_id, enabled=False)
    else:
        Connection.objects.update(mode=ConnectionMode.OBSERVE)

    assert not has_sendable(connection=plant.connection, holder="a", at=AT)


@pytest.mark.postgresql
def test_postgresql_does_not_compile_the_plan_of_a_claim():
    """With thousands of messages in the outbox it would spend seconds on that, and milliseconds on the claim."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)


@pytest.mark.postgresql
def test_a_claim_reads_the_outbox_in_its_order_and_compares_each_message_with_those_of_its_plant_only():
    """Where PostgreSQL had not counted what waits, it looked for each message through the whole outbox."""
    plant = factories.plant()
    ask(plant, mode())
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")

    plan = sendable(plant.connection, AT).order_by("-urgent", "standing", "pk")[:10].explain()

    assert plan.count("outbox_in_order") == 1
    assert plan.count("outbox_pending_by_plant") == 1
    assert "Sort" not in plan


# --- how much it costs ------------------------------------------------------------------------------------------------


def test_the_number_of_queries_of_a_claim_does_not_grow_with_its_window():
    small, large = factories.connection(), factories.connection()
    for link, count in ((small, 2), (large, 20)):
        lease(link)
        for _ in range(count):
            ask(factories.plant(on=link, assets=[]), mode())

    few, many = (queries_of(lambda link=link: claims(link)) for link in (small, large))

    assert message_count_attempted() == 22
    assert (few, many) == (8, 8)


def message_count_attempted():
    return OutboundMessage.objects.filter(attempts=1).count()
