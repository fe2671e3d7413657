"""Reading what was sent to Voke together with when Voke first said something about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Min, OuterRef, Subquery

from dispatch.models import CommandEvent, OutboundMessage

MOST_SENT = 200


@dataclass(frozen=True, kw_only=True)
class AnsweredMessage:
    """One command's message as it was sent; `answered_at` None = Voke has not said anything about it."""

    family: str
    signed: bool
    outcome: str
    outcome_at: datetime | None
    body: bytes = field(repr=False)
    answered_at: datetime | None


def sent_lately(*, connection_id: int, limit: int = MOST_SENT) -> Sequence[AnsweredMessage]:
    """The newest attempted messages of a connection's commands, newest first."""
    words = CommandEvent.objects.filter(outbound=OuterRef("pk"), inbound__isnull=False)
    first = words.order_by().values("outbound").annotate(first=Min("at")).values("first")
    sent = OutboundMessage.objects.filter(
        connection_id=connection_id, command__isnull=False, attempted_at__isnull=False
    )
    rows = sent.annotate(answered_at=Subquery(first)).order_by("-pk")[:limit]
    return [
        AnsweredMessage(
            family=row.family,
            signed=row.signed,
            outcome=row.outcome,
            outcome_at=row.outcome_at,
            body=bytes(row.body),
            answered_at=row.answered_at,
        )
        for row in rows
    ]
