"""Whose new connections should wait for their turn: what the gate calls a flood, and for how long."""

from datetime import timedelta

import pytest

from tests.factories import AT
from tests.trading_api.conftest import later
from trading_api import gate
from trading_api.gate import FLOOD_KEPT_S, FLOOD_PER_S, SecretGate

HERE, ELSEWHERE = "1.1.1.1", "2.2.2.2"


def fail(one: SecretGate, times: int, *, address: str = HERE, **step: float) -> None:
    for _ in range(times):
        one.note_failure(address=address, client_id="acme", client_secret="wrong", at=later(**step))


def test_an_address_floods_once_it_failed_more_than_25_times_in_a_second() -> None:
    one = SecretGate()
    fail(one, FLOOD_PER_S)
    before = one.is_flooding(HERE, at=AT)
    fail(one, 1)
    assert (before, one.is_flooding(HERE, at=AT), one.is_flooding(ELSEWHERE, at=AT)) == (False, True, False)


def test_guesses_that_had_to_wait_count_as_well() -> None:
    one = SecretGate()
    fail(one, 10)
    for _ in range(FLOOD_PER_S - 10 + 1):
        one.wait_s(address=HERE, client_id="acme", client_secret="guess", at=AT)
    assert one.is_flooding(HERE, at=AT)


def test_a_client_that_keeps_an_old_secret_is_no_flood() -> None:
    one = SecretGate()
    for second in range(600):
        fail(one, 5, seconds=second)
        assert not one.is_flooding(HERE, at=later(seconds=second))


def test_right_secrets_are_no_flood() -> None:
    one = SecretGate()
    one.note_right(client_id="acme", client_secret="right")
    fail(one, 10)
    for _ in range(1000):
        one.wait_s(address=HERE, client_id="acme", client_secret="right", at=AT)
    assert not one.is_flooding(HERE, at=AT)


def test_a_flood_is_remembered_for_a_minute_after_its_last_second() -> None:
    one = SecretGate()
    fail(one, FLOOD_PER_S + 1)
    fail(one, FLOOD_PER_S + 1, seconds=30)
    kept = [one.is_flooding(HERE, at=later(seconds=30 + after)) for after in (FLOOD_KEPT_S - 1, FLOOD_KEPT_S)]
    assert (kept, one._flooding) == ([True, False], {})


def test_a_clock_that_was_set_back_keeps_nobody_longer() -> None:
    one = SecretGate()
    fail(one, FLOOD_PER_S + 1)
    assert not one.is_flooding(HERE, at=AT - timedelta(hours=1))


def test_the_addresses_of_one_ipv6_network_flood_together() -> None:
    one = SecretGate()
    for number in range(FLOOD_PER_S + 1):
        fail(one, 1, address=f"2001:db8::{number:x}")
    assert one.is_flooding("2001:db8::ffff", at=AT)


def test_how_many_floods_it_remembers_is_bounded_and_old_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "_FLOODING_MAX", 3)
    one = SecretGate()
    for number in range(5):
        fail(one, FLOOD_PER_S + 1, address=f"10.0.0.{number}")
    first = set(one._flooding)
    fail(one, FLOOD_PER_S + 1, address=HERE, seconds=FLOOD_KEPT_S + 1)
    assert (len(first), set(one._flooding)) == (3, {HERE})
