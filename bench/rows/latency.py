"""How long one thing takes on its way: a command until the broker confirmed it, an event until its row is committed.

All processes of an installation run: relay, consumer, worker, beat. Idle = nothing else happens; half load = Voke sends
telemetry at half of the highest load. That is what is sustained live: Voke publishes as fast as it can while at most
2,000 messages wait in the queue, so publisher, broker, consumer and database share the two cores, as they do while
samples are taken. (The rate at which a filled queue is emptied is higher, and half of it is more than is sustained:
nobody pays for publishing then.) How much of what was offered was stored meanwhile is a target of its own.

A command costs some 50 ms of processor time in all processes together, so COMMANDS_PER_S keeps them from being a load
of their own.
"""

import math
import random
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import cycle
from threading import Event
from time import perf_counter
from typing import Any

import pika
import psycopg

from bench.chorus import Song
from bench.emptying import READINGS, stored, until
from bench.house import processes, speaking
from bench.ingesting import empty_tables
from bench.messages import Voice
from bench.row import Better, Row, Target, Variant, WarmUp, at_most
from bench.world import Side, World
from dispatch.models import OutboundMessage, Outcome
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import submit
from esm import clock
from plants.models import Plant
from plants.services.partitions import ensure_partitions
from tests.services.proc import wait_until
from vcp import Direction, Priority, SetpointType, SiteSetpoint

ORDER = 80
PLANTS = 100
COMMANDS_PER_S, EVENTS_PER_S = 15.0, 40.0
WARMING_UP = 10
HIGHEST_S, QUICK_HIGHEST_S = 30.0, 3.0
"""Long enough that what is stored is folded and rolled up meanwhile: that is part of what is sustained."""
SETTLE_S = 1.0
STARTED_S = 4.0
"""Each tick has run once by then: those of seconds began together."""
AHEAD, QUICK_AHEAD = 120_000, 20_000
KEPT = 0.95
WITHIN_S, QUICK_WITHIN_S = 480.0, 120.0
LOOK_EVERY_S = 0.002
SAMPLES_AT_H, SONGS_AT_H = 6, range(30, 6, -2)
"""Hours ago that events tell of. Each load is later than the one before it: plants' newest values move, as they do."""
QUEUE = "eventTelemetry"


def rows(world: World) -> Sequence[Row]:
    """`latency_command_idle`, `latency_command_half`, `latency_event_idle`, `latency_event_half`."""
    house = House(world)
    count = 50 if world.quick else 100
    return [
        _row("command", "idle", house, lambda: house.commands(count), limit_ms=100),
        _row("event", "idle", house, lambda: house.events(count), limit_ms=100),
        _row("command", "half", house, lambda: house.commands(count, half=True), limit_ms=150),
        _row("event", "half", house, lambda: house.events(count, half=True), limit_ms=150),
    ]


def _row(
    what: str,
    load: str,
    house: "House",
    run: Callable[[], list[float]],
    *,
    limit_ms: float,
) -> Row:
    path = {"command": "button -> confirmed by the broker", "event": "on the wire -> row committed"}[what]
    half = load == "half"
    samples = Samples(lambda: _figures(run(), kept=house.kept))
    names = {"ours": "p99", "p50": "p50"} | ({STORED: STORED} if half else {})
    variants = [
        Variant(name=name, run=partial(samples.told, figure), warm_up=WarmUp.NEVER)
        for name, figure in names.items()
    ]
    return Row(
        name=f"latency_{what}_{load}",
        what=f"{path}, {'at half of the load that is sustained live' if half else 'nothing else happens'}: p99",
        unit="ms",
        better=Better.LOWER,
        variants=variants,
        targets=[at_most(limit_ms, "ms"), *([_KEPT] if half else [])],
        done=house.close if half and what == "event" else None,
        within_s=QUICK_WITHIN_S if house.world.quick else WITHIN_S,
    )


STORED = "stored of offered [1]"
_KEPT = Target(
    text=f">= {KEPT:g} of what was offered stored", met=lambda result: result.others[STORED] >= KEPT
)


def _figures(milliseconds: Sequence[float], *, kept: float) -> Mapping[str, float]:
    ordered = sorted(milliseconds)

    def share(part: float) -> float:
        """The value that this share of the samples did not exceed: 0.99 of 100 are all but one."""
        return ordered[math.ceil(part * len(ordered)) - 1]

    return {"p99": share(0.99), "p50": share(0.50), STORED: kept}


class Samples:
    """One measurement serves every figure that is asked of it, once."""

    def __init__(self, run: Callable[[], Mapping[str, float]]) -> None:
        self._run = run
        self._figures: Mapping[str, float] = {}
        self._given: set[str] = set()

    def told(self, name: str) -> float:
        """A figure of the present measurement, or of a new one when it was given already."""
        if not self._figures or name in self._given:
            self._figures, self._given = self._run(), set()
        self._given.add(name)
        return self._figures[name]


class House:
    """The running installation; it starts when first needed and is closed with the last row."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._stack = ExitStack()
        self._chance = random.Random(20260102)
        self._warmed_up = False
        self._hours = cycle(SONGS_AT_H)
        self.kept = 0.0

    @cached_property
    def side(self) -> Side:
        """Its partner key."""
        return self.world.side()

    @cached_property
    def plants(self) -> Sequence[Plant]:
        """Those that are commanded and speak beside it, then those of the events that are timed."""
        return self.world.plants(self.side.connection, 2 * PLANTS)

    @cached_property
    def runs(self) -> bool:
        """The processes run from here on, and are done with what they do when they start."""
        empty_tables(self.world, first_day=clock.now())
        ensure_partitions(days={self._past(hours).date() for hours in (SAMPLES_AT_H, *SONGS_AT_H)})
        assert self.plants
        self.world.until_end(self._stack)
        self._stack.enter_context(
            processes(self.world, [self.side], "relay", "consume", "worker", "slow-worker", "beat")
        )
        Event().wait(STARTED_S)
        return True

    @cached_property
    def highest_per_s(self) -> float:
        """Telemetry messages a second that are stored while Voke publishes as fast.

        Measured after the idle rows: what is rolled up of it keeps a worker busy for a while.
        """
        quick = self.world.quick
        with self.world.database() as look, speaking(self._song(0, ahead=QUICK_AHEAD if quick else AHEAD)):
            Event().wait(SETTLE_S)
            before, began = _messages(look), perf_counter()
            Event().wait(QUICK_HIGHEST_S if quick else HIGHEST_S)
            rate = (_messages(look) - before) / (perf_counter() - began)
        self._await_empty()
        print(f"highest load: {rate:,.0f} messages a second", file=sys.stderr, flush=True)
        return rate

    def _await_empty(self) -> None:
        """Nothing of what was said waits, and what the consumer holds is stored."""
        with self.world.rabbit.voke_connection(self.side.partner) as voke, self.world.database() as look:
            channel, queue = voke.channel(), self.side.partner.queues[QUEUE]
            until(
                lambda: channel.queue_declare(queue, passive=True).method.message_count == 0, "all is taken"
            )
            pause, before, now = Event(), -1.0, _messages(look)
            while now != before:
                pause.wait(SETTLE_S / 2)
                before, now = now, _messages(look)

    def close(self) -> None:
        """Stop the processes."""
        self._stack.close()

    def commands(self, count: int, *, half: bool = False) -> list[float]:
        """Milliseconds from asking for a setpoint until the broker's confirm was known, of `count` of them."""
        self._ready()
        batch = uuid.uuid4().hex
        with self._load(half, count):
            for number in range(count):
                self._pace(COMMANDS_PER_S)
                self._ask(self.plants[number % PLANTS], batch)
            confirmed = OutboundMessage.objects.filter(command__batch_ref=batch, outcome=Outcome.CONFIRMED)
            wait_until(lambda: confirmed.count() == count, timeout_s=60, what="all commands are confirmed")
        self.world.rabbit.purge(self.side.partner)
        told = confirmed.values_list("outcome_at", "command__requested_at")
        return [(after - before).total_seconds() * 1000 for after, before in told if after is not None]

    def events(self, count: int, *, half: bool = False) -> list[float]:
        """Milliseconds from publishing a realtime message until its row can be read, of `count` of them."""
        self._ready()
        persistent = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        found: list[float] = []
        with (
            self._load(half, count),
            self.world.rabbit.voke_connection(self.side.partner) as voke,
            self.world.database() as database,
        ):
            channel, pause = voke.channel(), Event()
            for number in range(count):
                plant, at = (
                    self.plants[PLANTS + number % PLANTS],
                    self._past(SAMPLES_AT_H) + timedelta(milliseconds=number),
                )
                self._pace(EVENTS_PER_S)
                wire = self._voice.realtime(str(plant.voke_uuid), at=at)
                began = perf_counter()
                channel.basic_publish("vcp", wire.routing_key, wire.body, persistent)
                told = at.replace(microsecond=at.microsecond // 1000 * 1000)
                query = f"SELECT 1 FROM {READINGS} WHERE plant_id = %s AND measured_at = %s"
                while database.execute(query, (plant.pk, told)).fetchone() is None:
                    if perf_counter() - began > 60:
                        raise TimeoutError("an event was not stored")
                    pause.wait(LOOK_EVERY_S)
                found.append((perf_counter() - began) * 1000)
        return found

    def _ready(self) -> None:
        """The processes run, and both ways were gone before anything is timed."""
        if not self._warmed_up:
            assert self.runs
            self._warmed_up = True
            self.commands(WARMING_UP)
            self.events(WARMING_UP)

    def _ask(self, plant: Plant, batch: str) -> None:
        at = clock.now()
        payload = SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=12.5,
            direction=Direction.EXPORT,
            include_consumption=True,
            priority=Priority.NORMAL,
            valid_from=at,
            valid_until=at + timedelta(minutes=15),
        )
        submit(
            organisation_id=plant.organisation_id,
            request=CommandRequest(
                external_plant_id=plant.external_plant_id, payload=payload, batch_ref=batch
            ),
            actor=Actor(name="bench"),
            at=at,
            policy=current_policy(),
        )

    @contextmanager
    def _load(self, half: bool, count: int) -> Iterator[None]:
        """Half of the highest load beside the block, when it is `half`; `kept` tells how much of it was stored."""
        if not half:
            yield
            return
        per_s = self.highest_per_s / 2
        song = self._song(per_s, ahead=int(per_s * (count / COMMANDS_PER_S + SETTLE_S)))
        with self.world.database() as look, speaking(song):
            Event().wait(SETTLE_S)
            before, began = _messages(look), perf_counter()
            yield
            self.kept = (_messages(look) - before) / (perf_counter() - began) / per_s
        self._await_empty()
        print(
            f"half load: {self.kept:.2f} of {per_s:,.0f} messages a second stored",
            file=sys.stderr,
            flush=True,
        )

    def _song(self, per_s: float, *, ahead: int) -> Song:
        """Of a time of its own, after the one before it."""
        return Song(
            uri=self.side.partner.voke_uri,
            ca_file=str(self.world.rabbit.ca_file),
            prefix=self.side.partner.slug,
            sites=[str(plant.voke_uuid) for plant in self.plants[:PLANTS]],
            per_s=per_s,
            start=self._past(next(self._hours)).isoformat(),
            ahead=ahead,
            queue=self.side.partner.queues[QUEUE],
        )

    def _pace(self, per_s: float) -> None:
        """At uneven times: a rhythm could fall into step with somebody's polling."""
        Event().wait(self._chance.uniform(0.5, 1.5) / per_s)

    def _past(self, hours: int) -> datetime:
        return clock.now() - timedelta(hours=hours)

    @cached_property
    def _voice(self) -> Voice:
        return Voice(prefix=self.side.partner.slug)


def _messages(look: "psycopg.Connection[Any]") -> float:
    """How many messages are stored; one of meters is two rows."""
    readings, meters = stored(look)
    return readings + meters / 2
