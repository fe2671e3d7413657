"""The supervised loops of `manage.py relay` and `manage.py consume`; embedded mode runs the same ones in threads."""

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta

from django.conf import settings

from dispatch.policy import current_policy
from link.broker import Clock, Transport
from link.relay import RelayOptions
from link.workers import ConsumeOptions, ConsumeWorker, RelayWorker, Supervisor, Worker
from plants.models import Connection, ConnectionMode


def relay_supervisor(
    *, transport: Transport, clock: Clock, on_turn: Callable[[], None] | None = None
) -> Supervisor:
    """A relay for every active connection."""
    options = RelayOptions(
        holder=f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        lease_ttl=timedelta(seconds=settings.RELAY_LEASE_S),
        window=settings.RELAY_WINDOW,
    )

    def make(connection: Connection) -> Worker:
        return RelayWorker(
            connection=connection,
            transport=transport,
            clock=clock,
            policy=current_policy(),
            options=options,
            poll_s=settings.RELAY_POLL_MS / 1000,
        )

    return Supervisor(name="relay", wanted=_active, make=make, on_turn=on_turn)


def consume_supervisor(
    *, transport: Transport, clock: Clock, on_turn: Callable[[], None] | None = None
) -> Supervisor:
    """A consumer for every connection, observing ones too."""
    options = ConsumeOptions(
        prefetch=settings.AMQP_PREFETCH,
        batch=settings.INGEST_BATCH,
        flush_s=settings.INGEST_FLUSH_MS / 1000,
        retention_days=settings.TELEMETRY_RETENTION_DAYS,
    )

    def make(connection: Connection) -> Worker:
        return ConsumeWorker(connection=connection, transport=transport, clock=clock, options=options)

    return Supervisor(name="consume", wanted=_all, make=make, on_turn=on_turn)


def _active() -> Mapping[int, Connection]:
    return {row.pk: row for row in Connection.objects.filter(mode=ConnectionMode.ACTIVE).order_by("pk")}


def _all() -> Mapping[int, Connection]:
    return {row.pk: row for row in Connection.objects.order_by("pk")}
