"""The log of a full installation over a real Redis: two web processes, and a Redis that goes and comes back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from live.events import Event, Position
from live.publisher import Publisher, SinkAway
from live.redis_log import RedisReader, RedisSink
from live.ring import Ring
from tests.live.conftest import tile, told, until
from tests.services.redis import RedisServer

_PREFIXES = count()


@pytest.fixture
def prefix() -> str:
    return f"test:{next(_PREFIXES)}"


@contextmanager
def following(url: str, prefix: str) -> Iterator[tuple[Ring, RedisReader]]:
    """A ring as a web process has it, fed from Redis."""
    ring, stop = Ring(), threading.Event()
    reader = RedisReader(url, ring, prefix=prefix)
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    try:
        assert reader.attached.wait(20)
        yield ring, reader
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture
def publisher(redis_server: RedisServer, prefix: str) -> Iterator[Publisher]:
    one = Publisher(RedisSink(redis_server.url, prefix=prefix), tile_every_s=0.0)
    yield one
    one.close(within_s=20)


@pytest.fixture
def follow(redis_server: RedisServer, prefix: str) -> Iterator[Callable[[], Ring]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(following(redis_server.url, prefix))[0]


def keys(events: list[tuple[tuple[int, int], Event]]) -> list[str]:
    return [event.key for _, event in events]


def heard(ring: Ring, since: Position) -> list[str]:
    """Keys of what an organisation's screen gets from there on."""
    found = ring.missed(1, since, upto=ring.position())
    assert not found.lists_lost
    return keys(list(found.lists))


def test_a_screen_may_go_on_at_another_web_process(publisher: Publisher, follow: Callable[[], Ring]) -> None:
    one, other = follow(), follow()
    began = one.position()
    publisher.put([told(1, number) for number in range(120)])
    until(lambda: len(heard(one, began)) == 120)
    midway = one.position()
    publisher.put([told(1, number) for number in range(120, 150)])
    until(lambda: other.position() > midway and len(heard(other, began)) == 150)
    assert heard(other, midway) == [str(number) for number in range(120, 150)]


def test_a_web_process_that_starts_later_knows_what_was_told_before(
    publisher: Publisher, follow: Callable[[], Ring]
) -> None:
    first = follow()
    publisher.put([told(1, 0)])
    until(lambda: first.position().lists > (0, 0))
    since = first.position()
    publisher.put([told(1, number) for number in range(1, 40)])
    publisher.put([tile(1, 5, version=1), tile(1, 6, version=1)])
    assert publisher.flush(within_s=20)
    late = follow()
    assert heard(late, since) == [str(number) for number in range(1, 40)]
    assert keys(list(late.missed(1, since, upto=late.position()).tiles)) == ["6", "5"]


@contextmanager
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_while_redis_is_away_nobody_waits_and_afterwards_every_screen_knows_that_it_missed_something() -> (
    None
):
    with own_redis() as server, following(server.url, "away") as (ring, _):
        publisher = Publisher(RedisSink(server.url, prefix="away"))
        publisher.put([told(1, 1)])
        until(lambda: ring.position().lists > (0, 0))
        since = ring.position()
        server.stop()
        publisher.put([told(1, 2)])
        assert publisher.flush(within_s=20)
        until(lambda: ring.away)
        server.start()
        until(lambda: not ring.away)
        until(lambda: ring.missed(1, since, upto=ring.position()).lists_lost)
        publisher.put([told(1, 3)])
        until(lambda: keys_in(ring)[-1:] == ["3"])
        publisher.close(within_s=20)


def test_what_can_not_be_written_is_dropped_and_never_written_twice(redis_server: RedisServer) -> None:
    class Faulty(RedisSink):
        """Writes, and then says that it could not."""

        broken = True

        def write(self, *, lists: list[Event], tiles: list[Event]) -> None:  # type: ignore[override]
            super().write(lists=lists, tiles=tiles)
            if self.broken:
                self.broken = False
                raise SinkAway

    with following(redis_server.url, "faulty") as (ring, _):
        publisher = Publisher(Faulty(redis_server.url, prefix="faulty"))
        publisher.put([told(1, 1)])
        assert publisher.flush(within_s=20)
        publisher.put([told(1, 2)])
        until(lambda: "2" in keys_in(ring))
        publisher.close(within_s=20)
        assert keys_in(ring) == [
            "2"
        ]  # the first one stands before the break, after which screens start afresh


def keys_in(ring: Ring) -> list[str]:
    return [event.key for entry in ring.entries_since(0) or list(ring._recent) for event in entry.events]
