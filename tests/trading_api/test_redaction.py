"""Nothing secret, nothing unstorable and nothing boundless gets into the journal."""

import json
from time import thread_time

import pytest

from tests.factories import AT
from trading_api.auth import issue_token, new_secret
from trading_api.redaction import storable, storable_body

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"clientId": "acme", "clientSecret": SECRET}),
        json.dumps({"outer": [{"api_key": {"deep": {"deeper": SECRET}, "next": SECRET}}]}),
        json.dumps({"client\\u0053ecret": 1, "clientSecret": SECRET}).replace(
            "clientSecret", "client\\u0053ecret"
        ),
        f'{{"clientId":"acme","clientSecret":"{SECRET}"',
        f'{{"clientSecret":"{SECRET}',
        f"{{'password': '{SECRET}', 'a': 1",
        f"clientId=acme&clientSecret={SECRET}&x=1",
        f"Authorization: Bearer {SECRET}",
        f'{{"token" : ["{SECRET}", "{SECRET}"], broken',
        f'{{"note":"Bearer {SECRET}"}}',
    ],
)
def test_a_value_called_like_a_secret_is_not_stored(body: str) -> None:
    assert SECRET not in storable_body(body.encode(), 8192)


@pytest.mark.parametrize("secret", [new_secret().reveal(), issue_token(client_id="acme", revision=1, at=AT)])
def test_a_value_shaped_like_our_secrets_is_not_stored_wherever_it_stands(secret: str) -> None:
    stored = storable(f"plantId {secret} is wrong", 4000)
    assert not any(piece in stored for piece in secret.split("."))


def test_what_is_no_secret_stays_readable() -> None:
    body = '{"plantId":"PLANT-7","timeConfigs":[{"from":"00:00","pBatMin":-10.5}]}'
    assert storable_body(body.encode(), 8192) == body


def test_a_body_is_cut_to_its_bound_in_bytes() -> None:
    stored = storable_body(("ž" * 10_000).encode(), 8192)
    assert len(stored.encode()) == 8192


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "a\x1bb"])
def test_what_a_database_or_terminal_refuses_is_replaced(text: str) -> None:
    assert storable(text, 10) == "a�b"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert storable_body(b"\xff\xfe{", 100) == "��{"


@pytest.mark.parametrize(
    "piece", ["a", "secret", "secret ", "secret:", "[", '{"a":', "esmsec_", "bearer ", '"', "\\"]
)
def test_hostile_bodies_cost_time_in_proportion_to_what_is_kept_of_them(piece: str) -> None:
    body = (piece * (1_000_000 // len(piece))).encode()
    small_s, large_s = (_cpu_s(body, limit) for limit in (4096, 16_384))
    assert large_s < 10 * small_s  # four times as much text: 4 when linear, 16 when quadratic


def _cpu_s(body: bytes, limit: int) -> float:
    """The least of a few runs: what else this machine does counts in none of them."""
    found = []
    for _ in range(3):
        began = thread_time()
        storable_body(body, limit)
        found.append(thread_time() - began)
    return min(found)
