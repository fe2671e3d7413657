"""Messages whose time passed: given up, taken back, or signed anew.

Edge cases (the concurrency policy):
- An attempted message is sent again only as the same bytes and only within the replay margin; afterwards its command is
  UNCONFIRMED. A never-attempted one that grew older is replaced by a newly signed one while its command is valid.
- An emergency is never given up: an attempted one that was not confirmed is issued anew, with a new message id.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django.db.models import Q

from dispatch.messages import NewId
from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.services.anew import close, sign_anew
from dispatch.services.life import Move, advance_many
from dispatch.services.outbox import RELAY, lock_commands
from dispatch.states import State
from plants.models import Connection


class Timed(Protocol):
    """What a message's time is judged by; an OutboundMessage has it."""

    @property
    def made_at(self) -> datetime: ...
    @property
    def deliver_by_at(self) -> datetime | None: ...


def is_late(row: Timed, at: datetime) -> bool:
    """Whether nothing of its command may be sent any more."""
    return row.deliver_by_at is not None and row.deliver_by_at <= at


def is_stale(row: Timed, at: datetime, policy: Policy) -> bool:
    """Whether its bytes are too old to be sent: Voke could take them for a replay."""
    return row.made_at + policy.replay_margin <= at


def last_moment(row: Timed, policy: Policy) -> datetime:
    """Until when its bytes may be handed to a socket."""
    fresh_until = row.made_at + policy.replay_margin
    return fresh_until if row.deliver_by_at is None else min(fresh_until, row.deliver_by_at)


def settle_late(*, at: datetime, policy: Policy, limit: int = 500, new_id: NewId = uuid.uuid4) -> int:
    """Tick: settle pending messages whose time passed, also on connections that nobody publishes at the moment.

    Replacing what was never attempted is left to the relay: a message that can't be sent now would only grow old again.
    Answers how many were looked at.
    """
    late = Q(deliver_by_at__lte=at) | Q(attempted_at__isnull=False, made_at__lte=at - policy.replay_margin)
    candidates = list(
        OutboundMessage.objects.filter(late, outcome=Outcome.PENDING)
        .only("pk", "command_id", "connection_id")
        .order_by("pk")[:limit]
    )
    by_connection: dict[int, list[OutboundMessage]] = {}
    for row in candidates:
        by_connection.setdefault(row.connection_id, []).append(row)
    for connection_id, rows in by_connection.items():
        _settle_connection(connection_id, rows, at=at, new_id=new_id)
    return len(candidates)


@transaction.atomic
def _settle_connection(
    connection_id: int, rows: Sequence[OutboundMessage], *, at: datetime, new_id: NewId
) -> None:
    lock_commands(rows)
    locked = OutboundMessage.objects.select_for_update().filter(
        pk__in=[row.pk for row in rows], outcome=Outcome.PENDING
    )
    connection = Connection.objects.defer("amqps_uri", "api_key", "signing_key").get(pk=connection_id)
    settle(list(locked.order_by("pk")), connection=connection, at=at, new_id=new_id)


def settle(
    rows: Sequence[OutboundMessage], *, connection: Connection, at: datetime, new_id: NewId
) -> dict[int, OutboundMessage]:
    """Settle late or stale messages whose commands are locked; answers the successors by the id they replace."""
    if not rows:
        return {}
    attempted = [row for row in rows if row.attempted_at is not None]
    untried = [row for row in rows if row.attempted_at is None]
    over = [row for row in untried if is_late(row, at)]
    close(attempted, Outcome.ABANDONED, "never confirmed in time", at)
    close(over, Outcome.WITHDRAWN, "its time passed before it could be sent", at)
    moves = [_move(row, State.UNCONFIRMED, "NEVER_CONFIRMED") for row in attempted if not row.urgent]
    moves += [_move(row, State.EXPIRED, "DELIVER_BY_PASSED") for row in over]
    advance_many(moves=[move for move in moves if move is not None], at=at)
    over_ids = {row.pk for row in over}
    again = [row for row in untried if row.pk not in over_ids] + _undelivered_emergencies(attempted)
    return sign_anew(again, connection=connection, at=at, new_id=new_id)


def _undelivered_emergencies(attempted: Sequence[OutboundMessage]) -> list[OutboundMessage]:
    urgent = [row for row in attempted if row.urgent]
    if not urgent:
        return []
    queued = Command.objects.filter(pk__in=[row.command_id for row in urgent], state=State.QUEUED)
    waiting = set(queued.values_list("pk", flat=True))
    return [row for row in urgent if row.command_id in waiting]


def _move(row: OutboundMessage, to: State, cause: str) -> Move | None:
    if row.command_id is None:
        return None
    return Move(command_id=row.command_id, to=to, cause=cause, actor=RELAY, outbound_id=row.pk)
