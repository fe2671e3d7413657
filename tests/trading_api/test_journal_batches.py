"""Journal rows of several answers in one commit: the same rows as one by one, and one bad row loses no other."""

from typing import Any
from unittest import mock

import msgspec
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from tests.factories import AT
from tests.trading_api.conftest import Voke, later
from trading_api import journal
from trading_api.journal import JournalRow
from trading_api.middleware import write_left
from trading_api.models import Credential, PullJournal

pytestmark = pytest.mark.django_db
ROW = JournalRow(
    at=AT, organisation_id=None, credential_id=None, plant_id=None, client_id="esm-1", address="2001:db8::1",
    request_id="r1", endpoint="list", method="GET", plant_ref="Přerov", version=None, status=200, result="2 plants",
    detail="", latency_ms=1.25, bytes_in=0, bytes_out=2**31 - 1, body='{"a": "\\u010d"}',
)  # fmt: skip


def changed(**values: Any) -> JournalRow:
    return msgspec.structs.replace(ROW, **values)


def test_a_row_is_stored_as_it_was_given(voke: Voke) -> None:
    row = changed(
        organisation_id=voke.plant.organisation_id,
        credential_id=voke.credential.pk,
        plant_id=voke.plant.pk,
        version=7,
    )
    journal.insert([row])
    stored = PullJournal.objects.get(request_id="r1")
    assert {name: getattr(stored, name) for name in JournalRow.__struct_fields__} == msgspec.structs.asdict(
        row
    )
    assert (stored.count, stored.last_at, stored.counted_minute) == (1, None, None)


def test_rows_of_one_batch_are_one_statement_in_their_order(voke: Voke) -> None:
    with CaptureQueriesContext(connection) as captured:
        journal.insert([changed(request_id=f"r{number}") for number in range(20)])
    inserts = [query for query in captured.captured_queries if query["sql"].lstrip().startswith("INSERT")]
    assert len(inserts) == 1
    assert list(PullJournal.objects.order_by("pk").values_list("request_id", flat=True))[-20:] == [
        f"r{number}" for number in range(20)
    ]


def test_a_row_that_is_refused_is_told_and_the_others_of_its_batch_are_stored(voke: Voke) -> None:
    rows = [
        changed(request_id="good"),
        changed(request_id="bad", address="no address"),
        changed(request_id="too"),
    ]
    if connection.vendor == "sqlite":  # which takes any text for an address
        rows[1] = msgspec.structs.replace(rows[1], address=None, endpoint=None)  # type: ignore[arg-type]
    with mock.patch.object(connection, "close"), capture_logs() as logs, _savepoints():
        write_left(rows)
    assert set(PullJournal.objects.values_list("request_id", flat=True)) >= {"good", "too"}
    assert not PullJournal.objects.filter(request_id="bad").exists()
    assert [(entry["action"], entry["request_id"]) for entry in logs] == [("journal_failed", "bad")]


def test_a_database_that_is_away_is_asked_once_and_the_log_has_every_row() -> None:
    with (
        mock.patch.object(journal, "insert", autospec=True, side_effect=OperationalError("gone")) as insert,
        mock.patch.object(connection, "close"),
        capture_logs() as logs,
    ):
        write_left([changed(request_id=f"r{number}") for number in range(5)])
    assert insert.call_count == 1
    assert [entry["request_id"] for entry in logs] == [f"r{number}" for number in range(5)]


@pytest.mark.parametrize("result", ["ISSUED", "2 plants"])
def test_the_newest_token_of_a_batch_is_noted_with_its_rows_and_no_other_row_is(
    voke: Voke, result: str
) -> None:
    Credential.objects.update(last_token_at=None)
    rows = [
        changed(credential_id=voke.credential.pk, endpoint="token", result=result, at=at)
        for at in (AT, later(seconds=2), later(seconds=1))
    ]
    journal.insert([*rows, changed(credential_id=voke.credential.pk, at=later(seconds=9))])
    voke.credential.refresh_from_db()
    assert voke.credential.last_token_at == (later(seconds=2) if result == "ISSUED" else None)


def test_an_older_token_that_is_written_later_changes_nothing(voke: Voke) -> None:
    rows = [changed(credential_id=voke.credential.pk, endpoint="token", result="ISSUED", at=later(hours=1))]
    journal.insert(rows)
    journal.insert([changed(credential_id=voke.credential.pk, endpoint="token", result="ISSUED", at=AT)])
    voke.credential.refresh_from_db()
    assert voke.credential.last_token_at == later(hours=1)


def _savepoints() -> Any:
    """Outside tests each INSERT is its own transaction; within a test's transaction it needs a savepoint."""
    inner = journal.insert

    def insert(rows: Any) -> None:
        from django.db import transaction

        with transaction.atomic():
            inner(rows)

    return mock.patch.object(journal, "insert", insert)
