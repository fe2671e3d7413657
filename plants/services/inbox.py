"""The inbox: which events were seen, so that each counts once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from plants.models import Disposition, InboundMessage
from plants.sql import insert_new


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One event as it came in; `plant_id` None = the site is not known on this connection."""

    message_id: str
    correlation_id: str
    routing_key: str
    family: str
    sent_at: datetime
    plant_id: int | None
    body: bytes


def register_arrivals(*, connection_id: int, arrivals: Sequence[Arrival], at: datetime) -> dict[str, int]:
    """Store events by (connection, messageId); answers {message_id: row id} of those that were not there before."""
    unique = {arrival.message_id: arrival for arrival in reversed(arrivals)}  # the first of equal ids stays
    rows = [
        {
            "connection_id": connection_id,
            "plant_id": arrival.plant_id,
            "message_id": arrival.message_id,
            "correlation_id": arrival.correlation_id,
            "routing_key": arrival.routing_key[:255],
            "family": arrival.family[:40],
            "sent_at": arrival.sent_at,
            "received_at": at,
            "disposition": Disposition.APPLIED.value,
            "body": arrival.body,
        }
        for _, arrival in sorted(unique.items())
    ]
    fresh = insert_new(
        InboundMessage, rows, key=("connection_id", "message_id"), returning=("message_id", "id")
    )
    return dict(fresh)


def set_disposition(*, ids: Sequence[int], disposition: Disposition) -> None:
    """Correct what became of events in the transaction that registered them."""
    InboundMessage.objects.filter(pk__in=ids).update(disposition=disposition)


def forget_inbound(*, ids: Sequence[int]) -> int:
    """Delete events that nobody needs any more; `dispatch.services.retention` decides which."""
    deleted, _ = InboundMessage.objects.filter(pk__in=ids).delete()
    return deleted
