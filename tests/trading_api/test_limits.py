"""Whose address counts, and counting that never stands in the way."""

from typing import Any
from unittest import mock

import pytest
from django.core.cache.backends.locmem import LocMemCache
from pytest_django import Settings
from redis.exceptions import RedisError

from tests.factories import AT
from tests.services.redis import RedisServer
from tests.trading_api.conftest import later
from trading_api.limits import CACHE_AWAY, client_address, count_in_minute


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "address"),
    [
        ("10.0.0.1", "", 0, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", 0, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", 1, "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", 1, "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", 2, "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1", 2, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, unknown", 1, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1:4711", 1, "1.1.1.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("fe80::1%eth0", "", 0, "fe80::1"),
        ("::ffff:1.1.1.1", "", 0, "1.1.1.1"),
        ("10.0.0.1", "::ffff:1.1.1.1", 1, "1.1.1.1"),
        ("", "", 0, None),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(
    peer: str, forwarded_for: str, trusted: int, address: str | None
) -> None:
    assert client_address(peer=peer, forwarded_for=forwarded_for, trusted_proxies=trusted) == address


def counted(address: str | None, **step: float) -> int:
    count = count_in_minute("failed", address=address, at=later(**step))
    assert count is not None
    return count.times


def test_each_address_and_minute_counts_for_itself() -> None:
    assert [counted("1.1.1.1"), counted("1.1.1.1"), counted("2.2.2.2"), counted("1.1.1.1", minutes=1)] == [
        1,
        2,
        1,
        1,
    ]


def test_the_addresses_of_one_ipv6_network_count_together() -> None:
    assert [counted("2001:db8::1"), counted("2001:db8::ffff"), counted("2001:db8:0:1::1")] == [1, 2, 1]


def test_a_count_tells_how_long_the_minute_still_is() -> None:
    count = count_in_minute("failed", address="1.1.1.1", at=later(seconds=50))
    assert count is not None
    assert count.seconds_left == 10


def test_a_redis_that_is_gone_counts_nothing(settings: Settings) -> None:
    settings.CACHES = {"default": redis_at("redis://127.0.0.1:9/0")}
    assert count_in_minute("failed", address="1.1.1.1", at=AT) is None


def test_a_redis_that_is_gone_is_left_alone_for_a_while_and_then_asked_again() -> None:
    with mock.patch.object(LocMemCache, "add", autospec=True, side_effect=RedisError("gone")) as asked:
        counts = [count_in_minute("failed", address="1.1.1.1", at=AT) for _ in range(3)]
    CACHE_AWAY.clear()
    assert (counts, asked.call_count, counted("1.1.1.1")) == ([None] * 3, 1, 1)


def test_a_counter_that_was_evicted_counts_nothing() -> None:
    with mock.patch.object(LocMemCache, "incr", autospec=True, side_effect=ValueError("evicted")):
        assert count_in_minute("failed", address="1.1.1.1", at=AT) is None


def test_processes_that_share_a_redis_share_their_counts(
    settings: Settings, redis_server: RedisServer
) -> None:
    settings.CACHES = {"default": redis_at(redis_server.url)}
    assert [counted("1.1.1.1"), counted("1.1.1.1")] == [1, 2]


def redis_at(url: str) -> dict[str, Any]:
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url, "KEY_PREFIX": "limits"}
