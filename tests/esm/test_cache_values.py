"""The shared cache holds counters and times, and what somebody else wrote into it runs nothing."""

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from pytest_django import Settings

import esm.settings
from esm.cache_values import PlainValues
from tests.services.redis import RedisServer

OPTIONS = {"serializer": "esm.cache_values.PlainValues"}
ran: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (ran.append, ("ran",))


@pytest.fixture
def shared(settings: Settings, redis_server: RedisServer) -> Iterator[BaseCache]:
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {
        "default": {
            "BACKEND": backend,
            "LOCATION": redis_server.url,
            "KEY_PREFIX": "plain",
            "OPTIONS": OPTIONS,
        }
    }
    yield caches["default"]
    caches["default"].close()


@pytest.mark.parametrize(
    "value",
    [
        0,
        -7,
        2**62,
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_counters_and_times_come_back_as_they_were(shared: BaseCache, value: object) -> None:
    shared.set("value", value)

    assert shared.get("value") == value


def test_a_counter_is_counted_by_redis_itself(shared: BaseCache) -> None:
    shared.set("count", 1)

    assert [shared.incr("count"), shared.get("count")] == [2, 2]


@pytest.mark.parametrize("value", [True, 1.5, None, {"a": 1}, b"x"])
def test_anything_else_is_no_value_of_ours(value: object) -> None:
    with pytest.raises(TypeError, match="counters, times and texts"):
        PlainValues().dumps(value)


@pytest.mark.parametrize(
    "hostile",
    [pickle.dumps(Bomb()), b"", b"\xff\xfe", b"2026-13-01", b"NaN", b"9" * 5000],
    ids=["pickle", "empty", "no text", "no date", "no number", "long number"],
)
def test_what_a_stranger_wrote_into_redis_is_no_value_and_runs_nothing(
    shared: BaseCache, redis_server: RedisServer, hostile: bytes
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set(shared.make_key("value"), hostile)

    assert shared.get("value") is None
    assert ran == []


def test_the_full_installation_uses_this_form() -> None:
    assert esm.settings.CACHES["default"]["OPTIONS"]["serializer"] == OPTIONS["serializer"]


@pytest.mark.parametrize("text", ["", "text", "7", "2026-01-02T03:00:00+00:00", "text:a", "P\u0159erov"])
def test_a_text_comes_back_as_the_text_it_was(text: str) -> None:
    stored = PlainValues().dumps(text)

    assert isinstance(stored, bytes)
    assert PlainValues().loads(stored) == text
