"""What is answered without a thread, and how it gets into the journal."""

import json
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from pytest_django import Settings
from structlog.testing import capture_logs

from esm import overload
from esm.overload import TurnedAway
from esm.shell import Scope
from tests.factories import AT
from trading_api.models import PullJournal


def scope(path: str = "/trading/token", *, client: Any = ("1.1.1.1", 1), **headers: str) -> Scope:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": path, "client": client, "headers": named}


@pytest.fixture
def turned_away() -> TurnedAway:
    return TurnedAway(now=lambda: AT)


def test_the_reverse_channel_gets_the_envelope(turned_away: TurnedAway) -> None:
    answer = turned_away.overload(scope(x_request_id="trace-0815"))
    headers = dict(answer.headers)
    assert (answer.status, headers[b"retry-after"], headers[b"x-request-id"]) == (503, b"2", b"trace-0815")
    assert json.loads(answer.body) == {
        "statusCode": 503,
        "message": "Too many requests wait to be served.",
        "error": "Service Unavailable",
        "code": "SERVICE_UNAVAILABLE",
        "requestId": "trace-0815",
    }


def test_people_get_a_line_of_text(turned_away: TurnedAway) -> None:
    assert turned_away.overload(scope("/admin/")).body == b"Service Unavailable\n"


@pytest.mark.django_db(transaction=True)
def test_what_was_turned_away_becomes_one_counted_row_per_address(
    turned_away: TurnedAway, settings: Settings
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    for address in ("2.2.2.2", "3.3.3.3", "2.2.2.2"):
        turned_away.overload(scope(x_forwarded_for=f"9.9.9.9, {address}"))
    turned_away.overload(scope("/admin/"))
    turned_away.write_down()
    turned_away.write_down()
    rows = PullJournal.objects.order_by("address").values_list("address", "count", "status", "at")
    assert list(rows) == [("2.2.2.2", 2, 503, AT), ("3.3.3.3", 1, 503, AT)]


@pytest.mark.django_db(transaction=True)
def test_beyond_256_addresses_the_rest_are_counted_without_one(turned_away: TurnedAway) -> None:
    for number in range(300):
        turned_away.overload(scope(client=(f"10.0.{number // 256}.{number % 256}", 1)))
    turned_away.write_down()
    assert PullJournal.objects.count() == 257
    assert PullJournal.objects.get(address=None).count == 44


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_journaled_is_logged(turned_away: TurnedAway) -> None:
    turned_away.overload(scope(client=None))
    with (
        capture_logs() as logs,
        mock.patch.object(overload, "count_refused", autospec=True, side_effect=OperationalError("gone")),
    ):
        turned_away.write_down()
    assert [(log["action"], log["times"]) for log in logs] == [("journal_failed", 1)]
