"""The supervised loops of `manage.py relay` and `manage.py consume`; embedded mode runs the same ones in threads."""

import itertools
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet

from dispatch.policy import current_policy
from dispatch.selectors import connections_with_waiting
from link.broker import Clock, Transport
from link.doorbell import Doorbell
from link.listening import listen
from link.reconnect import Backoff
from link.relay import RelayOptions
from link.supervisor import Supervisor
from link.watchdog import Limits
from link.worker import Worker
from link.workers import ConsumeOptions, ConsumeWorker, RelayWorker
from plants.encryption import UndecryptableSecret
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState
from plants.services.link_health import note_link

log = structlog.get_logger(__name__)


_LINK_MARGIN_S = 7.0
_IDLE_LOOK_S = 1.0
"""How often an outbox that was empty is looked at although nobody rang: a ring may be lost (`dispatch.bell`)."""


def relay_supervisor(
    *,
    transport: Transport,
    clock: Clock,
    on_turn: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> Supervisor:
    """A relay for every active connection that is not retired; one that was succeeded drains its outbox."""
    role, holder, number = LinkHealth.Role.PUBLISH, _holder(), itertools.count(1)
    poll_s = settings.RELAY_POLL_MS / 1000
    doorbell = Doorbell(connections_with_waiting, every_s=poll_s / 2, idle_s=max(_IDLE_LOOK_S, poll_s / 2))

    def make(connection: Connection) -> Worker:
        options = RelayOptions(
            # Each worker's own: the successor of one that stands still waits until its lease is over.
            holder=f"{holder}:{next(number)}",
            lease_ttl=timedelta(seconds=settings.RELAY_LEASE_S),
            window=settings.RELAY_WINDOW,
        )
        return RelayWorker(
            connection=connection,
            transport=transport,
            clock=clock,
            policy=current_policy(),
            options=options,
            poll_s=poll_s,
            health_holder=holder,
            limits=_limits(),
            doorbell=doorbell,
        )

    def wanted() -> Mapping[int, Connection]:
        active = Connection.objects.filter(mode=ConnectionMode.ACTIVE, retired_at__isnull=True)
        return _readable(active.order_by("pk"), role=role, clock=clock, holder=holder)

    return Supervisor(
        name="relay",
        wanted=wanted,
        make=make,
        backoff=_backoff,
        on_turn=on_turn,
        alive=alive,
        stuck=lambda pk: _note_stuck(pk, role=role, clock=clock, holder=holder),
        beside=partial(listen, doorbell),
    )


def consume_supervisor(
    *,
    transport: Transport,
    clock: Clock,
    on_turn: Callable[[], None] | None = None,
    alive: Callable[[], None] | None = None,
) -> Supervisor:
    """A consumer for every connection that is not retired, observing ones too."""
    role, holder = LinkHealth.Role.CONSUME, _holder()
    options = ConsumeOptions(
        prefetch=settings.AMQP_PREFETCH,
        batch=settings.INGEST_BATCH,
        flush_s=settings.INGEST_FLUSH_MS / 1000,
        retention_days=settings.TELEMETRY_RETENTION_DAYS,
        max_body_bytes=settings.INBOX_MAX_BODY_BYTES,
        quarantine_per_plant=settings.QUARANTINE_PER_PLANT,
        holder=holder,
    )

    def make(connection: Connection) -> Worker:
        return ConsumeWorker(
            connection=connection, transport=transport, clock=clock, options=options, limits=_limits()
        )

    def wanted() -> Mapping[int, Connection]:
        every = Connection.objects.filter(retired_at__isnull=True)
        return _readable(every.order_by("pk"), role=role, clock=clock, holder=holder)

    return Supervisor(
        name="consume",
        wanted=wanted,
        make=make,
        backoff=_backoff,
        on_turn=on_turn,
        alive=alive,
        stuck=lambda pk: _note_stuck(pk, role=role, clock=clock, holder=holder),
    )


def _holder() -> str:
    """A name for this process (or this half of an embedded one) that no other has."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def _backoff() -> Backoff:
    return Backoff(base_s=min(0.5, settings.LINK_RECONNECT_MAX_S), cap_s=settings.LINK_RECONNECT_MAX_S)


def _limits() -> Limits:
    """A window may legally last as long as its confirms, which end with the lease."""
    window_s = min(float(settings.RELAY_LEASE_S), settings.AMQP_CONFIRM_TIMEOUT_S)
    usual = Limits()
    return Limits(link_s=max(usual.link_s, window_s + _LINK_MARGIN_S))


def _note_stuck(connection_id: int, *, role: LinkHealth.Role, clock: Clock, holder: str) -> None:
    try:
        note_link(
            connection_id=connection_id,
            role=role,
            holder=holder,
            state=LinkState.DOWN,
            at=clock(),
            error="the worker made no progress, so its link was cut and made anew",
            error_code="STUCK",
        )
    except (DatabaseError, InterfaceError) as error:  # the new worker will say how it does
        log.warning("health not written", action="link.health", error=type(error).__name__)


def _readable(
    rows: QuerySet[Connection], *, role: LinkHealth.Role, clock: Clock, holder: str
) -> Mapping[int, Connection]:
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
                holder=holder,
                state=LinkState.REFUSED,
                at=clock(),
                error=str(error),
                error_code="SECRET_UNREADABLE",
            )
    return found
