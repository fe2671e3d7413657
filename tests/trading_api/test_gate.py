"""The gate before the token endpoint: who has to wait, who never does, and how much it remembers."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from esm import clock
from tests.factories import AT
from tests.trading_api.conftest import Voke, later, voke_for
from trading_api import gate
from trading_api.auth import current_pepper, hash_secret
from trading_api.gate import WIDER, SecretGate

LIMIT = 10
HERE, ELSEWHERE = "1.1.1.1", "2.2.2.2"


def fail(one: SecretGate, times: int, *, address: str = HERE, client_id: str = "acme", **step: float) -> None:
    for _ in range(times):
        one.note_failure(address=address, client_id=client_id, client_secret="wrong", at=later(**step))


def wait_s(
    one: SecretGate, *, address: str = HERE, client_id: str = "acme", secret: str = "guess", **step: float
) -> int | None:
    return one.wait_s(address=address, client_id=client_id, client_secret=secret, at=later(**step))


def test_a_client_id_waits_at_an_address_after_its_failures_there_until_the_minute_ends() -> None:
    one = SecretGate()
    fail(one, LIMIT - 1, seconds=15)
    before = wait_s(one, seconds=15)
    fail(one, 1, seconds=15)
    assert (before, wait_s(one, seconds=15), wait_s(one, minutes=1)) == (None, 45, None)


def test_another_client_id_at_the_same_address_does_not_wait() -> None:
    one = SecretGate()
    fail(one, LIMIT)
    assert wait_s(one, client_id="other") is None


def test_the_same_client_id_at_another_address_does_not_wait() -> None:
    one = SecretGate()
    fail(one, 100 * LIMIT)
    assert wait_s(one, address=ELSEWHERE) is None


def test_an_address_that_tries_many_client_ids_waits_with_all_of_them() -> None:
    one = SecretGate()
    for number in range(WIDER * LIMIT):
        fail(one, 1, client_id=f"client-{number}")
    assert (wait_s(one, client_id="new"), wait_s(one, client_id="new", address=ELSEWHERE)) == (60, None)


def test_a_client_id_that_is_guessed_from_everywhere_has_one_failure_for_each_address() -> None:
    one = SecretGate()
    for number in range(WIDER * LIMIT):
        fail(one, 1, address=f"10.0.0.{number}")
    before = wait_s(one)
    fail(one, 1)
    assert (before, wait_s(one)) == (None, 60)


def test_a_secret_that_was_right_before_never_waits_until_it_is_wrong() -> None:
    one = SecretGate()
    one.note_right(client_id="acme", client_secret="right")
    fail(one, WIDER * LIMIT)
    before = wait_s(one, secret="right")
    one.note_failure(address=HERE, client_id="acme", client_secret="right", at=AT)
    assert (before, wait_s(one, secret="right")) == (None, 60)


def test_a_right_secret_that_was_never_seen_passes_once_its_hash_is_known() -> None:
    one = SecretGate()
    for number in range(WIDER * LIMIT):
        fail(one, 1, client_id=f"client-{number}")
    before = wait_s(one, secret="right")
    one.know({"acme": (hash_secret("right", current_pepper()), current_pepper())})
    guessed = [wait_s(one), wait_s(one, client_id="other", secret="right"), wait_s(one, secret="r\ud800")]
    assert (before, wait_s(one, secret="right"), guessed) == (60, None, [60] * 3)


def test_the_addresses_of_one_ipv6_network_wait_together() -> None:
    one = SecretGate()
    fail(one, LIMIT, address="2001:db8::1")
    assert (wait_s(one, address="2001:db8::2"), wait_s(one, address="2001:db8:0:1::1")) == (60, None)


def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_KEYS_MAX", 5)
    monkeypatch.setattr(gate, "_RIGHT_MAX", 5)
    one = SecretGate()
    for number in range(50):
        fail(one, 1, address=f"10.0.0.{number}", client_id=f"client-{number}")
        one.note_right(client_id=f"client-{number}", client_secret="right")
    minute = one._minute
    assert [len(part) for part in (minute.by_address, minute.by_client, minute.by_pair, one._right)] == [
        5
    ] * 4


def guess(voke: Voke, times: int) -> list[int]:
    return [voke.token(clientSecret="wrong").status_code for _ in range(times)]


@pytest.mark.django_db
def test_a_guess_that_waits_costs_no_query_but_its_row(voke: Voke) -> None:
    guess(voke, 30)
    with CaptureQueriesContext(connection) as queries:
        answer = voke.token(clientSecret="wrong")
    assert answer.status_code == 429
    assert [
        query["sql"] for query in queries.captured_queries if "credential" in query["sql"].split("SET")[0]
    ] == []


@pytest.mark.django_db
def test_the_honest_client_of_another_address_gets_its_token_although_it_is_new(
    voke: Voke, settings: Any
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    fresh = voke_for(voke.plant)
    body = {"clientId": fresh.credential.client_id, "clientSecret": "wrong"}
    at_one = {"X-Forwarded-For": HERE}
    statuses = [
        fresh.client.post("/trading/token", body, content_type="application/json", headers=at_one).status_code
        for _ in range(12)
    ]
    right = body | {"clientSecret": fresh.secret}
    answers = [
        fresh.client.post(
            "/trading/token", right, content_type="application/json", headers={"X-Forwarded-For": address}
        ).status_code
        for address in (HERE, ELSEWHERE)
    ]
    assert (statuses, answers) == ([401] * 10 + [429] * 2, [429, 200])


@pytest.mark.django_db
def test_bodies_that_are_not_understood_count_for_their_address(voke: Voke) -> None:
    with clock.frozen(AT):
        statuses = [voke.post("/trading/token", "{").status_code for _ in range(WIDER * LIMIT)]
        after = voke.token(clientId="somebody-else").status_code
    assert (set(statuses), after) == ({400}, 429)
