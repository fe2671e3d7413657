"""The supervised loops of `manage.py relay` and `manage.py consume`; embedded mode runs the same ones in threads."""

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models import QuerySet

from dispatch.policy import current_policy
from link.broker import Clock, Transport
from link.relay import RelayOptions
from link.workers import ConsumeOptions, ConsumeWorker, RelayWorker, Supervisor, Worker
from plants.encryption import UndecryptableSecret
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState
from plants.services.link_health import note_link

log = structlog.get_logger(__name__)


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

    def wanted() -> Mapping[int, Connection]:
        active = Connection.objects.filter(mode=ConnectionMode.ACTIVE).order_by("pk")
        return _readable(active, role=LinkHealth.Role.PUBLISH, clock=clock)

    return Supervisor(name="relay", wanted=wanted, make=make, on_turn=on_turn)


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

    def wanted() -> Mapping[int, Connection]:
        every = Connection.objects.order_by("pk")
        return _readable(every, role=LinkHealth.Role.CONSUME, clock=clock)

    return Supervisor(name="consume", wanted=wanted, make=make, on_turn=on_turn)


def _readable(rows: QuerySet[Connection], *, role: LinkHealth.Role, clock: Clock) -> Mapping[int, Connection]:
    """The connections whose secrets can be decrypted; the others are said to be refused and stop nobody else."""
    try:
        return {row.pk: row for row in rows}
    except UndecryptableSecret:
        found: dict[int, Connection] = {}
    for pk in rows.values_list("pk", flat=True):
        try:
            found[pk] = rows.get(pk=pk)
        except UndecryptableSecret as error:
            log.error("secret not readable", action="link.secret", connection_id=pk, error=str(error))
            note_link(
                connection_id=pk,
                role=role,
                state=LinkState.REFUSED,
                at=clock(),
                error=f"SECRET_UNREADABLE: {error}",
            )
    return found
