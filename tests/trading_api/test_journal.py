"""The pull journal: a row for everything, bounded, and never in the way of an answer."""

from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError
from pytest_django import Settings
from structlog.testing import capture_logs

from esm import clock
from plants.models import Plant
from tests.factories import AT
from tests.trading_api.conftest import Voke, later, newest_row, wire
from trading_api import journal, selectors
from trading_api.journal import count_refused, prune_journal
from trading_api.models import PullJournal

pytestmark = pytest.mark.django_db


def rows(**facts: Any) -> list[PullJournal]:
    return list(PullJournal.objects.filter(**facts).order_by("pk"))


def test_every_pull_leaves_its_row(voke: Voke) -> None:
    voke.list()
    voke.config()
    voke.update(wire())
    assert [(row.endpoint, row.method, row.status, row.result) for row in rows()] == [
        ("token", "POST", 200, "ISSUED"),
        ("list", "GET", 200, "1 plants"),
        ("config", "GET", 200, ""),
        ("update", "POST", 200, "APPLIED"),
    ]
    for row in rows(endpoint__in=["list", "config", "update"]):
        assert (row.organisation, row.credential, row.client_id, row.address, row.at) == (
            voke.plant.organisation,
            voke.credential,
            voke.credential.client_id,
            "127.0.0.1",
            AT,
        )
        assert row.latency_ms > 0
        assert row.bytes_out > 0


def test_the_row_carries_the_request_id_of_the_answer(voke: Voke) -> None:
    answer = voke.get("/trading/plant/list", headers={"X-Request-Id": "trace-0815"})
    assert (answer["X-Request-Id"], newest_row().request_id) == ("trace-0815", "trace-0815")


def test_a_304_leaves_its_row_too(voke: Voke) -> None:
    voke.list(If_None_Match="*")
    assert (newest_row().status, newest_row().bytes_out) == (304, 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "endpoint"),
    [
        ("GET", "/trading/plant/lists", 404, "other"),
        ("DELETE", "/trading/plant/list", 405, "list"),
        ("GET", "/trading/plant/config?plantId=NOPE", 404, "config"),
        ("GET", "/trading/plant/config", 400, "config"),
        ("POST", "/trading/plant/config/update", 400, "update"),
    ],
)
def test_refused_requests_leave_their_row_with_whose_they_were(
    voke: Voke, method: str, path: str, status: int, endpoint: str
) -> None:
    voke.client.generic(method, path, headers=voke.headers())
    row = newest_row()
    assert (row.method, row.status, row.endpoint, row.organisation) == (
        method,
        status,
        endpoint,
        voke.plant.organisation,
    )
    assert row.result
    assert row.detail
    assert f'"statusCode":{status}' in row.body


def test_an_expired_token_is_booked_on_whom_it_names(voke: Voke) -> None:
    with clock.frozen(later(days=1)):
        assert voke.list().status_code == 401
    assert (newest_row().client_id, newest_row().credential) == (voke.credential.client_id, voke.credential)


def test_a_forged_token_is_booked_on_nobody(voke: Voke) -> None:
    voke.bearer = f"{voke.bearer}x"
    voke.list()
    assert (newest_row().status, newest_row().organisation, newest_row().client_id) == (401, None, "")


def test_a_wrong_host_is_refused_and_journaled(voke: Voke) -> None:
    answer = voke.get("/trading/plant/list", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"], newest_row().status) == (400, "BAD_REQUEST", 400)


def test_the_body_of_a_refused_update_shows_question_and_answer_without_secrets(voke: Voke) -> None:
    voke.update(wire(pBatMin="x"), apiKey="hunter2")
    asked, answered = newest_row().body.split("\n")
    assert '"apiKey":"[redacted]"' in asked
    assert '"path":"timeConfigs[0].pBatMin"' in answered


def test_a_huge_body_is_kept_to_8_kib_with_the_answer_in_it(voke: Voke) -> None:
    voke.update(wire(), note="ž" * 100_000, plantId="NOPE")
    body = newest_row().body
    assert len(body.encode()) <= 8192
    assert "PLANT_NOT_FOUND" in body


def test_a_secret_sent_to_the_wrong_endpoint_is_not_stored(voke: Voke) -> None:
    for path in ("/trading/plant/config/update", "/trading/tokens", "/trading/token"):
        voke.post(path, {"clientId": "a", "clientSecret": voke.secret})
        voke.post(path, f'{{"clientSecret": "{voke.secret}"')
        voke.get(f"/trading/plant/config?plantId={voke.secret}")
    assert voke.secret not in repr(list(PullJournal.objects.values()))


def test_refused_requests_beyond_ten_a_minute_and_address_become_one_counted_row(voke: Voke) -> None:
    PullJournal.objects.all().delete()
    for second in range(14):
        with clock.frozen(later(seconds=second)):
            voke.get("/trading/nothing")
    counted = PullJournal.objects.get(counted_minute__isnull=False)
    assert len(rows(counted_minute=None)) == 10
    assert (counted.count, counted.at, counted.last_at, counted.address, counted.status) == (
        4,
        later(seconds=10),
        later(seconds=13),
        "127.0.0.1",
        404,
    )


def test_each_minute_and_each_address_has_its_own_ten(voke: Voke, settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    for minute, address in ((0, "1.1.1.1"), (0, "2.2.2.2"), (1, "1.1.1.1")):
        with clock.frozen(later(minutes=minute)):
            for _ in range(12):
                voke.get("/trading/nothing", headers={"X-Forwarded-For": address})
    assert [row.count for row in rows(counted_minute__isnull=False)] == [2, 2, 2]


def test_answered_requests_always_have_their_own_row(voke: Voke) -> None:
    for _ in range(15):
        voke.list()
    assert len(rows(endpoint="list")) == 15


def test_without_the_cache_refused_requests_are_only_counted(voke: Voke) -> None:
    with mock.patch.object(journal, "count_in_minute", autospec=True, return_value=None):
        voke.get("/trading/nothing")
        voke.get("/trading/nothing")
    assert [row.count for row in rows(counted_minute__isnull=False)] == [2]


def test_a_counted_row_made_by_another_process_at_the_same_moment_is_added_to() -> None:
    count_refused(address="1.1.1.1", at=AT, times=1, status=404, result="NOT_FOUND")
    with mock.patch.object(journal, "_add", autospec=True, side_effect=[False, True]) as add:
        count_refused(address="1.1.1.1", at=AT, times=2, status=404, result="NOT_FOUND")
    assert (add.call_count, PullJournal.objects.count()) == (2, 1)


def test_an_answer_stands_when_the_journal_cannot_be_written_and_the_log_has_the_facts(voke: Voke) -> None:
    voke.config()
    with (
        capture_logs() as logs,
        mock.patch.object(journal, "write", autospec=True, side_effect=DatabaseError("disk")),
    ):
        answer = voke.update(wire())
    assert (answer.status_code, answer.json()["resultCode"]) == (200, "APPLIED")
    (entry,) = [log for log in logs if log.get("action") == "journal_failed"]
    assert (entry["log_level"], entry["reason"], entry["status"], entry["result"], entry["plant_id"]) == (
        "error",
        "DatabaseError",
        200,
        "APPLIED",
        voke.plant.pk,
    )


@pytest.mark.parametrize("error", [OperationalError("gone"), IntegrityError("odd")])
def test_a_request_that_the_database_failed_is_503_or_500_without_any_inner_text(
    voke: Voke, error: Exception
) -> None:
    with (
        capture_logs() as logs,
        mock.patch.object(selectors, "access_with_plants", autospec=True, side_effect=error),
    ):
        answer = voke.list()
    gone = isinstance(error, OperationalError)
    assert (answer.status_code, answer.json()["code"]) == (
        (503, "SERVICE_UNAVAILABLE") if gone else (500, "INTERNAL_SERVER_ERROR")
    )
    assert str(error).encode() not in answer.content
    assert ("journal_failed" in [log.get("action") for log in logs]) is gone
    assert answer.has_header("Retry-After") is gone


def test_an_unexpected_exception_is_500_in_the_envelope_with_its_row_and_its_log(voke: Voke) -> None:
    with (
        capture_logs() as logs,
        mock.patch.object(
            selectors, "access_with_plants", autospec=True, side_effect=KeyError("inner secret")
        ),
    ):
        answer = voke.list()
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert answer.json()["requestId"] == answer["X-Request-Id"] == newest_row().request_id
    assert b"inner secret" not in answer.content
    assert "unhandled_error" in [log.get("action") for log in logs]


def test_pruning_deletes_what_is_old_in_bounded_steps(voke: Voke) -> None:
    with clock.frozen(later(days=-31)):
        for _ in range(3):
            voke.list()
    kept = PullJournal.objects.filter(at=AT).count()
    deleted = [prune_journal(at=AT, keep_days=30, limit=2) for _ in range(3)]
    assert deleted == [2, 1, 0]
    assert PullJournal.objects.count() == kept


def test_a_row_outlives_its_plant(voke: Voke) -> None:
    voke.update(plantId="NOPE")
    Plant.objects.all().delete()
    assert newest_row().plant_ref == "NOPE"
