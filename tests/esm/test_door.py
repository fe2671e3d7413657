"""The door alone, on real sockets: who is let in, who waits for whom, who is cut, and what waiting costs."""

import asyncio
import errno
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from esm import door
from esm.door import LINE_MAX, STEP_S, WAITING_MAX, Door

FLOODER, OTHER, GOOD = "127.0.0.2", "127.0.0.3", "127.0.0.9"


class Rules:
    """Everybody but the good address has a line."""

    def __init__(self) -> None:
        self.was_cut: list[str] = []

    def line_of(self, peer: str) -> str | None:
        return None if peer == GOOD else peer

    def cut(self, peer: str) -> None:
        self.was_cut.append(peer)


class Hello(asyncio.Protocol):
    """Greets at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody leaves a line unless the test says so."""
    monkeypatch.setattr(door, "STEP_S", 3600.0)


@asynccontextmanager
async def opened(rules: Rules, listener: socket.socket | None = None) -> AsyncIterator[tuple[Door, int]]:
    listener = listener or socket.socket()
    listener.bind(("127.0.0.1", 0))
    one = Door(listener, rules=rules, protocol=Hello)
    one.open()
    try:
        yield one, listener.getsockname()[1]
    finally:
        await one.close()


def come(port: int, address: str, times: int = 1) -> list[socket.socket]:
    """Connections of this address, in order; whether they were cut is not looked at yet."""
    connections = []
    for _ in range(times):
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((address, 0))
        assert connection.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
        connections.append(connection)
    return connections


async def told(connection: socket.socket) -> str:
    """What becomes of a connection."""
    with connection:
        try:
            return (await asyncio.get_running_loop().sock_recv(connection, 100)).decode()
        except ConnectionResetError:
            return "cut"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(bounded())


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def test_while_one_address_waits_in_a_full_line_others_are_let_in_at_once(still: None) -> None:
    async def scenario() -> None:
        rules = Rules()
        async with opened(rules) as (one, port):
            flood = come(port, FLOODER, LINE_MAX + 20)
            (good,) = come(port, GOOD)
            assert await told(good) == "hello"
            await until(lambda: len(rules.was_cut) == 20)
            assert (one._waiting, rules.was_cut) == (LINE_MAX, [FLOODER] * 20)
            assert [await told(connection) for connection in flood[LINE_MAX:]] == ["cut"] * 20
            close_all(flood)

    run(scenario())


def test_a_burst_is_accepted_in_portions_so_that_requests_have_their_turn_in_between(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            burst = come(port, FLOODER, 40)  # the event loop has not run in between
            one._accept()
            assert one._waiting == 32
            one._accept()
            assert one._waiting == 40
            close_all(burst)

    run(scenario())


def test_all_lines_together_are_bounded(still: None) -> None:
    async def scenario() -> None:
        rules = Rules()
        async with opened(rules) as (one, port):
            floods = [come(port, f"127.0.1.{number}", LINE_MAX) for number in range(3)]
            await until(lambda: len(rules.was_cut) == 3 * LINE_MAX - WAITING_MAX)
            assert one._waiting == WAITING_MAX
            close_all([*itertools.chain(*floods)])

    run(scenario())


def test_whoever_waits_costs_no_task_and_is_not_read(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            flood = come(port, FLOODER, 50)
            await until(lambda: one._waiting == 50)
            assert len(asyncio.all_tasks()) == len({asyncio.current_task()})
            close_all(flood)

    run(scenario())


def test_a_line_is_served_in_order_and_a_full_one_within_two_seconds(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            flood = come(port, FLOODER, LINE_MAX)
            await until(lambda: one._waiting == LINE_MAX)
            for connection in flood:
                one._step()
                assert await told(connection) == "hello"
            assert one._waiting == 0

    run(scenario())
    assert LINE_MAX * STEP_S == 2.0


def test_a_line_does_not_wait_for_another_line(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            flood = come(port, FLOODER, 50)
            (other,) = come(port, OTHER)
            await until(lambda: one._waiting == 51)
            one._step()
            assert [await told(flood[0]), await told(other)] == ["hello", "hello"]
            close_all(flood)

    run(scenario())


def test_with_more_lines_than_a_step_serves_each_has_its_turn(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            floods = [come(port, f"127.0.1.{number}", 2) for number in range(15)]
            await until(lambda: one._waiting == 30)
            one._step()
            one._step()
            assert [await told(first) for first, _ in floods] == ["hello"] * 15
            assert one._waiting == 10
            close_all([second for _, second in floods])

    run(scenario())


def test_the_line_moves_by_itself_until_it_is_empty() -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            assert [await told(connection) for connection in come(port, FLOODER, 5)] == ["hello"] * 5
            await until(lambda: one._timer is None)
            assert [await told(connection) for connection in come(port, FLOODER, 2)] == ["hello"] * 2

    run(scenario())


def test_a_client_that_left_while_it_waited_disturbs_nobody() -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (_, port):
            gone, last = come(port, FLOODER, 2)
            gone.close()
            assert await told(last) == "hello"

    run(scenario())


def test_whoever_waits_when_the_door_closes_is_cut(still: None) -> None:
    async def scenario() -> None:
        async with opened(Rules()) as (one, port):
            flood = come(port, FLOODER, 30)
            await until(lambda: one._waiting == 30)
        assert [await told(connection) for connection in flood] == ["cut"] * 30

    run(scenario())


class Exhausted(socket.socket):
    """A listener that finds no descriptor the first time."""

    tried = False

    def accept(self) -> Any:
        if not self.tried:
            self.tried = True
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


def test_without_descriptors_it_stands_still_for_a_while_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_PAUSE_S", 0.01)

    async def scenario() -> None:
        async with opened(Rules(), Exhausted()) as (_, port):
            (good,) = come(port, GOOD)
            assert await told(good) == "hello"

    with capture_logs() as logs:
        run(scenario())
    assert [(log["action"], log["error"]) for log in logs] == [("accept_failed", "EMFILE")]
