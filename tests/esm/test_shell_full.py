"""The ASGI shell when more is asked than it takes: who waits, who is turned away, and that places come free again."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from esm.shell import Answer, Scope, Shell
from tests.esm.shells import LIMITS, Client, part, run, scope, shell, tell


class Slow:
    """A WSGI application whose requests end when the test says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.running.release()
        self.go.wait(10)
        return tell(environ, start_response)


@asynccontextmanager
async def busy(one: Shell, app: Slow, requests: int) -> AsyncIterator[list[Client]]:
    """So many requests are running or waiting; they end with the block."""
    clients = [Client(part(b"")) for _ in range(requests)]
    tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in clients]
    for _ in range(min(requests, LIMITS.threads)):
        await asyncio.to_thread(app.running.acquire, timeout=10)
    while one._busy < requests:
        await asyncio.sleep(0)
    yield clients
    app.go.set()
    await asyncio.gather(*tasks)


def test_a_full_queue_is_answered_at_once_and_noted_soon_after() -> None:
    noted = threading.Event()
    app = Slow()

    async def scenario() -> None:
        one = shell(app, after_turning_away=noted.set)
        async with busy(one, app, LIMITS.queue_max) as clients:
            late = [Client(part(b"")) for _ in range(2)]
            for client in late:
                await one(scope(), client.receive, client.send)
            assert [client.status for client in late] == [503, 503]
        assert [client.status for client in clients] == [200, 200, 200]
        assert await asyncio.to_thread(noted.wait, 10)
        after = Client(part(b""))
        await one(scope(), after.receive, after.send)
        assert after.status == 200

    run(scenario())


def test_who_is_turned_away_takes_no_thread_waits_and_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.shell._HOLD_S", 0.01)
    noted, reached = threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        reached.set()
        return tell(environ, start_response)

    def doorman(_: Scope, body: bytes) -> Answer | None:
        return Answer(status=429, headers=[], body=b"wait") if body == b"guess" else None

    async def scenario() -> None:
        one = shell(app, doorman=doorman, after_turning_away=noted.set)
        guess, good = Client(part(b"guess")), Client(part(b"{}"))
        await one(scope(), guess.receive, guess.send)
        assert (guess.status, reached.is_set(), one._held) == (429, False, 0)
        await one(scope(), good.receive, good.send)
        assert (good.status, await asyncio.to_thread(noted.wait, 10)) == (200, True)

    run(scenario())


def test_waiting_guesses_never_take_the_places_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.shell._HOLD_S", 60.0)

    async def scenario() -> None:
        one = shell(doorman=lambda _scope, body: Answer(status=429, headers=[], body=b"") if body else None)
        guesses = [Client(part(b"guess")) for _ in range(LIMITS.open_max // 4 + 5)]
        tasks = [asyncio.create_task(one(scope(), guess.receive, guess.send)) for guess in guesses]
        while sum(bool(guess.sent) for guess in guesses) < 5:
            await asyncio.sleep(0)
        good = Client(part(b""))
        await one(scope(), good.receive, good.send)
        assert (good.status, one._held) == (200, LIMITS.open_max // 4)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scenario())


@pytest.mark.parametrize(("line", "closed"), [("127.0.0.2", True), (None, False)])
def test_a_guess_that_finds_no_room_to_wait_is_sent_to_the_line_at_the_door(
    monkeypatch: pytest.MonkeyPatch, line: str | None, closed: bool
) -> None:
    monkeypatch.setattr("esm.shell._HELD_SHARE", 1000)
    guess = Client(part(b"guess"))
    refused = Answer(status=429, headers=[], body=b"")
    one = shell(doorman=lambda _scope, _body: refused, line_of=lambda _peer: line)
    run(one(scope(), guess.receive, guess.send))
    assert ((b"connection", b"close") in guess.sent[0]["headers"]) == closed


def test_health_is_let_through_a_full_queue() -> None:
    app = Slow()

    async def scenario() -> None:
        one = shell(app, always=frozenset({"/healthz"}))
        async with busy(one, app, LIMITS.queue_max):
            client = Client(part(b""))
            task = asyncio.create_task(one(scope(path="/healthz"), client.receive, client.send))
            while one._busy <= LIMITS.queue_max:
                await asyncio.sleep(0)
        await task
        assert client.status == 200

    run(scenario())


def test_bodies_that_are_still_arriving_take_no_place_in_the_queue() -> None:
    async def scenario() -> None:
        one = shell()
        slow = [Client(part(b"x", more=True)) for _ in range(20)]
        tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in slow]
        await asyncio.sleep(0)
        good = Client(part(b"{}"))
        await one(scope(), good.receive, good.send)
        assert (good.status, one._busy) == (200, 0)
        await asyncio.gather(*tasks)

    run(scenario())


def test_more_open_requests_than_bodies_may_be_held_are_turned_away() -> None:
    async def scenario() -> None:
        one = shell()
        slow = [Client(part(b"x", more=True)) for _ in range(LIMITS.open_max)]
        tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in slow]
        await asyncio.sleep(0)
        late, again = Client(part(b"")), Client(part(b""))
        await one(scope(), late.receive, late.send)
        await asyncio.gather(*tasks)
        await one(scope(), again.receive, again.send)
        assert (late.status, again.status) == (503, 200)

    run(scenario())


def test_a_cancelled_request_keeps_its_place_until_its_thread_is_done() -> None:
    app = Slow()

    async def scenario() -> None:
        one = shell(app)
        client = Client(part(b""))
        task = asyncio.create_task(one(scope(), client.receive, client.send))
        await asyncio.to_thread(app.running.acquire, timeout=10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one._busy == 1
        app.go.set()
        while one._busy:
            await asyncio.sleep(0)

    run(scenario())


def test_an_application_that_fails_frees_its_place() -> None:
    def app(_: dict[str, Any], _start: Any) -> list[bytes]:
        raise RuntimeError("broken")

    async def scenario() -> None:
        one = shell(app)
        client = Client(part(b""))
        with pytest.raises(RuntimeError):
            await one(scope(), client.receive, client.send)
        while one._busy:
            await asyncio.sleep(0)

    run(scenario())
