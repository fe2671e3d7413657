"""How long one thing takes on its way: a command until the broker confirmed it, an event until its row is committed.

All processes of an installation run: relay, consumer, worker, beat. Idle = nothing else happens; half load = Voke sends
telemetry at half of the rate at which the consumer just emptied a filled queue; how much of it was stored while the
samples were taken is told on standard error.
"""

import random
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event
from time import perf_counter

import pika
from django.conf import settings

from bench.chorus import Song
from bench.emptying import READINGS, held_back, middle_rate, stored, until
from bench.house import processes, speaking
from bench.ingesting import empty_tables
from bench.messages import METERS_EVERY, Voice, fill
from bench.row import Better, Row, Variant, WarmUp, at_most
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
PER_S = 40.0
WARMING_UP = 10
WITHIN_S, QUICK_WITHIN_S = 240.0, 120.0
LOOK_EVERY_S = 0.002


def rows(world: World) -> Sequence[Row]:
    """`latency_command_idle`, `latency_command_half`, `latency_event_idle`, `latency_event_half`."""
    house = House(world)
    count = 50 if world.quick else 200
    return [
        _row("command", "idle", house, lambda: house.commands(count), limit_ms=100),
        _row("event", "idle", house, lambda: house.events(count), limit_ms=100),
        _row("command", "half", house, lambda: house.commands(count, half=True), limit_ms=150),
        _row("event", "half", house, lambda: house.events(count, half=True), limit_ms=150, last=True),
    ]


def _row(
    what: str,
    load: str,
    house: "House",
    run: Callable[[], list[float]],
    *,
    limit_ms: float,
    last: bool = False,
) -> Row:
    path = {"command": "button -> confirmed by the broker", "event": "on the wire -> row committed"}[what]
    samples = Samples(run)
    return Row(
        name=f"latency_{what}_{load}",
        what=f"{path}, {'nothing else happens' if load == 'idle' else 'at half of the highest load'}: p99",
        unit="ms",
        better=Better.LOWER,
        variants=[
            Variant(name="ours", run=lambda: samples.share("p99", 0.99), warm_up=WarmUp.NEVER),
            Variant(name="p50", run=lambda: samples.share("p50", 0.50), warm_up=WarmUp.NEVER),
        ],
        targets=[at_most(limit_ms, "ms")],
        done=house.close if last else None,
        within_s=QUICK_WITHIN_S if house.world.quick else WITHIN_S,
    )


class Samples:
    """One measurement serves every share that is asked of it, once."""

    def __init__(self, run: Callable[[], list[float]]) -> None:
        self._run = run
        self._ordered: list[float] = []
        self._given: set[str] = set()

    def share(self, name: str, share: float) -> float:
        """The value that this share of the samples did not exceed."""
        if not self._ordered or name in self._given:
            self._ordered, self._given = sorted(self._run()), set()
        self._given.add(name)
        return self._ordered[min(len(self._ordered) - 1, int(share * len(self._ordered)))]


class House:
    """The running installation; it starts when first needed and is closed with the last row."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._stack = ExitStack()
        self._chance = random.Random(20260102)
        self._warmed_up = False

    @cached_property
    def side(self) -> Side:
        """Its partner key."""
        return self.world.side()

    @cached_property
    def plants(self) -> Sequence[Plant]:
        """Those that are commanded and speak."""
        return self.world.plants(self.side.connection, PLANTS)

    @cached_property
    def highest_per_s(self) -> float:
        """Telemetry messages a second from filled queues; the processes run from here on."""
        empty_tables(self.world, first_day=clock.now())
        ensure_partitions(days=[self._past().date()])
        wires = self._voice.rounds(self._sites, count=48 if self.world.quick else 150, start=self._past())
        fill(self.world, self.side, wires)
        self.world.until_end(self._stack)
        with held_back(self.world) as release, self.world.database() as look:
            self._stack.enter_context(
                processes(self.world, [self.side], "relay", "consume", "worker", "beat")
            )
            release()
            rate = middle_rate(look, held=settings.AMQP_PREFETCH, count=len(wires))
            meters = sum(".meter." in wire.routing_key for wire in wires)
            until(lambda: stored(look) == (len(wires) - meters, 2 * meters), "all messages are stored")
        print(f"highest load: {rate:,.0f} messages a second", file=sys.stderr, flush=True)
        return rate

    def close(self) -> None:
        """Stop the processes."""
        self._stack.close()

    def commands(self, count: int, *, half: bool = False) -> list[float]:
        """Milliseconds from asking for a setpoint until the broker's confirm was known, of `count` of them."""
        self._ready()
        batch = uuid.uuid4().hex
        with self._load(half):
            for number in range(count):
                self._pace()
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
            self._load(half),
            self.world.rabbit.voke_connection(self.side.partner) as voke,
            self.world.database() as database,
        ):
            channel, pause = voke.channel(), Event()
            for number in range(count):
                plant, at = self.plants[number % PLANTS], self._past() + timedelta(milliseconds=number)
                self._pace()
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
            assert self.highest_per_s
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

    def _load(self, half: bool) -> AbstractContextManager[None]:
        if not half:
            return nullcontext()
        song = Song(
            uri=self.side.partner.voke_uri,
            ca_file=str(self.world.rabbit.ca_file),
            prefix=self.side.partner.slug,
            sites=self._sites,
            per_s=self.highest_per_s / 2,
            start=self._past().isoformat(),
        )
        return self._heard(song)

    @contextmanager
    def _heard(self, song: Song) -> Iterator[None]:
        """The voice beside the block, and how much of it was stored meanwhile."""
        with self.world.database() as database, speaking(song):
            before, began = stored(database)[0], perf_counter()
            yield
            readings_per_s = (stored(database)[0] - before) / (perf_counter() - began)
        per_s = readings_per_s * (METERS_EVERY + 1) / METERS_EVERY
        print(
            f"half load: {per_s:,.0f} of {song.per_s:,.0f} messages a second stored",
            file=sys.stderr,
            flush=True,
        )

    def _pace(self) -> None:
        """At uneven times: a rhythm could fall into step with somebody's polling."""
        Event().wait(self._chance.uniform(0.5, 1.5) / PER_S)

    def _past(self) -> datetime:
        return clock.now() - timedelta(hours=6)

    @property
    def _sites(self) -> list[str]:
        return [str(plant.voke_uuid) for plant in self.plants]

    @cached_property
    def _voice(self) -> Voice:
        return Voice(prefix=self.side.partner.slug)
