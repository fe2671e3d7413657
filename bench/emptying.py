"""How fast processes empty filled queues: none stores anything before all are connected, and the middle is timed.

A consumer holds as many messages as AMQP_PREFETCH lets it before their time is taken, and two of them hold twice as
many. So the rate is that of the middle: from when what was held at the start is stored until what is held is the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from time import perf_counter
from typing import Any

import psycopg

from bench.world import World

LOOK_EVERY_S = 0.01
COUNT_EVERY_S = 0.05
WITHIN_S = 180.0
READINGS, METERS = "plants_telemetryreading", "plants_meterreading"


@contextmanager
def held_back(world: World) -> Iterator[Callable[[], object]]:
    """Nobody can store a reading until what is answered here is called."""
    with world.database() as gate:
        gate.execute("BEGIN")
        gate.execute(f"LOCK TABLE {READINGS}, {METERS} IN SHARE MODE")
        yield lambda: gate.execute("COMMIT")


def stored(database: "psycopg.Connection[Any]") -> tuple[int, int]:
    """Rows of readings and of meters."""
    row = database.execute(
        f"SELECT (SELECT count(*) FROM {READINGS}), (SELECT count(*) FROM {METERS})"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def middle_rate(database: "psycopg.Connection[Any]", *, held: int, count: int) -> float:
    """Messages a second between two looks, when `held` are stored and when no more than `held` are left."""
    if count <= 2 * held:
        raise RuntimeError("too few messages: what consumers hold ahead is most of them")

    def when(messages: int) -> tuple[float, float]:
        found = 0.0

        def enough() -> bool:
            nonlocal found
            readings, meters = stored(database)
            found = readings + meters / 2  # a message of meters is two rows
            return found >= messages

        until(enough, f"{messages} messages are stored", every_s=COUNT_EVERY_S)
        return perf_counter(), found

    (began, first), (ended, last) = when(held), when(count - held)
    if last <= first:
        raise RuntimeError("too few messages: all were stored between two looks")
    return (last - first) / (ended - began)


def until(done: Callable[[], bool], what: str, *, every_s: float = LOOK_EVERY_S) -> None:
    """Wait until it is true."""
    pause, began = Event(), perf_counter()
    while not done():
        if perf_counter() - began > WITHIN_S:
            raise TimeoutError(f"not within {WITHIN_S:g} s: {what}")
        pause.wait(every_s)
