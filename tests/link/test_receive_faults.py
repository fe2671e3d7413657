"""A sick database: backed off from, tried again, or blamed on a message; halving counted in transactions."""

import json
import math
from contextlib import contextmanager
from unittest import mock

import psycopg
import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from dispatch.services.life import LostRace
from link import inbox
from link.applying import Inlet, Report
from link.database_trouble import Fault, fault_of
from link.inbox import MAX_ATTEMPTS, receive
from link.parsing import BYTES_KEPT
from plants.models import DeadLetter, InboundMessage, RecentTelemetryBody
from tests import factories
from tests.factories import AT
from tests.link.helpers import RETENTION_DAYS, alarm, delivery, hear, inlet, realtime

pytestmark = pytest.mark.django_db


def told_by_server(kind, sqlstate):
    """An error of Django as psycopg's becomes one."""

    class Server(psycopg.Error):
        pass

    cause = Server("as the server says")
    cause.sqlstate = sqlstate
    error = kind("as the server says")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("kind", "sqlstate", "fault"),
    [
        (OperationalError, "08006", Fault.AWAY),
        (OperationalError, "53100", Fault.AWAY),
        (OperationalError, "53200", Fault.AWAY),
        (OperationalError, "57P01", Fault.AWAY),
        (OperationalError, "57P03", Fault.AWAY),
        (OperationalError, "58030", Fault.AWAY),
        (InternalError, "25006", Fault.AWAY),
        (InternalError, "25P03", Fault.AWAY),
        (ProgrammingError, "42P01", Fault.AWAY),
        (ProgrammingError, "42501", Fault.AWAY),
        (ProgrammingError, "3F000", Fault.AWAY),
        (NotSupportedError, "0A000", Fault.AWAY),
        (OperationalError, "26000", Fault.AWAY),
        (InternalError, "XX001", Fault.AWAY),
        (InternalError, "XX000", Fault.MESSAGE),
        (OperationalError, "40P01", Fault.RIVAL),
        (OperationalError, "40001", Fault.RIVAL),
        (OperationalError, "55P03", Fault.RIVAL),
        (OperationalError, "40003", Fault.RIVAL),
        (OperationalError, "55006", Fault.RIVAL),
        (OperationalError, "57014", Fault.SLOW),
        (DataError, "22021", Fault.MESSAGE),
        (DataError, "22003", Fault.MESSAGE),
        (IntegrityError, "23505", Fault.MESSAGE),
        (IntegrityError, "23514", Fault.MESSAGE),
        (OperationalError, "54000", Fault.MESSAGE),
        (DatabaseError, "P0001", Fault.MESSAGE),
    ],
)
def test_the_servers_code_decides_whose_fault_it_is(kind, sqlstate, fault):
    assert fault_of(told_by_server(kind, sqlstate)) is fault


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OperationalError("server closed the connection"), Fault.AWAY),
        (InterfaceError("connection already closed"), Fault.AWAY),
        (IntegrityError("UNIQUE constraint failed"), Fault.MESSAGE),
        (OverflowError("too large for SQLite"), Fault.MESSAGE),
        (MemoryError(), Fault.AWAY),
        (LostRace("a -> b"), Fault.RIVAL),
    ],
    ids=lambda one: type(one).__name__,
)
def test_without_a_code_the_kind_of_error_decides(error, fault):
    assert fault_of(error) is fault


# --- a batch and its guilty messages ----------------------------------------------------------------------------------


class Poison:
    """Lets the batch fail whenever a marked message is in it; counts transactions and writes down what went well."""

    def __init__(self, guilty, error=None):
        self.guilty = {json.loads(one.body)["messageId"] for one in guilty}
        self.error = error or (lambda: IntegrityError("refused"))
        self.ends_after = math.inf
        self.transactions = 0
        self.stored = []
        self.letters = []

    def __call__(self, parsed, letters, *, inlet, at):
        self.transactions += 1
        ids = [one.message_id for one in parsed]
        if self.transactions <= self.ends_after and self.guilty.intersection(ids):
            raise self.error()
        self.stored += ids
        self.letters += letters
        return Report(applied=len(ids), dead_letters=len(letters))


@contextmanager
def poisoned(guilty, error=None):
    poison = Poison(guilty, error)
    with mock.patch.object(inbox, "apply_together", autospec=True, side_effect=poison):
        yield poison


def ids_of(batch):
    return [json.loads(one.body)["messageId"] for one in batch]


@pytest.mark.parametrize("place", [0, 1, 249, 250, 371, 499])
def test_one_poison_message_in_a_full_batch_costs_no_more_than_twenty_transactions(place):
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(500)]
    with poisoned([batch[place]]) as poison:
        report = receive(batch, inlet=inlet(plant.connection), at=AT)

    assert poison.transactions <= 2 + 2 * math.ceil(math.log2(500))
    assert (report.received, report.applied, report.dead_letters) == (500, 499, 1)
    assert sorted(poison.stored) == sorted(set(ids_of(batch)) - poison.guilty)
    assert [one.reason for one in poison.letters] == ["NOT_APPLICABLE"]


@pytest.mark.parametrize("count", [2, 5, 50, 500])
def test_several_poison_messages_cost_a_bounded_number_of_transactions_and_no_good_one(count):
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(500)]
    guilty = batch[:: 500 // count]
    with poisoned(guilty) as poison:
        report = receive(batch, inlet=inlet(plant.connection), at=AT)

    assert poison.transactions <= 2 + count * (2 + 2 * math.ceil(math.log2(500 / count)))
    assert (report.applied, report.dead_letters) == (500 - count, count)
    assert sorted(poison.stored) == sorted(set(ids_of(batch)) - poison.guilty)


def test_all_dead_letters_of_a_batch_are_stored_in_one_transaction_after_what_is_good():
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(8)]
    with poisoned([batch[1], batch[6]]) as poison:
        receive([*batch, delivery(b"nonsense")], inlet=inlet(plant.connection), at=AT)

    assert sorted(one.reason for one in poison.letters) == [
        "MALFORMED_JSON",
        "NOT_APPLICABLE",
        "NOT_APPLICABLE",
    ]


def test_a_database_that_goes_away_while_a_batch_is_divided_is_not_blamed_on_messages():
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(8)]
    errors = iter([IntegrityError("refused"), told_by_server(InternalError, "25006")])
    with poisoned(batch, lambda: next(errors)) as poison, pytest.raises(InternalError):
        receive(batch, inlet=inlet(plant.connection), at=AT)

    assert poison.transactions == 2
    assert poison.letters == []


def test_a_rival_is_met_again_a_bounded_number_of_times_and_then_backed_off_from():
    plant = factories.plant()
    batch = [realtime(plant), realtime(plant)]
    with (
        poisoned(batch, lambda: told_by_server(OperationalError, "40P01")) as poison,
        pytest.raises(OperationalError),
    ):
        receive(batch, inlet=inlet(plant.connection), at=AT)

    assert poison.transactions == MAX_ATTEMPTS


def test_a_race_that_is_lost_each_time_is_the_messages_fault_in_the_end():
    plant = factories.plant()
    batch = [realtime(plant), realtime(plant)]
    with poisoned(batch[:1], lambda: LostRace("a -> b")) as poison:
        report = receive(batch, inlet=inlet(plant.connection), at=AT)

    assert (report.applied, report.dead_letters) == (1, 1)
    assert poison.transactions <= 3 * MAX_ATTEMPTS


def test_each_transaction_is_a_sign_of_life():
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(4)]
    steps = []
    with poisoned([batch[0]]) as poison:
        receive(batch, inlet=inlet(plant.connection), at=AT, on_step=lambda: steps.append(1))

    assert len(steps) == poison.transactions


# --- what the broker gives again --------------------------------------------------------------------------------------


def again(message):
    return type(message)(
        queue=message.queue,
        routing_key=message.routing_key,
        headers=message.headers,
        body=message.body,
        redelivered=True,
        tag=message.tag,
    )


def test_a_letter_that_is_redelivered_is_not_counted_again_and_one_that_is_sent_again_is():
    link = factories.connection()
    nonsense = delivery(b"nonsense")
    hear(link, nonsense)

    hear(link, again(nonsense))
    once = DeadLetter.objects.get().count
    hear(link, nonsense)

    assert (once, DeadLetter.objects.get().count) == (1, 2)


def test_a_letter_that_was_redelivered_before_it_was_stored_counts_once():
    link = factories.connection()

    hear(link, again(delivery(b"nonsense")))

    assert DeadLetter.objects.get().count == 1


def test_bodies_and_events_of_a_half_stored_batch_are_not_doubled_when_it_comes_again():
    plant = factories.plant()
    batch = [realtime(plant), alarm(plant)]
    hear(plant.connection, *batch)

    report = hear(plant.connection, *[again(one) for one in batch])

    assert (RecentTelemetryBody.objects.count(), InboundMessage.objects.count()) == (1, 1)
    assert report.duplicates == 1


# --- size -------------------------------------------------------------------------------------------------------------


def small_inlet(link):
    return Inlet(
        connection_id=link.pk,
        routing_prefix=link.routing_prefix,
        retention_days=RETENTION_DAYS,
        max_body_bytes=10_000,
    )


def test_a_body_that_is_too_large_is_kept_as_its_beginning_and_its_neighbours_are_stored():
    plant = factories.plant()
    large = delivery(b"x" * 10_001)

    report = receive([large, realtime(plant)], inlet=small_inlet(plant.connection), at=AT)

    letter = DeadLetter.objects.get()
    assert (report.applied, report.dead_letters) == (1, 1)
    assert (letter.reason, bytes(letter.body)) == ("TOO_LARGE", b"x" * BYTES_KEPT)
    assert letter.detail.startswith("10001 bytes, the first 4096 kept; SHA-256")


def test_large_bodies_that_only_begin_alike_are_different_letters():
    link = factories.connection()
    one, other = delivery(b"x" * 10_001), delivery(b"x" * 10_002)

    receive([one, other, one], inlet=small_inlet(link), at=AT)

    assert sorted(DeadLetter.objects.values_list("count", flat=True)) == [1, 2]


def test_a_body_of_exactly_the_largest_size_is_read():
    link = factories.connection()

    receive([delivery(b"x" * 10_000)], inlet=small_inlet(link), at=AT)

    assert DeadLetter.objects.get().reason == "MALFORMED_JSON"
