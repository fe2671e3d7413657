"""What the rows of ingest share: the real consumer until everything is stored, and commands that wait for words."""

import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic, perf_counter

from django.conf import settings

from bench.world import START, Side, World
from dispatch.models import Command, Kind, OutboundMessage, Outcome
from dispatch.states import State
from link.amqp import AmqpsTransport
from link.broker import Clock, Consumer, Delivery, LinkTarget, Publisher, Tally
from link.garbage import seldom_collected
from link.workers import ConsumeOptions, ConsumeWorker
from plants.models import Plant
from plants.services.partitions import ensure_partitions, forget_known_partitions

STORED = (
    "plants_telemetryreading", "plants_meterreading", "plants_plantstate", "plants_recenttelemetrybody",
    "metering_rollupmark", "plants_inboundmessage", "plants_alarmchange", "plants_alarm", "plants_deadletter",
    "dispatch_commandevent",
)  # fmt: skip
_WITHIN_S = 180.0


def clock_at(at: datetime) -> Callable[[], datetime]:
    """A clock that shows `at` now and goes on."""
    began = monotonic()
    return lambda: at + timedelta(seconds=monotonic() - began)


class CountingConsumer:
    """A consumer that tells how many deliveries were acknowledged."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.acknowledged = 0

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        return self._consumer.fetch(max_messages=max_messages, wait_s=wait_s, flush_s=flush_s)

    def ready(self) -> int:
        return self._consumer.ready()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._consumer.ack(deliveries)
        self.acknowledged += len(deliveries)

    def keep_alive(self) -> None:
        self._consumer.keep_alive()

    def waiting(self) -> int | None:
        return self._consumer.waiting()

    def tally(self) -> Tally:
        return self._consumer.tally()

    def close(self) -> None:
        self._consumer.close()

    def abort(self) -> None:
        self._consumer.abort()


class CountingTransport:
    """The real transport, its consumer counted."""

    def __init__(self, transport: AmqpsTransport) -> None:
        self._transport = transport
        self.consumer: CountingConsumer | None = None

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        return self._transport.open_publisher(target, clock=clock)

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        self.consumer = CountingConsumer(self._transport.open_consumer(target, prefetch=prefetch))
        return self.consumer

    @property
    def acknowledged(self) -> int:
        return 0 if self.consumer is None else self.consumer.acknowledged


def new_worker(world: World, side: Side, *, clock: Clock) -> tuple[ConsumeWorker, CountingTransport]:
    """The consumer as `manage.py consume` makes it, with the settings of a fresh installation."""
    transport = CountingTransport(
        AmqpsTransport(
            ca_file=str(world.rabbit.ca_file),
            heartbeat_s=settings.AMQP_HEARTBEAT_S,
            confirm_timeout_s=settings.AMQP_CONFIRM_TIMEOUT_S,
        )
    )
    worker = ConsumeWorker(
        connection=side.connection,
        transport=transport,
        clock=clock,
        options=ConsumeOptions(
            prefetch=settings.AMQP_PREFETCH,
            batch=settings.INGEST_BATCH,
            flush_s=settings.INGEST_FLUSH_MS / 1000,
            retention_days=settings.TELEMETRY_RETENTION_DAYS,
            max_body_bytes=settings.INBOX_MAX_BODY_BYTES,
            holder="bench",
        ),
    )
    return worker, transport


def our_rate(world: World, side: Side, *, count: int, clock: Clock) -> float:
    """Messages a second: connect, store and acknowledge `count` messages of filled queues."""
    worker, transport = new_worker(world, side, clock=clock)
    stop = threading.Event()
    with seldom_collected():  # as `manage.py consume` does
        began = perf_counter()
        while transport.acknowledged < count:
            worker.once(stop)
            if perf_counter() - began > _WITHIN_S:
                raise TimeoutError(f"{transport.acknowledged} of {count} stored")
        took_s = perf_counter() - began
    worker.finish()
    return count / took_s


def empty_tables(world: World, *, first_day: datetime = START) -> None:
    """No reading, state, event, alarm; the partitions of the day are there, as the tick makes them ahead."""
    world.truncate(*STORED)
    forget_known_partitions()
    ensure_partitions(days=[first_day.date()])


def count_rows(world: World, table: str) -> int:
    """How many rows a table has."""
    with world.database() as database:
        row = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def sent_commands(side: Side, plants: Sequence[Plant], *, count: int, at: datetime) -> list[tuple[str, str]]:
    """`count` setpoints that were sent and wait for Voke's words, as (site, correlation id)."""
    commands = Command.objects.bulk_create(
        Command(
            organisation_id=plant.organisation_id,
            plant=plant,
            connection=side.connection,
            kind=Kind.SITE_SETPOINT,
            payload={},
            state=State.SENT.value,
            state_at=at,
            requested_by_name="bench",
            requested_at=at,
            request_digest="",
            due_at=at,
            deliver_by_at=at + timedelta(hours=1),
            ack_due_at=at + timedelta(hours=1),
        )
        for plant in (plants[number % len(plants)] for number in range(count))
    )
    messages = OutboundMessage.objects.bulk_create(
        OutboundMessage(
            connection=side.connection,
            plant=command.plant,
            command=command,
            family="command.site-setpoint",
            routing_key=f"{side.partner.slug}.command.site-setpoint",
            message_id=uuid.uuid4(),
            correlation_id=uuid.uuid4(),
            body=b"{}",
            signed=False,
            made_at=at,
            attempted_at=at,
            attempts=1,
            outcome=Outcome.CONFIRMED,
            outcome_at=at,
        )
        for command in commands
    )
    return [(str(one.plant.voke_uuid), str(one.correlation_id)) for one in messages]


def as_sent_again(world: World) -> None:
    """Put all commands back to where no word of Voke had come."""
    with world.database() as database:
        database.execute("UPDATE dispatch_command SET state = 'SENT', cause = ''")
        database.execute("UPDATE dispatch_outboundmessage SET outcome = 'CONFIRMED', detail = ''")
