"""What is answered without a thread, and how it gets into the journal."""

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from pytest_django import Settings
from structlog.testing import capture_logs

from esm import overload
from esm.overload import TurnedAway
from esm.shell import Scope
from tests import factories
from tests.factories import AT
from trading_api.gate import FLOOD_PER_S, GATE
from trading_api.models import PullJournal
from trading_api.services import issue_credentials


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


@pytest.mark.parametrize(
    ("method", "words", "tries_again"),
    [
        ("GET", "This page tries again by itself", True),
        ("POST", "Nothing was done: go back and send it again", False),
    ],
)
@pytest.mark.parametrize("path", ["/console/fleet/", "/admin/plants/plant/"])
def test_browsers_get_a_page_and_only_what_is_read_is_tried_again(
    turned_away: TurnedAway, path: str, method: str, words: str, tries_again: bool
) -> None:
    asked = scope(path, accept="text/html,*/*;q=0.8", x_request_id="trace-0815") | {"method": method}
    answer = turned_away.overload(asked)
    headers, text = dict(answer.headers), answer.body.decode()
    assert (answer.status, headers[b"content-type"], headers[b"retry-after"]) == (
        503,
        b"text/html; charset=utf-8",
        b"2",
    )
    assert words in text
    assert "trace-0815" in text
    assert ('http-equiv="refresh"' in text) is tries_again
    assert b"script-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ({"accept": "application/json"}, b'"code":"SERVICE_UNAVAILABLE"'),
        ({"accept": "text/html", "hx_request": "true"}, b"Service Unavailable\n"),
    ],
)
def test_scripts_of_pages_get_no_page(turned_away: TurnedAway, more: dict[str, str], body: bytes) -> None:
    assert body in turned_away.overload(scope("/console/fleet/", **more) | {"method": "GET"}).body


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


def guess(secret: str = "wrong", **fields: Any) -> bytes:
    return json.dumps({"clientId": "acme", "clientSecret": secret} | fields).encode()


@pytest.fixture
def guessed() -> Iterator[None]:
    """Ten wrong secrets of one client id from one address."""
    GATE.clear()
    for _ in range(10):
        GATE.note_failure(address="1.1.1.1", client_id="acme", client_secret="wrong", at=AT)
    yield
    GATE.clear()


def posted(path: str = "/trading/token", **changes: Any) -> Scope:
    return scope(path) | {"method": "POST"} | changes


@pytest.mark.django_db(transaction=True)
def test_who_shares_the_address_of_a_guesser_gets_in_with_a_secret_that_this_process_never_saw(
    turned_away: TurnedAway, guessed: None
) -> None:
    issued = issue_credentials(organisation=factories.organisation(), client_id="new", at=AT)
    for _ in range(100):
        GATE.note_failure(address="1.1.1.1", client_id="acme", client_secret="wrong", at=AT)
    right = guess(clientId="new", secret=issued.secret.reveal())

    before = turned_away.doorman(posted(), right)
    turned_away.write_down()

    assert before is not None
    after = (turned_away.doorman(posted(), right), turned_away.doorman(posted(), guess(clientId="new")))
    assert (after[0], after[1] is not None) == (None, True)


def test_a_guess_that_has_to_wait_is_answered_as_the_endpoint_would(
    turned_away: TurnedAway, guessed: None
) -> None:
    answer = turned_away.doorman(posted(), guess())
    assert answer is not None
    headers, body = dict(answer.headers), json.loads(answer.body)
    assert (answer.status, body["code"], body["requestId"]) == (
        429,
        "TOO_MANY_REQUESTS",
        headers[b"x-request-id"].decode(),
    )
    assert (headers[b"retry-after"], headers[b"x-content-type-options"]) == (b"60", b"nosniff")


@pytest.mark.parametrize(
    ("where", "body"),
    [
        (posted(client=("2.2.2.2", 1)), guess()),
        (posted(), guess(clientId="other")),
        (posted(), b"{"),
        (posted(), b"[" * 8000),
        (posted("/trading/plant/config/update"), guess()),
        (posted(method="GET"), b""),
    ],
)
def test_whoever_is_not_guessing_is_let_in(
    turned_away: TurnedAway, guessed: None, where: Scope, body: bytes
) -> None:
    assert turned_away.doorman(where, body) is None


def test_a_secret_that_was_right_before_is_let_in(turned_away: TurnedAway, guessed: None) -> None:
    GATE.note_right(client_id="acme", client_secret="right")
    assert turned_away.doorman(posted(), guess("right")) is None


@pytest.mark.django_db(transaction=True)
def test_guesses_become_one_counted_row(turned_away: TurnedAway, guessed: None) -> None:
    for _ in range(500):
        turned_away.doorman(posted(), guess())
    turned_away.write_down()
    row = PullJournal.objects.get()
    assert (row.address, row.count, row.status, row.result) == ("1.1.1.1", 500, 429, "TOO_MANY_REQUESTS")


@pytest.fixture
def flooded() -> Iterator[None]:
    GATE.clear()
    for address in ("1.1.1.1", "2001:db8::1"):
        for _ in range(FLOOD_PER_S + 1):
            GATE.note_failure(address=address, client_id="acme", client_secret="wrong", at=AT)
    yield
    GATE.clear()


def test_new_connections_of_an_address_that_floods_have_a_line(
    turned_away: TurnedAway, flooded: None
) -> None:
    lines = [turned_away.line_of(peer) for peer in ("1.1.1.1", "::ffff:1.1.1.1", "2.2.2.2", "")]
    assert lines == ["1.1.1.1", "1.1.1.1", None, None]


def test_the_addresses_of_one_ipv6_network_have_one_line(turned_away: TurnedAway, flooded: None) -> None:
    here, there, elsewhere = (turned_away.line_of(f"2001:db8:{end}") for end in (":1", ":2", "0:1::1"))
    assert (here == there, here is None, elsewhere) == (True, False, None)


def test_behind_a_proxy_nobody_has_a_line(turned_away: TurnedAway, flooded: None, settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    assert turned_away.line_of("1.1.1.1") is None


@pytest.mark.django_db(transaction=True)
def test_connections_that_were_cut_become_one_counted_row_and_one_line_in_the_log(
    turned_away: TurnedAway,
) -> None:
    for _ in range(500):
        turned_away.cut("1.1.1.1")
    with capture_logs() as logs:
        turned_away.write_down()
        turned_away.write_down()
    row = PullJournal.objects.get()
    assert (row.address, row.count, row.status, row.result) == ("1.1.1.1", 500, 429, "TOO_MANY_REQUESTS")
    assert [(log["action"], log["times"]) for log in logs] == [("connections_cut", 500)]
