"""From filled queues to committed rows: telemetry and meters, then events about commands and alarms."""

import random
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

from django.conf import settings

from bench.floor_ingest import Rows, consume_rate, copy_rate, history_rows
from bench.ingesting import as_sent_again, clock_at, count_rows, empty_tables, our_rate, sent_commands
from bench.messages import Voice, Wire, fill, require_empty
from bench.naive_ingest import naive_rate
from bench.row import Better, Row, Variant, WarmUp, at_least
from bench.world import START, Side, World
from link.garbage import seldom_collected

ORDER = 10
PLANTS = 100
WITHIN_S, QUICK_WITHIN_S = 300.0, 120.0
STORED_AT = START + timedelta(minutes=40)
"""What the platform's clock shows: later than everything that the messages speak of."""


def rows(world: World) -> Sequence[Row]:
    """`telemetry_ingest` and `event_mix`."""
    telemetry, events = Telemetry(world), Events(world)
    within_s = QUICK_WITHIN_S if world.quick else WITHIN_S
    return [
        Row(
            name="telemetry_ingest",
            what="queue pre-filled over AMQPS -> committed rows (dedupe, latest state, history), one consumer",
            unit="msg/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=telemetry.ours),
                Variant(name="naive", run=telemetry.naive, warm_up=WarmUp.FULL),
                Variant(name="floor: consume+decode", run=telemetry.consume),
                Variant(name="floor: COPY", run=telemetry.copy),
            ],
            targets=[at_least("naive", 10), at_least("floor", 0.6)],
            within_s=within_s,
        ),
        Row(
            name="event_mix",
            what="acks, executions, alarms -> states advanced and events written, one consumer",
            unit="msg/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=events.ours),
                Variant(name="naive", run=events.naive, warm_up=WarmUp.FULL),
            ],
            targets=[at_least("naive", 5)],
            within_s=within_s,
        ),
    ]


class Telemetry:
    """A hundred plants that report; made when first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def side(self) -> Side:
        return self._world.side()

    @cached_property
    def plants(self) -> dict[str, int]:
        """Site id: plant id."""
        return {str(plant.voke_uuid): plant.pk for plant in self._world.plants(self.side.connection, PLANTS)}

    @cached_property
    def wires(self) -> list[Wire]:
        return self._rounds(36 if self._world.quick else 120)

    @cached_property
    def few(self) -> list[Wire]:
        """As many as the naive way can be given."""
        return self._rounds(6)

    @cached_property
    def copied(self) -> list[tuple[Rows, Rows]]:
        return history_rows(self.wires, plants=self.plants, batch=settings.INGEST_BATCH, at=STORED_AT)

    def ours(self) -> float:
        self._prepare(self.wires)
        rate = our_rate(self._world, self.side, count=len(self.wires), clock=clock_at(STORED_AT))
        self._require_stored(self.wires)
        return rate

    def naive(self) -> float:
        self._prepare(self.few)
        rate = naive_rate(
            self._world,
            self.side,
            count=len(self.few),
            prefetch=settings.AMQP_PREFETCH,
            clock=clock_at(STORED_AT),
        )
        self._require_stored(self.few)
        return rate

    def consume(self) -> float:
        fill(self._world, self.side, self.wires)
        with seldom_collected():  # as ours: what is compared is the work
            rate = consume_rate(
                self._world,
                self.side,
                count=len(self.wires),
                prefetch=settings.AMQP_PREFETCH,
                batch=settings.INGEST_BATCH,
            )
        require_empty(self._world, self.side)
        return rate

    def copy(self) -> float:
        empty_tables(self._world)
        with seldom_collected():
            rate = copy_rate(self._world, self.copied, count=len(self.wires))
        self._require_stored(self.wires)
        return rate

    def _rounds(self, count: int) -> list[Wire]:
        return Voice(prefix=self.side.partner.slug).rounds(list(self.plants), count=count, start=START)

    def _prepare(self, wires: Sequence[Wire]) -> None:
        empty_tables(self._world)
        fill(self._world, self.side, wires)

    def _require_stored(self, wires: Sequence[Wire]) -> None:
        require_empty(self._world, self.side)
        meters = sum(".meter." in wire.routing_key for wire in wires)
        found = (
            count_rows(self._world, "plants_telemetryreading"),
            count_rows(self._world, "plants_meterreading"),
        )
        if found != (len(wires) - meters, 2 * meters):
            raise AssertionError(f"{found} rows of {len(wires)} messages")


class Events:
    """Commands that wait for Voke's words, and alarms; made when first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def side(self) -> Side:
        return self._world.side()

    @cached_property
    def sent(self) -> list[tuple[str, str]]:
        plants = self._world.plants(self.side.connection, PLANTS)
        return sent_commands(self.side, plants, count=400 if self._world.quick else 1500, at=START)

    @cached_property
    def wires(self) -> list[Wire]:
        return event_wires(self.side.partner.slug, self.sent)

    @cached_property
    def few(self) -> list[Wire]:
        """As many as the naive way can be given."""
        return event_wires(self.side.partner.slug, self.sent[: 80 if self._world.quick else 200])

    def ours(self) -> float:
        self._prepare(self.wires)
        rate = our_rate(self._world, self.side, count=len(self.wires), clock=clock_at(STORED_AT))
        self._require_told(self.wires)
        return rate

    def naive(self) -> float:
        self._prepare(self.few)
        rate = naive_rate(
            self._world,
            self.side,
            count=len(self.few),
            prefetch=settings.AMQP_PREFETCH,
            clock=clock_at(STORED_AT),
        )
        self._require_told(self.few)
        return rate

    def _prepare(self, wires: Sequence[Wire]) -> None:
        empty_tables(self._world)
        as_sent_again(self._world)
        fill(self._world, self.side, wires)

    def _require_told(self, wires: Sequence[Wire]) -> None:
        require_empty(self._world, self.side)
        words = sum("event.alarm" not in wire.routing_key for wire in wires)
        with self._world.database() as database:
            found = database.execute(
                "SELECT (SELECT count(*) FROM plants_inboundmessage),"
                " (SELECT count(*) FROM dispatch_commandevent),"
                " (SELECT count(*) FROM dispatch_command WHERE state = 'COMPLETED'),"
                " (SELECT count(*) FROM plants_alarm WHERE cleared_at IS NOT NULL)"
            ).fetchone()
        if found != (len(wires), words, words // 3, (len(wires) - words) // 2):
            raise AssertionError(f"{found} of {len(wires)} events")


def event_wires(prefix: str, sent: Sequence[tuple[str, str]]) -> list[Wire]:
    """Per command an ACK and two executions; an alarm raised and cleared for every second one. Each in its order."""
    voice = Voice(prefix=prefix)
    told: list[tuple[float, Wire]] = []
    chance = random.Random(20260102)
    for number, (site, correlation) in enumerate(sent):
        at = START + timedelta(milliseconds=number)
        place = float(number)
        told.append((place, voice.ack(site, correlation, at=at)))
        for status in ("EXECUTING", "COMPLETED"):
            place += chance.uniform(1, 200)
            at += timedelta(seconds=10)
            told.append((place, voice.execution(site, correlation, status, at=at)))
        if number % 2:
            name = f"alarm-{number}"
            place = number + chance.uniform(0, 100)
            told.append((place, voice.alarm(site, name, at=at)))
            cleared_at = at + timedelta(seconds=30)
            place += chance.uniform(1, 100)
            told.append((place, voice.alarm(site, name, at=at, cleared_at=cleared_at)))
    return [wire for _, wire in sorted(told, key=lambda one: one[0])]
