"""The lease of a connection's outbox, and claiming its next window for the one relay that holds it.

Edge cases (the concurrency policy):
- Held messages (a switch is off, the plant is latched) are not claimed and do not stand in the way of other plants.
- One message of a plant is on its way at a time: the next one is claimed when the one before is settled. So whatever
  happens to it (nack, lost confirm, crash, link cut), nothing newer of its plant has gone before it is sent again.
  A window is full of different plants: that is what is pipelined. Emergencies wait for nobody.
- A plant's order holds across connections: what a connection that was taken over still has on its way comes first.
- Nothing new is sent on a connection that the plant has left; what was attempted there is sent again there.
- A message that must be signed anew is replaced and claimed in the same step: its successor takes its place in the
  order, so that a later command of the plant can't overtake it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from dispatch.messages import NewId
from dispatch.models import IN_ORDER, PLACE, EmergencyLatch, OutboundMessage, OutboxLease, Outcome
from dispatch.policy import Policy
from dispatch.selectors import has_waiting
from dispatch.services.bulk import Among
from dispatch.services.late import is_late, is_stale, last_moment, settle
from dispatch.services.life import lock_states
from dispatch.states import State
from plants.models import Connection, ConnectionMode, Installation


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """One message that may be handed to the socket until `not_after`."""

    outbound_id: int
    routing_key: str
    message_id: str
    correlation_id: str
    body: bytes = field(repr=False)
    not_after: datetime


class Waiting(Protocol):
    """What a claim reads of a message; a whole OutboundMessage has it too."""

    @property
    def id(self) -> int: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def message_id(self) -> uuid.UUID: ...
    @property
    def correlation_id(self) -> uuid.UUID: ...
    @property
    def body(self) -> bytes | memoryview: ...
    @property
    def made_at(self) -> datetime: ...
    @property
    def deliver_by_at(self) -> datetime | None: ...


_OF_A_CLAIM = ("id", "routing_key", "message_id", "correlation_id", "body", "made_at", "deliver_by_at")


def take_lease(*, connection_id: int, holder: str, at: datetime, ttl: timedelta) -> datetime | None:
    """Take or renew the right to publish a connection's outbox; its end, or None when another relay holds it.

    Call in a transaction: until its end the lease's row is locked.
    """
    until = at + ttl
    free = Q(holder=holder) | Q(expires_at__lte=at)
    if OutboxLease.objects.filter(free, connection_id=connection_id).update(holder=holder, expires_at=until):
        return until
    if OutboxLease.objects.filter(connection_id=connection_id).exists():
        return None
    try:
        with transaction.atomic():
            OutboxLease.objects.create(connection_id=connection_id, holder=holder, expires_at=until)
    except IntegrityError:  # another relay was first to make the row
        return None
    return until


def drop_lease(*, connection_id: int, holder: str, at: datetime) -> None:
    """Give the lease back at shutdown, so that another relay need not wait for its end."""
    OutboxLease.objects.filter(connection_id=connection_id, holder=holder).update(expires_at=at)


def claim(
    *,
    connection: Connection,
    holder: str,
    ttl: timedelta,
    window: int,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> tuple[datetime | None, list[Claimed]]:
    """Renew the lease, mark the next window as attempted and answer both; None = another relay holds the lease.

    Settles what must not be sent any more on the way.
    """
    with transaction.atomic():
        until = take_lease(connection_id=connection.pk, holder=holder, at=at, ttl=ttl)
        if until is None:
            return None, []
        rows = _attempted(connection, window=window, at=at, policy=policy, new_id=new_id)
    return until, [
        Claimed(
            outbound_id=row.id,
            routing_key=row.routing_key,
            message_id=str(row.message_id),
            correlation_id=str(row.correlation_id),
            body=bytes(row.body),
            not_after=min(last_moment(row, policy), until),
        )
        for row in rows
    ]


def _attempted(
    connection: Connection, *, window: int, at: datetime, policy: Policy, new_id: NewId
) -> Sequence[Waiting]:
    """Call with the lease's row locked."""
    if not _may_publish(connection):
        return []
    rows = _locked_window(connection, window=window, at=at)
    late = [row.id for row in rows if is_late(row, at) or is_stale(row, at, policy)]
    if late:
        # As it is now: it may have been re-keyed since the relay looked.
        publishing = Connection.objects.get(pk=connection.pk)
        rows = _settled(rows, late, publishing=publishing, at=at, new_id=new_id)
    if rows:
        OutboundMessage.objects.filter(Among([row.id for row in rows])).update(
            attempted_at=Coalesce(F("attempted_at"), at), attempts=F("attempts") + 1
        )
    return rows


def _settled(
    rows: Sequence[Waiting], late: Sequence[int], *, publishing: Connection, at: datetime, new_id: NewId
) -> list[Waiting]:
    """The window without its late messages, those that were signed anew in the place of the ones they replace."""
    full = list(OutboundMessage.objects.filter(Among(late)).order_by("pk"))
    anew = settle(full, connection=publishing, at=at, new_id=new_id)
    gone = set(late) - anew.keys()
    return [anew.get(row.id, row) for row in rows if row.id not in gone]


def _may_publish(connection: Connection) -> bool:
    """Whether it may publish at all: it may have been switched off since the relay looked."""
    return _switched_on(connection).filter(~Exists(_all_off())).exists()


def _switched_on(connection: Connection) -> QuerySet[Connection]:
    return Connection.objects.filter(pk=connection.pk, mode=ConnectionMode.ACTIVE, dispatch_enabled=True)


def _all_off() -> QuerySet[Installation]:
    return Installation.objects.filter(pk=1, dispatch_enabled=False)


def _locked_window(connection: Connection, *, window: int, at: datetime) -> list[Waiting]:
    in_order = sendable(connection, at).order_by("-urgent", "standing", "pk")[:window]
    candidates = list(in_order.values_list("pk", "command_id"))
    if not candidates:
        return []
    lock_states({command_id for _, command_id in candidates if command_id is not None})
    # Looked at again under the locks: a cancel, an emergency or an answer may have come in between.
    waiting = _waiting().filter(Among([pk for pk, _ in candidates]))
    locked = waiting.select_for_update(of=("self",)).order_by("pk")
    rows = {row.id: row for row in locked.values_list(*_OF_A_CLAIM, named=True)}
    return [rows[pk] for pk, _ in candidates if pk in rows]


def _waiting() -> QuerySet[Any]:
    """Pending messages that are site config or whose command still waits to be sent; `standing` is their order."""
    return OutboundMessage.objects.annotate(standing=PLACE).filter(
        Q(command__isnull=True) | Q(command__state=State.QUEUED), outcome=Outcome.PENDING
    )


def has_sendable(*, connection: Connection, holder: str, at: datetime) -> bool:
    """Whether a claim of this relay could find something; a read, so that an idle relay writes nothing.

    Neither does one that is switched off, or stands by while another has the lease: looking for what is sendable costs
    several times as much as these reads.
    """
    if not is_called(connection=connection, holder=holder, at=at):
        return False
    on, off = Exists(_switched_on(connection)), Exists(_all_off())
    in_order = sendable(connection, at).filter(on, ~off).order_by("-urgent", "standing", "pk")
    return bool(in_order.values_list("pk")[:1])


def is_called(*, connection: Connection, holder: str, at: datetime) -> bool:
    """Whether something waits, if only what is held back, and no other relay has the lease; two cheap reads."""
    return has_waiting(connection_id=connection.pk) and not _is_leased_to_another(connection, holder, at)


def _is_leased_to_another(connection: Connection, holder: str, at: datetime) -> bool:
    others = OutboxLease.objects.filter(connection=connection, expires_at__gt=at).exclude(holder=holder)
    return others.exists()


def sendable(connection: Connection, at: datetime) -> QuerySet[Any]:
    """The messages that a claim of this connection could take now, as far as nothing has to be settled first."""
    latched = EmergencyLatch.objects.filter(plant=OuterRef("plant"), released_at__isnull=True)
    before_it = _waiting().filter(plant=OuterRef("plant"), standing__lt=OuterRef("standing"))
    return (
        _waiting()
        .filter(
            IN_ORDER,
            Q(not_before_at__isnull=True) | Q(not_before_at__lte=at),
            Q(plant__connection=connection) | Q(urgent=False, attempted_at__isnull=False),
            connection=connection,
            plant__dispatch_enabled=True,
        )
        .filter(Q(urgent=True) | (~Exists(latched) & ~Exists(before_it)))
    )
