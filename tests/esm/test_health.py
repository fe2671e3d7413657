"""`/healthz` and `/readyz`."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client
from psycopg_pool import ConnectionPool, PoolTimeout
from pytest_django import Settings

from esm import clock, health
from esm.health import DATABASE_WAIT_S
from esm.ticks import run_tick
from tests.factories import AT
from tests.services.redis import RedisServer


def ask(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def test_a_living_process_needs_no_database_to_say_so() -> None:
    answer = ask("/healthz")
    assert (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, {"status": "ok"}, "no-store")


def test_health_is_asked_by_address_without_a_redirect(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert ask("/healthz", Host="10.1.2.3:8000").status_code == 200


@pytest.mark.django_db
def test_an_embedded_installation_is_ready_when_its_database_answers(settings: Settings) -> None:
    settings.EMBEDDED = True
    answer = ask("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": {"database": "ok"}})


@pytest.mark.django_db
def test_a_full_installation_needs_its_cache_too(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMBEDDED = False
    settings.CACHES = redis_at(redis_server.url)
    monkeypatch.setattr(health, "STARTED", time.monotonic())  # its ticks may still be starting
    assert ask("/readyz").json()["checks"] == {"database": "ok", "cache": "ok", "ticks": "ok"}
    settings.CACHES = redis_at("redis://127.0.0.1:9/0")
    answer = ask("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "cache": "unavailable", "ticks": "ok"}


@pytest.fixture
def long_running(settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full installation whose web process has been there for a while."""
    settings.EMBEDDED = False
    settings.CACHES = redis_at(redis_server.url)
    monkeypatch.setattr(health, "STARTED", time.monotonic() - health.TICKS_MAY_START_S)


@pytest.mark.django_db
def test_a_full_installation_whose_ticks_have_stopped_is_not_ready(long_running: None) -> None:
    with clock.frozen(AT):
        run_tick("queue_due", at=AT - timedelta(seconds=10))
        running = ask("/readyz")
    with clock.frozen(AT + timedelta(minutes=1)):
        stopped = ask("/readyz")

    assert (running.status_code, running.json()["checks"]["ticks"]) == (200, "ok")
    assert (stopped.status_code, stopped.json()["checks"]["ticks"]) == (503, "stale")


@pytest.mark.django_db
def test_ticks_that_have_never_run_are_stale_once_they_had_time_to_start(long_running: None) -> None:
    assert ask("/readyz").json()["checks"]["ticks"] == "stale"


@pytest.mark.django_db
def test_without_its_database_it_is_not_ready_and_says_nothing_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OperationalError("password wrong for esm at db.internal")

    settings.EMBEDDED = True
    monkeypatch.setattr(type(connections["default"]), "pool", None)
    monkeypatch.setattr(connection, "cursor", gone)
    answer = ask("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "unavailable", "checks": {"database": "unavailable"}},
    )


class PoolWithoutServer:
    """A pool whose server is away: it has nothing to give, however long one waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def open(self) -> None:
        pass

    def connection(self, timeout: float) -> Any:
        self.waits.append(timeout)
        raise PoolTimeout(f"couldn't get a connection after {timeout} sec")


@pytest.mark.django_db
def test_readiness_does_not_wait_for_the_pool_as_long_as_a_request_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMBEDDED = True
    pool = PoolWithoutServer()
    monkeypatch.setattr(type(connections["default"]), "pool", pool)

    assert ask("/readyz").status_code == 503

    assert pool.waits == [DATABASE_WAIT_S]


@pytest.mark.django_db
def test_a_pool_that_gives_a_connection_is_asked_once_and_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMBEDDED = True
    with ConnectionPool(kwargs=connections["default"].get_connection_params(), open=False) as pool:
        monkeypatch.setattr(type(connections["default"]), "pool", pool)

        assert ask("/readyz").json() == {"status": "ok", "checks": {"database": "ok"}}


def redis_at(url: str) -> dict[str, Any]:
    return {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}}
