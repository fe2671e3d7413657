"""Due commands enter the outbox: built and signed then, not before, the most urgent first, none in another's way."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from dispatch.models import Command, OutboundMessage
from dispatch.services.bulk import COPY_FROM_ROWS
from dispatch.services.due import queue_due
from dispatch.states import State
from plants.models import Connection, Plant
from plants.services.connections import attach_plants
from tests import factories
from tests.dispatch.helpers import (
    ask,
    envelope_of,
    last_event,
    message_of,
    mode,
    setpoint,
    state_of,
    stop_now,
)
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import Aside, together

pytestmark = pytest.mark.django_db
SOON = AT + timedelta(minutes=5)


def test_a_command_is_built_with_the_time_at_which_it_is_due():
    command = ask(factories.plant(), mode(), due_at=SOON)

    count = queue_due(at=SOON)

    assert count == 1
    assert state_of(command) == State.QUEUED
    assert envelope_of(message_of(command))["timestamp"] == "2026-01-02T03:05:00.000Z"
    assert message_of(command).deliver_by_at == SOON + timedelta(seconds=60)


def test_what_is_not_due_yet_stays_scheduled():
    command = ask(factories.plant(), mode(), due_at=SOON)

    assert queue_due(at=SOON - timedelta(milliseconds=1)) == 0
    assert state_of(command) == State.SCHEDULED


def test_a_command_is_built_for_the_plant_as_it_is_when_due():
    plant = factories.plant(voke_uuid=None)
    command = ask(plant, mode(), due_at=SOON)
    Plant.objects.update(voke_uuid="7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d")

    queue_due(at=SOON)

    assert envelope_of(message_of(command))["siteId"] == "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def test_a_command_whose_time_passed_while_it_waited_expires_and_is_never_built():
    command = ask(factories.plant(), mode(), due_at=SOON)

    queue_due(at=SOON + timedelta(seconds=60))

    assert state_of(command) == State.EXPIRED
    assert not OutboundMessage.objects.exists()


def test_the_earliest_due_goes_first_when_not_all_fit():
    plant = factories.plant()
    late = ask(plant, mode(), due_at=SOON)
    early = ask(plant, mode(), due_at=SOON - timedelta(seconds=1))

    count = queue_due(at=SOON, limit=1)

    assert count == 1
    assert (state_of(early), state_of(late)) == (State.QUEUED, State.SCHEDULED)


def test_commands_due_at_the_same_time_are_stored_in_the_order_in_which_they_were_asked_for():
    plant = factories.plant()
    commands = [ask(plant, setpoint(float(kw)), due_at=SOON) for kw in range(1, 4)]

    queue_due(at=SOON)

    assert [row.command_id for row in OutboundMessage.objects.order_by("pk")] == [one.pk for one in commands]


def test_a_command_that_was_taken_back_by_an_emergency_is_not_built():
    plant = factories.plant()
    command = ask(plant, mode(), due_at=SOON)
    ask(plant, stop_now())

    assert queue_due(at=SOON) == 0
    assert state_of(command) == State.SUPERSEDED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: Connection.objects.filter(pk=link.pk).update(signing_key=""),
        lambda link: Connection.objects.filter(pk=link.pk).update(routing_prefix="a b"),
        factories.make_undecryptable,
    ],
    ids=["key gone", "prefix broken", "key undecryptable"],
)
def test_commands_that_cannot_be_built_end_with_the_reason_and_block_nobody(spoil):
    broken, sound = factories.plant(), factories.plant()
    doomed = [ask(broken, mode(), due_at=SOON) for _ in range(3)]
    fine = ask(sound, mode(), due_at=SOON)
    spoil(broken.connection)

    count = queue_due(at=SOON)

    assert count == 4
    assert state_of(fine) == State.QUEUED
    assert {state_of(one) for one in doomed} == {State.CANCELLED}
    assert {one.cause for one in doomed} == {"CANNOT_BUILD"}
    assert last_event(doomed[0]).detail["error"]
    assert queue_due(at=SOON) == 0


def test_only_the_command_that_cannot_be_built_ends_and_its_neighbours_are_sent():
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(5)]
    commands = [ask(one, mode(), due_at=SOON) for one in plants]
    Command.objects.filter(pk=commands[2].pk).update(payload={"no double holds this": 10**400})

    queue_due(at=SOON)

    assert [state_of(one) for one in commands] == ["QUEUED", "QUEUED", "CANCELLED", "QUEUED", "QUEUED"]


def test_the_number_of_queries_does_not_grow_with_the_number_of_due_commands():
    plant = factories.plant()

    def queued(count):
        for _ in range(count):
            ask(plant, mode(), due_at=SOON)
        used = queries_of(lambda: queue_due(at=SOON))
        assert not Command.objects.filter(state=State.SCHEDULED).exists()
        return used

    assert queued(COPY_FROM_ROWS) == queued(2 * COPY_FROM_ROWS)


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_build_each_command_once():
    plant = factories.plant()
    for _ in range(20):
        ask(plant, mode(), due_at=SOON)

    answers = together(lambda: queue_due(at=SOON), lambda: queue_due(at=SOON))

    assert sum(answers) == 20
    assert OutboundMessage.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_tick_skips_what_another_one_holds_and_does_not_wait_for_it():
    plant = factories.plant()
    command = ask(plant, mode(), due_at=SOON)

    with transaction.atomic():
        first = queue_due(at=SOON)
        other = Aside(lambda: queue_due(at=SOON))
        # SQLite has one writer at a time: there the other one waits for the whole transaction.
        second = other.answer() if connection.vendor == "postgresql" else 0

    assert (first, second, other.answer()) == (1, 0, 0)
    assert state_of(command) == State.QUEUED


# --- one connection's fault -------------------------------------------------------------------------------------------


def test_an_unforeseen_fault_of_one_connection_is_told_after_all_others_had_their_turn():
    spoilt, sound = factories.plant(), factories.plant()
    stuck, free = (ask(plant, mode(), due_at=SOON) for plant in (spoilt, sound))
    Connection.objects.filter(pk=spoilt.connection_id).update(signed_families=7)

    with pytest.raises(ExceptionGroup) as caught:
        queue_due(at=SOON)

    assert [type(error) for error in caught.value.exceptions] == [TypeError]
    assert [state_of(one) for one in (stuck, free)] == [State.SCHEDULED, State.QUEUED]


def test_an_unknown_key_decoding_ends_the_commands_of_its_connection_alone():
    spoilt, sound = factories.plant(), factories.plant()
    doomed, free = (ask(plant, mode(), due_at=SOON) for plant in (spoilt, sound))
    Connection.objects.filter(pk=spoilt.connection_id).update(key_decoding="rot")

    queue_due(at=SOON)

    assert [state_of(one) for one in (doomed, free)] == [State.CANCELLED, State.QUEUED]
    assert doomed.cause == "CANNOT_BUILD"


def test_a_connection_with_more_than_a_turn_of_due_commands_leaves_others_theirs():
    busy, quiet = factories.plant(), factories.plant()
    first = [ask(busy, mode(), due_at=SOON) for _ in range(3)]
    other = ask(quiet, mode(), due_at=SOON)

    count = queue_due(at=SOON, limit=2)

    assert count == 3
    assert [state_of(one) for one in first] == [State.QUEUED, State.QUEUED, State.SCHEDULED]
    assert state_of(other) == State.QUEUED


def test_a_command_of_a_plant_that_moved_is_built_for_the_connection_that_it_has_now():
    plant = factories.plant()
    command = ask(plant, mode(), due_at=SOON)
    elsewhere = factories.connection(owner=plant.organisation)
    attach_plants(connection=elsewhere, external_plant_ids=[plant.external_plant_id])

    queue_due(at=SOON)

    command.refresh_from_db()
    assert (command.connection, message_of(command).connection) == (elsewhere, elsewhere)
