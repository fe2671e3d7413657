"""The inbox: which events were seen, and the dead letters that could not be used."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from plants.models import DeadLetter, Disposition, InboundMessage
from plants.sql import insert_new
from plants.texts import storable_text

LETTERS_KEPT = 10_000
LETTERS_KEPT_FOR = timedelta(days=90)


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


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A delivery that can't be used, and why."""

    queue: str
    routing_key: str
    headers: Mapping[str, Any]
    body: bytes
    reason: str
    path: str
    detail: str


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


def store_dead_letters(*, connection_id: int, letters: Sequence[Letter], at: datetime) -> None:
    """Keep deliveries that can't be used; equal ones are counted in one row.

    Never fails over what a letter holds: a letter that can't be stored would come again for ever.
    """
    counts = Counter(_digest(letter) for letter in letters)
    first = {_digest(letter): letter for letter in reversed(letters)}
    rows = [
        {
            "connection_id": connection_id,
            "digest": digest,
            "queue": storable_text(first[digest].queue)[:255],
            "routing_key": storable_text(first[digest].routing_key)[:255],
            "headers": {
                storable_text(key): storable_text(value) for key, value in first[digest].headers.items()
            },
            "body": first[digest].body,
            "reason": first[digest].reason[:64],
            "path": storable_text(first[digest].path)[:255],
            "detail": storable_text(first[digest].detail)[:4000],
            "state": "OPEN",
            "count": counts[digest],
            "first_at": at,
            "last_at": at,
        }
        for digest in sorted(counts)
    ]
    made = insert_new(DeadLetter, rows, key=("connection_id", "digest"), returning=("digest",))
    fresh = {digest for (digest,) in made}
    again: dict[int, list[str]] = {}
    for digest in sorted(counts.keys() - fresh):
        again.setdefault(counts[digest], []).append(digest)
    for count, digests in sorted(again.items()):
        known = DeadLetter.objects.filter(connection_id=connection_id, digest__in=digests)
        list(known.select_for_update().order_by("digest").values_list("pk"))
        known.update(count=F("count") + count, last_at=at, state="OPEN")


def store_dead_letter(*, connection_id: int, letter: Letter, at: datetime) -> None:
    """Keep one delivery that can't be used."""
    store_dead_letters(connection_id=connection_id, letters=[letter], at=at)


def _digest(letter: Letter) -> str:
    return hashlib.sha256(letter.routing_key.encode("utf-8", "replace") + b"\0" + letter.body).hexdigest()


def prune_dead_letters(*, at: datetime, keep: int = LETTERS_KEPT, limit: int = 5000) -> int:
    """Tick: forget dead letters that nobody can still be looking at; answers how many were deleted.

    A plant that Voke knows and we do not sends one every minute: the number per connection is bounded too.
    """
    old = DeadLetter.objects.filter(last_at__lt=at - LETTERS_KEPT_FOR)
    ids = list(old.order_by("last_at").values_list("pk", flat=True)[:limit])
    owners = DeadLetter.objects.order_by("connection_id").values_list("connection_id", flat=True).distinct()
    for connection_id in owners:
        newest_first = DeadLetter.objects.filter(connection_id=connection_id).order_by("-last_at", "-pk")
        ids += newest_first.values_list("pk", flat=True)[keep : keep + limit]
    return DeadLetter.objects.filter(pk__in=ids).delete()[0]


def forget_inbound(*, ids: Sequence[int]) -> int:
    """Delete events that nobody needs any more; `dispatch.services.retention` decides which."""
    deleted, _ = InboundMessage.objects.filter(pk__in=ids).delete()
    return deleted
