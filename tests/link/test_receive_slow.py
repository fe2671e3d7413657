"""Statements that end in their time limit: the database's fault while it is slow as a whole, else one message's."""

import math
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import OperationalError, connection

from link import database_trouble, inbox
from link.applying import Report
from link.database_trouble import slow_as_a_whole
from link.inbox import TIMEOUTS_ENDURED, Patience, receive
from plants.models import LinkState
from plants.services.link_health import note_link
from tests import factories
from tests.factories import AT
from tests.link.helpers import inlet, realtime
from tests.link.test_receive_faults import ids_of, poisoned, told_by_server

pytestmark = pytest.mark.django_db


def slow():
    return told_by_server(OperationalError, "57014")


def test_a_batch_that_is_always_too_slow_is_backed_off_from_a_few_times_and_then_comes_to_an_end():
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(16)]
    patience = Patience()
    with poisoned([batch[5]], slow) as poison:
        for _ in range(TIMEOUTS_ENDURED):
            with pytest.raises(OperationalError):
                receive(batch, inlet=inlet(plant.connection), at=AT, patience=patience)
        report = receive(batch, inlet=inlet(plant.connection), at=AT, patience=patience)

    assert (report.applied, report.dead_letters) == (15, 1)
    assert [one.reason for one in poison.letters] == ["TOO_SLOW"]
    assert patience.timeouts == 0


def impatient():
    return Patience(timeouts=TIMEOUTS_ENDURED)


@pytest.mark.parametrize("count", [2, 16, 500])
def test_where_no_message_goes_through_none_is_blamed_and_the_search_has_an_end(count):
    """Regression: a load of some minutes made TOO_SLOW letters of whole batches of good messages."""
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(count)]
    with poisoned(batch, slow) as poison, pytest.raises(OperationalError):
        receive(batch, inlet=inlet(plant.connection), at=AT, patience=impatient())

    assert poison.letters == []
    assert poison.transactions <= 4 + 2 * math.ceil(math.log2(count))


def test_a_plant_whose_row_somebody_holds_does_not_stop_the_others():
    held = factories.plant()
    free = factories.plant(on=held.connection)
    batch = [realtime(plant) for _ in range(8) for plant in (held, free)]
    with poisoned(batch[::2], slow) as poison:
        report = receive(batch, inlet=inlet(held.connection), at=AT, patience=impatient())

    assert (report.applied, report.dead_letters) == (8, 8)
    assert sorted(poison.stored) == sorted(ids_of(batch[1::2]))


def test_what_was_slow_alone_is_tried_together_once_more_before_it_is_blamed():
    """A lock that ends while the batch is divided."""
    plant = factories.plant()
    batch = [realtime(plant) for _ in range(4)]
    with poisoned(batch[:1], slow) as poison:
        poison.ends_after = 5
        report = receive(batch, inlet=inlet(plant.connection), at=AT, patience=impatient())

    assert (report.applied, report.dead_letters, poison.transactions) == (4, 0, 7)


def test_while_a_table_is_locked_no_timeout_counts_against_a_message():
    plant = factories.plant()
    batch, patience = [realtime(plant) for _ in range(4)], Patience()
    locked = mock.patch.object(inbox, "slow_as_a_whole", autospec=True, return_value="a table is locked")
    with locked, poisoned(batch, slow) as poison:
        for _ in range(3 * TIMEOUTS_ENDURED):
            with pytest.raises(OperationalError):
                receive(batch, inlet=inlet(plant.connection), at=AT, patience=patience)

    assert (poison.transactions, patience.timeouts) == (3 * TIMEOUTS_ENDURED, 0)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("table", "mode", "why"),
    [
        ("plants_telemetryreading", "ACCESS EXCLUSIVE", "plants_telemetryreading is locked"),
        ("plants_telemetryreading", "SHARE", "plants_telemetryreading is locked"),
        ("plants_telemetryreading", "ROW EXCLUSIVE", ""),
        ("plants_telemetryreading", "SHARE UPDATE EXCLUSIVE", ""),
        ("metering_rollupmark", "SHARE", "metering_rollupmark is locked"),
        ("metering_rollupdue", "SHARE", ""),
    ],
)
def test_a_table_that_another_session_keeps_writers_out_of_is_evidence(table, mode, why):
    link = factories.connection()
    with other_session() as session:
        session.execute(f"LOCK TABLE {table} IN {mode} MODE")

        assert slow_as_a_whole(connection_id=link.pk) == why
    assert slow_as_a_whole(connection_id=link.pk) == ""


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_trivial_write_that_waits_is_evidence():
    link = factories.connection()
    note_link(connection_id=link.pk, role="CONSUME", state=LinkState.CONNECTED, at=AT)
    with other_session() as session:
        session.execute("SELECT 1 FROM plants_linkhealth FOR UPDATE")
        with mock.patch.object(database_trouble, "ANSWER_WITHIN_MS", 50):
            why = slow_as_a_whole(connection_id=link.pk)

    assert why == "a trivial write failed: OperationalError"


@contextmanager
def other_session():
    """A cursor in a transaction of another session; taken back at the end."""
    rival = connection.copy()
    rival.set_autocommit(False)
    try:
        with rival.cursor() as cursor:
            yield cursor
    finally:
        rival.rollback()
        rival.close()


def test_a_batch_that_goes_well_starts_the_patience_anew():
    plant = factories.plant()
    patience = Patience(timeouts=TIMEOUTS_ENDURED - 1)

    receive([realtime(plant)], inlet=inlet(plant.connection), at=AT, patience=patience)

    assert patience.timeouts == 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_with_the_patience_gone_statements_get_a_short_time_for_this_transaction_only():
    plant = factories.plant()
    seen = []

    def apply(parsed, letters, *, inlet, at):
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            seen.append(cursor.fetchone()[0])
        return Report()

    with mock.patch.object(inbox, "apply_together", autospec=True, side_effect=apply):
        for timeouts in (TIMEOUTS_ENDURED, 0):
            receive(
                [realtime(plant)],
                inlet=inlet(plant.connection),
                at=AT,
                patience=Patience(timeouts=timeouts),
            )

    assert (seen[0], seen[1] == "5s") == ("5s", False)
