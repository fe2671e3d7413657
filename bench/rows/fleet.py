"""Two consumers and two relays over two connections, beside one of each: is it more, is anything lost or doubled.

Each run counts: every message of the queues is one row, every command is confirmed once and one message at the broker.

A consumer holds as many messages as AMQP_PREFETCH lets it before their time is taken, and two of them hold twice as
many. So the rate is that of the middle: from when what was held at the start is stored until what is held is the rest.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Event
from time import perf_counter
from typing import Any

import psycopg
from django.conf import settings

from bench.dispatching import TABLES, Fleet, any_unsent, plan
from bench.house import processes
from bench.ingesting import empty_tables
from bench.messages import Voice, Wire, fill, require_empty
from bench.row import Better, Row, Variant
from bench.world import START, World
from dispatch.models import OutboundMessage, Outcome
from esm import clock
from esm.ticks import run_tick

ORDER = 90
PLANTS = 100
CONNECTIONS = 2
LOOK_EVERY_S = 0.01
COUNT_EVERY_S = 0.05
WITHIN_S = 180.0
READINGS, METERS = "plants_telemetryreading", "plants_meterreading"


def rows(world: World) -> Sequence[Row]:
    """`fleet_ingest` and `fleet_dispatch`."""
    ingest = Ingest(world, rounds=48 if world.quick else 120)
    dispatch = Dispatch(world, each=500 if world.quick else 5_000)
    repetitions = 1 if world.quick else None
    return [
        Row(
            name="fleet_ingest",
            what="telemetry in the queues of two connections -> committed rows, two consumers beside one",
            unit="msg/s",
            better=Better.HIGHER,
            variants=_variants(ingest.run),
            repetitions=repetitions,
        ),
        Row(
            name="fleet_dispatch",
            what="setpoints of two connections due in one tick -> SENT, two relays beside one",
            unit="cmd/s",
            better=Better.HIGHER,
            variants=_variants(dispatch.run),
            repetitions=repetitions,
        ),
    ]


def _variants(run: Callable[[int], float]) -> Sequence[Variant]:
    return [Variant(name="ours", run=lambda: run(2)), Variant(name="one process", run=lambda: run(1))]


class Ingest:
    """Two filled connections; the processes are connected before anything is stored."""

    def __init__(self, world: World, *, rounds: int) -> None:
        self._world = world
        self._rounds = rounds

    @cached_property
    def _fleets(self) -> list[Fleet]:
        return [Fleet(self._world, plants=PLANTS) for _ in range(CONNECTIONS)]

    @cached_property
    def _wires(self) -> list[list[Wire]]:
        return [
            Voice(prefix=one.side.partner.slug).rounds(
                [str(plant.voke_uuid) for plant in one.plants], count=self._rounds, start=START
            )
            for one in self._fleets
        ]

    def run(self, consumers: int) -> float:
        """Messages a second of both connections together."""
        empty_tables(self._world)
        for one, wires in zip(self._fleets, self._wires, strict=True):
            fill(self._world, one.side, wires)
        everything = [wire for wires in self._wires for wire in wires]
        meters = sum(".meter." in wire.routing_key for wire in everything)
        wanted = (len(everything) - meters, 2 * meters)
        held = consumers * CONNECTIONS * settings.AMQP_PREFETCH
        with self._world.database() as gate, self._world.database() as look:
            gate.execute("BEGIN")
            gate.execute(f"LOCK TABLE {READINGS}, {METERS} IN SHARE MODE")
            with processes(self._world, [one.side for one in self._fleets], *["consume"] * consumers):
                gate.execute("COMMIT")
                rate = _middle_rate(look, held=held, count=len(everything))
                _until(lambda: _stored(look) == wanted, f"{wanted} rows")
            for one in self._fleets:
                require_empty(self._world, one.side)
            if _stored(look) != wanted:
                raise AssertionError(f"{_stored(look)} rows, not {wanted}")
        return rate


def _stored(database: "psycopg.Connection[Any]") -> tuple[int, int]:
    row = database.execute(
        f"SELECT (SELECT count(*) FROM {READINGS}), (SELECT count(*) FROM {METERS})"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _middle_rate(database: "psycopg.Connection[Any]", *, held: int, count: int) -> float:
    """Messages a second between two looks, when `held` are stored and when no more than `held` are left."""

    def when(messages: int) -> tuple[float, float]:
        found = 0.0

        def enough() -> bool:
            nonlocal found
            readings, meters = _stored(database)
            found = readings + meters / 2  # a message of meters is two rows
            return found >= messages

        _until(enough, f"{messages} messages are stored", every_s=COUNT_EVERY_S)
        return perf_counter(), found

    (began, first), (ended, last) = when(held), when(count - held)
    if last <= first or count <= 2 * held:
        raise RuntimeError("too few messages: what consumers hold ahead is most of them")
    return (last - first) / (ended - began)


class Dispatch:
    """Two connections whose setpoints are all due at once."""

    def __init__(self, world: World, *, each: int) -> None:
        self._world = world
        self._each = each

    @cached_property
    def _fleets(self) -> list[Fleet]:
        return [Fleet(self._world, plants=self._each) for _ in range(CONNECTIONS)]

    def run(self, relays: int) -> float:
        """Commands a second of both connections together."""
        for one in self._fleets:
            one.empty()
        for one in self._fleets:
            plan(one, self._each)
        count = CONNECTIONS * self._each
        sides = [one.side for one in self._fleets]
        with self._world.database() as look, processes(self._world, sides, *["relay"] * relays):
            began = perf_counter()
            run_tick("queue_due", at=clock.now())
            _until(lambda: not any_unsent(look), f"{count} commands")
            took_s = perf_counter() - began
        self._check(count)
        self._world.truncate(*TABLES)
        return count / took_s

    def _check(self, count: int) -> None:
        """Each command left once, and each connection's broker holds its own."""
        once = OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED, attempts=1).count()
        held = [one.at_the_broker() for one in self._fleets]
        if once != count or held != [self._each] * CONNECTIONS:
            raise AssertionError(
                f"of {count} commands {once} were confirmed at once, the brokers hold {held}"
            )


def _until(done: Callable[[], bool], what: str, *, every_s: float = LOOK_EVERY_S) -> None:
    """Wait until it is true."""
    pause, began = Event(), perf_counter()
    while not done():
        if perf_counter() - began > WITHIN_S:
            raise TimeoutError(f"not within {WITHIN_S:g} s: {what}")
        pause.wait(every_s)
