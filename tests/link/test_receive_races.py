"""Two consumers at once: overlapping batches, the same alarms, deadlocks that rivals cause, partitions that vanish."""

from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from dispatch.models import Command
from dispatch.states import State
from link import inbox
from plants.models import Alarm, DeadLetter, InboundMessage, MeterReading, PlantState, TelemetryReading
from plants.services.partitions import partition_name
from tests import factories
from tests.dispatch.helpers import ask, deliver, message_of, mode, state_of, words_of
from tests.factories import AT
from tests.link.helpers import ack, alarm, delivery, execution, hear, meter, mode_event, realtime, seconds
from tests.threads import Aside, together, until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def everything(link, plants, commands):
    """A batch of every kind about every plant, in the order of the plants."""
    batch = []
    for n, plant in enumerate(plants):
        batch += [
            mode_event(plant, "STANDARD", at=AT + seconds(n)),
            realtime(plant, at=AT + seconds(n)),
            meter(plant, at=AT + seconds(n)),
            alarm(plant, f"a{n}"),
            alarm(plant, f"a{n}", cleared=AT + seconds(60)),
        ]
    for command in commands:
        correlation = message_of(command).correlation_id
        batch += [
            execution("COMPLETED", command.plant, correlation, at=AT + seconds(2)),
            ack("ACCEPTED", command.plant, correlation, at=AT + seconds(1)),
        ]
    return [*batch, delivery(b"nonsense 1"), delivery(b"nonsense 2")]


def test_consumers_with_the_same_messages_in_opposite_order_store_each_once_without_deadlock(monkeypatch):
    monkeypatch.setattr(inbox, "MAX_ATTEMPTS", 1)  # a deadlock would be healed by the next attempt
    link = factories.connection()
    plants = [factories.plant(on=link, assets=[]) for _ in range(6)]
    commands = [ask(plant, mode()) for plant in plants]
    deliver(link)
    batch = everything(link, plants, commands)

    reports = together(
        *[
            lambda some=some: [hear(link, *some[start : start + 11]) for start in range(0, len(some), 11)]
            for some in (batch, batch[::-1], batch, batch[::-1])
        ]
    )

    assert not [one for one in reports if isinstance(one, Exception)]
    assert TelemetryReading.objects.count() == MeterReading.objects.count() == 6
    assert {row.cleared_at for row in Alarm.objects.all()} == {AT + seconds(60)}
    assert Alarm.objects.count() == 6
    assert InboundMessage.objects.count() == 6 * 3 + 6 * 2
    assert {state_of(command) for command in commands} == {State.COMPLETED}
    assert {row.mode for row in PlantState.objects.all()} == {"STANDARD"}
    assert sorted((bytes(row.body), row.count) for row in DeadLetter.objects.all()) == [
        (b"nonsense 1", 4),
        (b"nonsense 2", 4),
    ]


def test_a_raise_and_a_clear_of_a_new_alarm_on_two_consumers_at_once_are_both_applied():
    """One of them became a dead letter: both found no row, and the second insert was refused."""
    plant = factories.plant()

    for n in range(10):
        reports = together(
            lambda n=n: hear(plant.connection, alarm(plant, f"a{n}")),
            lambda n=n: hear(plant.connection, alarm(plant, f"a{n}", cleared=AT + seconds(60))),
        )
        assert [one.applied for one in reports] == [1, 1]

    assert not DeadLetter.objects.exists()
    assert {row.cleared_at for row in Alarm.objects.all()} == {AT + seconds(60)}


def test_the_same_new_messages_on_two_consumers_at_once_are_counted_once():
    command = ask(factories.plant(), mode())
    deliver(command.connection)
    message = ack("ACCEPTED", command.plant, message_of(command).correlation_id)

    reports = together(*[lambda: hear(command.connection, message)] * 3)

    assert sorted((one.applied, one.duplicates) for one in reports) == [(0, 1), (0, 1), (1, 0)]
    assert words_of(command)[-1] == ("ACCEPTED", "APPLIED")


def test_a_batch_waits_for_a_rival_that_holds_its_command_and_then_applies():
    command = ask(factories.plant(), mode())
    deliver(command.connection)
    message = ack("ACCEPTED", command.plant, message_of(command).correlation_id)

    with transaction.atomic():
        list(Command.objects.select_for_update().filter(pk=command.pk))
        consumer = Aside(lambda: hear(command.connection, message))
        until_blocked()

    assert consumer.answer().applied == 1
    assert state_of(command) == State.ACCEPTED


@pytest.mark.postgresql
def test_a_batch_that_is_the_victim_of_a_deadlock_is_tried_again_as_a_whole():
    """A rival that locks in another order than we do: PostgreSQL breaks the circle at our side."""
    plant = factories.plant()
    first, second = ask(plant, mode()), ask(plant, mode())
    deliver(plant.connection)
    words = [
        ack("ACCEPTED", plant, message_of(one).correlation_id, at=AT + seconds(1)) for one in (first, second)
    ]

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL deadlock_timeout = '1h'"
            )  # so that ours is the side that finds the circle
        list(Command.objects.select_for_update().filter(pk=second.pk))
        consumer = Aside(lambda: hear(plant.connection, realtime(plant), *words))
        until_blocked()
        list(Command.objects.select_for_update().filter(pk=first.pk))

    report = consumer.answer()
    assert (report.applied, report.dead_letters) == (3, 0)
    assert (state_of(first), state_of(second)) == (State.ACCEPTED, State.ACCEPTED)
    assert TelemetryReading.objects.count() == 1


@pytest.mark.postgresql
def test_when_the_database_gives_up_the_caller_is_told_and_nothing_is_half_done():
    """Not a deadlock: a statement that timed out. Nothing may be acknowledged, nothing may become a dead letter."""
    plant = factories.plant()
    hear(plant.connection, realtime(plant))
    command = ask(plant, mode())
    deliver(plant.connection)
    message = ack("ACCEPTED", plant, message_of(command).correlation_id)

    def impatient():
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '200ms'")
        try:
            return hear(plant.connection, realtime(plant, at=AT + seconds(9)), message)
        finally:
            with connection.cursor() as cursor:  # the pool gives this connection to later tests
                cursor.execute("RESET statement_timeout")

    with transaction.atomic():
        list(Command.objects.select_for_update().filter(pk=command.pk))
        answer = Aside(impatient).answer()

    assert isinstance(answer, OperationalError)
    assert TelemetryReading.objects.count() == 1
    assert not InboundMessage.objects.exists()
    assert not DeadLetter.objects.exists()


@pytest.mark.postgresql
def test_a_partition_that_another_process_dropped_is_made_anew():
    """This process remembers it; its rows were turned into dead letters."""
    plant = factories.plant()
    hear(plant.connection, realtime(plant), meter(plant))
    with connection.cursor() as cursor:
        for table in ("plants_telemetryreading", "plants_meterreading"):
            cursor.execute(f"DROP TABLE {partition_name(table, AT.date())}")

    report = hear(plant.connection, realtime(plant, at=AT + seconds(1)), meter(plant, at=AT + seconds(1)))

    assert (report.applied, report.dead_letters) == (2, 0)
    assert TelemetryReading.objects.count() == MeterReading.objects.count() == 1


@pytest.mark.postgresql
def test_a_race_that_was_lost_once_is_run_again(writer_that_does_not_lock):
    command = ask(factories.plant(), mode())
    deliver(command.connection)
    message = ack("ACCEPTED", command.plant, message_of(command).correlation_id)

    with writer_that_does_not_lock:
        report = hear(command.connection, message)

    assert (report.applied, report.dead_letters) == (1, 0)
    assert state_of(command) == State.ACCEPTED


@pytest.fixture
def writer_that_does_not_lock():
    """Played by a trigger that takes the first update of a command away from us."""

    @contextmanager
    def playing():
        with connection.cursor() as cursor:
            cursor.execute("CREATE SEQUENCE tries")  # counts on through the rollback
            cursor.execute(
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN IF nextval(''tries'') = 1 THEN RETURN NULL; END IF; RETURN NEW; END'"
            )
            cursor.execute(
                "CREATE TRIGGER swallow BEFORE UPDATE ON dispatch_command FOR EACH ROW EXECUTE FUNCTION swallow()"
            )
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP FUNCTION swallow CASCADE")
                cursor.execute("DROP SEQUENCE tries")

    return playing()
