"""The order of locks: every batch takes its rows by their keys, whatever order its messages arrive in.

Two batches that take the same rows in different orders deadlock; here one of them is held at its first row, and looked
at for what it holds beyond.
"""

import pytest
from django.db import connection, transaction

from dispatch.models import Command
from plants.models import Alarm, DeadLetter, PlantState
from tests import factories
from tests.dispatch.helpers import ask, deliver, message_of, mode
from tests.factories import AT
from tests.link.helpers import ack, alarm, delivery, event, hear, meter, mode_event, realtime, seconds
from tests.threads import Aside, until_blocked

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


# --- rows that are there ----------------------------------------------------------------------------------------------


def alarms_backwards(one, two):
    hear(one.connection, alarm(one, "a1"), alarm(two, "a2"))
    rows = Alarm.objects.order_by("alarm_id")
    later = {"raised": AT + seconds(5), "cleared": AT + seconds(9)}
    return [alarm(two, "a2", **later), alarm(one, "a1", **later)], rows


def words_backwards(one, two):
    rows = Command.objects.filter(pk__in=[ask(plant, mode()).pk for plant in (one, two)]).order_by("pk")
    deliver(one.connection)
    first, second = rows
    words = [ack("ACCEPTED", two, message_of(second).correlation_id)]
    return [*words, ack("ACCEPTED", one, message_of(first).correlation_id)], rows


def telemetry_and_mode_backwards(one, two):
    """The states are locked by two services: readings for one plant, a mode event for the other."""
    return [realtime(two), mode_event(one, "STANDARD")], PlantState.objects.order_by("plant_id")


def modes_backwards(one, two):
    return [mode_event(two, "STANDARD"), mode_event(one, "STANDARD")], PlantState.objects.order_by("plant_id")


def letters_backwards(one, two):
    letters = [delivery(b"nonsense 1"), delivery(b"nonsense 2")]
    hear(one.connection, *letters)
    rows = DeadLetter.objects.order_by("digest")
    ordered = [bytes(row.body) for row in rows]
    return sorted(letters, key=lambda letter: ordered.index(letter.body), reverse=True), rows


@pytest.mark.parametrize(
    "prepare",
    [alarms_backwards, words_backwards, telemetry_and_mode_backwards, modes_backwards, letters_backwards],
)
def test_a_batch_locks_its_rows_by_their_keys_and_not_as_they_arrive(prepare):
    """While it waits for the first row it holds no later one: a rival that locks in order can't get into a circle."""
    link = factories.connection()
    one, two = (factories.plant(on=link, assets=[]) for _ in range(2))
    batch, rows = prepare(one, two)
    first, second = (row.pk for row in rows)
    hear(link, realtime(one, at=AT - seconds(9)))  # makes the day's partitions

    with transaction.atomic():
        list(rows.select_for_update().filter(pk=first))
        consumer = Aside(lambda: hear(link, *batch))
        until_blocked()
        free = list(rows.select_for_update(nowait=True).filter(pk=second))

    assert len(free) == 1
    assert consumer.answer().received == 2


# --- rows in the making -----------------------------------------------------------------------------------------------


def new_alarms(one, two):
    return lambda: [alarm(one, "a1"), alarm(two, "a2")]


def new_samples(one, two):
    return lambda: [realtime(one), realtime(two)]


def new_registers(one, two):
    return lambda: [meter(one, "M1"), meter(one, "M2")]


def new_events(one, two):
    names = ("0" * 32, "f" * 32)
    return lambda: [event("event.weather", {}, site=one, messageId=name) for name in names]


def new_letters(one, two):
    letters = [delivery(b"nonsense 1"), delivery(b"nonsense 2")]
    hear(one.connection, *letters)
    by_digest = [bytes(row.body) for row in DeadLetter.objects.order_by("digest")]
    DeadLetter.objects.all().delete()
    return lambda: [delivery(body) for body in by_digest]


@pytest.mark.parametrize("arriving", [1, -1], ids=["in order", "backwards"])
@pytest.mark.parametrize("make", [new_alarms, new_samples, new_registers, new_events, new_letters])
def test_a_batch_makes_its_rows_in_the_order_of_their_keys(make, arriving):
    """While it waits for a rival that makes the first row, the rival can make the second one too."""
    link = factories.connection()
    one, two = (factories.plant(on=link, assets=[]) for _ in range(2))
    messages = make(one, two)
    hear(
        link, realtime(one, at=AT - seconds(9)), meter(one, at=AT - seconds(9))
    )  # makes the day's partitions

    with transaction.atomic():
        first, second = messages()
        hear(link, first)
        consumer = Aside(lambda: hear(link, *messages()[::arriving]))
        until_blocked()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
        hear(link, second)

    assert consumer.answer().received == 2
