"""The outbox: messages built, claimed by the one relay that holds the lease, and what the broker said about each.

Edge cases (the concurrency policy):
- Lock order is command before message wherever both are changed, and ids ascend within each.
- A claim commits `attempted_at` before any byte is handed over; a cancel that comes first finds no attempt and wins, a
  claim that comes first makes the cancel fail.
- Held messages (a switch is off, the plant is latched) are not claimed and do not stand in the way of others.
- An attempted message is sent again only as the same bytes and only within the replay margin; afterwards its command is
  UNCONFIRMED. A never-attempted one that grew older is replaced by a newly signed one.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from dispatch.messages import Draft, NewId, build, signer_of
from dispatch.models import Command, EmergencyLatch, Kind, OutboundMessage, OutboxLease, Outcome
from dispatch.policy import Policy
from dispatch.services.life import Move, advance_many, note
from dispatch.states import BEFORE_SENT, State
from plants.models import Connection, ConnectionMode, Installation, Plant
from vcp import Family

RELAY = "relay"


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """One message that may be handed to the socket until `not_after`."""

    outbound_id: int
    routing_key: str
    message_id: str
    correlation_id: str
    body: bytes
    not_after: datetime


@dataclass(frozen=True, kw_only=True)
class Word:
    """What the broker did with one message; `outcome` None = nothing that settles it (sent again later)."""

    outbound_id: int
    outcome: Outcome | None
    detail: str = ""


def store_messages(
    *,
    connection: Connection,
    drafts: Sequence[tuple[Plant, Command | None, Draft]],
    at: datetime,
    not_before_at: datetime | None = None,
) -> list[OutboundMessage]:
    """Put built messages into the outbox; call in the transaction that changes their commands."""
    return OutboundMessage.objects.bulk_create(
        OutboundMessage(
            connection=connection,
            plant=plant,
            command=command,
            family=draft.family.value,
            routing_key=draft.routing_key,
            message_id=draft.message_id,
            correlation_id=draft.correlation_id,
            body=draft.body,
            signed=draft.signed,
            urgent=draft.family is Family.COMMAND_EMERGENCY,
            made_at=at,
            deliver_by_at=None if command is None else command.deliver_by_at,
            not_before_at=not_before_at,
        )
        for plant, command, draft in drafts
    )


# --- the lease ----------------------------------------------------------------------------------------------------


def take_lease(*, connection_id: int, holder: str, at: datetime, ttl: timedelta) -> datetime | None:
    """Take or renew the right to publish a connection's outbox; its end, or None when another relay holds it."""
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


# --- claiming -----------------------------------------------------------------------------------------------------


def claim(
    *,
    connection: Connection,
    holder: str,
    window: int,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> list[Claimed]:
    """Mark the next window as attempted and answer it; settles what must not be sent any more on the way."""
    with transaction.atomic():
        lease = OutboxLease.objects.select_for_update().filter(connection=connection, holder=holder).first()
        publishing = _publishing(connection)
        if lease is None or lease.expires_at <= at or publishing is None:
            return []
        rows = list(_sendable(connection, at).order_by("-urgent", "pk")[:window])
        _lock_commands(rows)
        rows = list(OutboundMessage.objects.select_for_update().filter(
            pk__in=[row.pk for row in rows], outcome=Outcome.PENDING
        ).order_by("-urgent", "pk"))  # fmt: skip
        late = [row for row in rows if _is_late(row, at) or _is_stale(row, at, policy)]
        _settle_late(late, connection=publishing, at=at, policy=policy, new_id=new_id)
        late_ids = {row.pk for row in late}
        rows = [row for row in rows if row.pk not in late_ids]
        OutboundMessage.objects.filter(pk__in=[row.pk for row in rows]).update(
            attempted_at=Coalesce(F("attempted_at"), at), attempts=F("attempts") + 1
        )
    return [
        Claimed(
            outbound_id=row.pk,
            routing_key=row.routing_key,
            message_id=str(row.message_id),
            correlation_id=str(row.correlation_id),
            body=bytes(row.body),
            not_after=_last_moment(row, policy, lease.expires_at),
        )
        for row in rows
    ]


def _publishing(connection: Connection) -> Connection | None:
    """The connection as it is now (switched off or re-keyed since the relay looked), if it may publish at all."""
    fresh = Connection.objects.filter(
        pk=connection.pk, mode=ConnectionMode.ACTIVE, dispatch_enabled=True
    ).first()
    return None if Installation.objects.filter(pk=1, dispatch_enabled=False).exists() else fresh


def has_sendable(*, connection: Connection, at: datetime) -> bool:
    """Whether a claim could find something; one indexed read, so that an idle relay writes nothing."""
    return _sendable(connection, at).exists()


def _sendable(connection: Connection, at: datetime) -> QuerySet[OutboundMessage]:
    latched = EmergencyLatch.objects.filter(plant=OuterRef("plant"), released_at__isnull=True)
    return (
        OutboundMessage.objects.filter(
            Q(not_before_at__isnull=True) | Q(not_before_at__lte=at),
            connection=connection,
            outcome=Outcome.PENDING,
            plant__dispatch_enabled=True,
        )
        .filter(Q(urgent=True) | Q(command__isnull=True) | ~Exists(latched))
        .only("pk", "command_id", "urgent")
    )


def _lock_commands(rows: Iterable[OutboundMessage]) -> None:
    ids = sorted({row.command_id for row in rows if row.command_id is not None})
    list(Command.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk").values_list("pk"))


def _is_late(row: OutboundMessage, at: datetime) -> bool:
    return row.deliver_by_at is not None and row.deliver_by_at <= at


def _is_stale(row: OutboundMessage, at: datetime, policy: Policy) -> bool:
    return row.made_at + policy.replay_margin <= at


def _last_moment(row: OutboundMessage, policy: Policy, lease_until: datetime) -> datetime:
    # The lease bounds the hand-over too: a relay that was paused must not publish beside its successor.
    moments = [row.made_at + policy.replay_margin, lease_until]
    if row.deliver_by_at is not None:
        moments.append(row.deliver_by_at)
    return min(moments)


# --- what must not be sent any more -------------------------------------------------------------------------------


def settle_late(*, at: datetime, policy: Policy, limit: int = 500, new_id: NewId = uuid.uuid4) -> int:
    """Tick: settle pending messages whose time passed, also on connections that nobody publishes at the moment.

    Replacing is left to the relay: a message that can't be sent now would only grow old again.
    """
    late = Q(deliver_by_at__lte=at) | Q(attempted_at__isnull=False, made_at__lte=at - policy.replay_margin)
    candidates = list(
        OutboundMessage.objects.filter(late, outcome=Outcome.PENDING)
        .select_related("connection")
        .order_by("pk")[:limit]
    )
    by_connection: dict[int, list[OutboundMessage]] = {}
    for row in candidates:
        by_connection.setdefault(row.connection_id, []).append(row)
    for rows in by_connection.values():
        with transaction.atomic():
            _lock_commands(rows)
            locked = OutboundMessage.objects.select_for_update().filter(
                pk__in=[row.pk for row in rows], outcome=Outcome.PENDING
            )
            _settle_late(
                list(locked.order_by("pk")),
                connection=rows[0].connection,
                at=at,
                policy=policy,
                new_id=new_id,
            )
    return len(candidates)


def _settle_late(
    rows: Sequence[OutboundMessage], *, connection: Connection, at: datetime, policy: Policy, new_id: NewId
) -> None:
    attempted = [row for row in rows if row.attempted_at is not None]
    untried = [row for row in rows if row.attempted_at is None]
    over = [row for row in untried if _is_late(row, at)]
    _close(attempted, Outcome.ABANDONED, "never confirmed in time", at)
    _close(over, Outcome.WITHDRAWN, "its time passed before it could be sent", at)
    moves = [_move(row, State.UNCONFIRMED, "NEVER_CONFIRMED") for row in attempted if not row.urgent]
    moves += [_move(row, State.EXPIRED, "DELIVER_BY_PASSED") for row in over]
    advance_many(moves=[move for move in moves if move is not None], at=at)
    over_ids = {row.pk for row in over}
    # An emergency is never given up: an attempted one that was not confirmed is issued anew, with a new message id.
    again = [row for row in untried if row.pk not in over_ids] + [row for row in attempted if row.urgent]
    if again:
        _replace(again, connection=connection, at=at, new_id=new_id)


def _close(rows: Sequence[OutboundMessage], outcome: Outcome, detail: str, at: datetime) -> None:
    OutboundMessage.objects.filter(pk__in=[row.pk for row in rows]).update(
        outcome=outcome, outcome_at=at, detail=detail
    )


def _move(row: OutboundMessage, to: State, cause: str) -> Move | None:
    if row.command_id is None:
        return None
    return Move(command_id=row.command_id, to=to, cause=cause, actor=RELAY, outbound_id=row.pk)


def _replace(rows: Sequence[OutboundMessage], *, connection: Connection, at: datetime, new_id: NewId) -> None:
    untried = [row for row in rows if row.attempted_at is None]
    _close(untried, Outcome.REPLACED, "grew older than the replay margin", at)
    signer = signer_of(connection)
    drafts = []
    full = OutboundMessage.objects.select_related("plant", "command").filter(pk__in=[row.pk for row in rows])
    for row in full.order_by("pk"):
        payload = json.loads(bytes(row.body))["payload"]
        draft = build(
            signer=signer, plant=row.plant, family=Family(row.family), payload=payload, at=at, new_id=new_id
        )
        drafts.append((row.plant, row.command, draft))
    for message in store_messages(connection=connection, drafts=drafts, at=at):
        if message.command_id is not None:
            detail = {"messageId": str(message.message_id)}
            note(command_id=message.command_id, word="REISSUED", cause="REPLAY_MARGIN", at=at, detail=detail)


# --- what the broker said -----------------------------------------------------------------------------------------


def record(*, words: Sequence[Word], at: datetime, policy: Policy) -> None:
    """Write down what the broker did with a window, and move the commands accordingly."""
    settled = {word.outbound_id: word for word in words if word.outcome is not None}
    if not settled:
        return
    with transaction.atomic():
        rows = list(
            OutboundMessage.objects.filter(pk__in=settled).order_by("pk").only("pk", "command_id", "urgent")
        )
        _lock_commands(rows)
        _write_outcomes(settled, at)
        moves = [
            move
            for row in rows
            if (move := _move_for(row, settled[row.pk], at=at, policy=policy)) is not None
        ]  # fmt: skip
        advance_many(moves=moves, at=at)


def _write_outcomes(settled: Mapping[int, Word], at: datetime) -> None:
    groups: dict[Outcome, list[int]] = {}
    for pk, word in settled.items():
        if word.outcome is not None:
            groups.setdefault(word.outcome, []).append(pk)
    for outcome, ids in groups.items():
        details = [When(pk=pk, then=Value(settled[pk].detail[:400])) for pk in ids if settled[pk].detail]
        detail = Case(*details, default=Value(""), output_field=CharField()) if details else Value("")
        # ABANDONED in between (an emergency came): the broker's word is the later truth and replaces it.
        OutboundMessage.objects.filter(pk__in=ids, outcome__in=[Outcome.PENDING, Outcome.ABANDONED]).update(
            outcome=outcome, outcome_at=at, detail=detail
        )


def _move_for(row: OutboundMessage, word: Word, *, at: datetime, policy: Policy) -> Move | None:
    if row.command_id is None:
        return None
    if word.outcome is Outcome.CONFIRMED:
        return Move(
            command_id=row.command_id,
            to=State.SENT,
            cause="CONFIRMED",
            actor=RELAY,
            outbound_id=row.pk,
            ack_due_at=at + policy.ack_timeout,
        )
    if row.urgent:  # stays QUEUED: dispatch.services.emergency issues it again and raises an alarm
        note(command_id=row.command_id, word=str(word.outcome), at=at, detail={"broker": word.detail[:400]})
        return None
    to = State.RETURNED if word.outcome is Outcome.RETURNED else State.REFUSED
    return Move(
        command_id=row.command_id,
        to=to,
        cause=f"BROKER_{word.outcome}",
        actor=RELAY,
        outbound_id=row.pk,
        detail={"broker": word.detail[:400]},
    )


def note_nacked(*, outbound_ids: Sequence[int], at: datetime) -> None:
    """The broker did not take these now: the same bytes go again, the event stays."""
    rows = OutboundMessage.objects.filter(pk__in=outbound_ids, command__isnull=False).values_list(
        "command_id", flat=True
    )
    for command_id in rows:
        if command_id is not None:
            note(command_id=command_id, word="NACKED", at=at)


# --- taking messages back -----------------------------------------------------------------------------------------


def withdraw_unattempted(*, command_ids: Sequence[int], why: str, at: datetime) -> set[int]:
    """Take back what was never attempted; answers the commands of which nothing was or will be sent.

    Call with the commands locked. A message that a relay claimed meanwhile keeps its command out of the answer.
    """
    pending = OutboundMessage.objects.filter(command_id__in=command_ids, outcome=Outcome.PENDING)
    pending.filter(attempted_at__isnull=True).update(
        outcome=Outcome.WITHDRAWN, outcome_at=at, detail=why[:400]
    )
    attempted = set(
        OutboundMessage.objects.filter(command_id__in=command_ids, attempted_at__isnull=False).values_list(
            "command_id", flat=True
        )
    )
    return set(command_ids) - {pk for pk in attempted if pk is not None}


def unsent_commands(*, plant_id: int) -> list[Command]:
    """Commands of a plant that may still be taken back, locked in order; emergencies are not among them."""
    return list(
        Command.objects.select_for_update(of=("self",))
        .filter(plant_id=plant_id, state__in=[state.value for state in BEFORE_SENT])
        .exclude(kind=Kind.EMERGENCY)
        .order_by("pk")
    )
