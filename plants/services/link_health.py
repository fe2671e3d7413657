"""What processes say of their links and streams: written down often, by several at once, read by `selectors`.

Edge cases (the concurrency policy):
- A row of link health belongs to one process (`holder`); nobody else writes it.
- A stream's row belongs to all consumers of its connection: what is newer wins by GREATEST in the statement itself, so
  that a slow process can't put the clock back.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Greatest

from live.events import Json
from plants.advice import ADVICE
from plants.models import Connection, LinkHealth, LinkState, StreamHealth
from plants.services.link_spans import note_span
from plants.telling import tell_link

PRUNE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a consumer has in its hands.

    `heard_until`: it knows what arrived until then, None = it has not looked; `unstored_since`: when the oldest message
    arrived that is not stored yet, None = there is none; `unstored_count`: how many there are.
    """

    heard_until: datetime | None
    unstored_since: datetime | None
    unstored_count: int


@dataclass(frozen=True, kw_only=True)
class StreamNote:
    """What one consumer heard of a stream.

    `last_sent_at`: newest envelope timestamp; `period_s` and `skew_ms`: what it has learnt, None = nothing yet.
    """

    stream: StreamHealth.Stream
    last_at: datetime
    last_sent_at: datetime
    period_s: float | None
    skew_ms: int | None


def note_link(
    *,
    connection_id: int,
    role: LinkHealth.Role,
    state: LinkState,
    at: datetime,
    holder: str = "",
    error: str = "",
    error_code: str = "",
    event_at: datetime | None = None,
    holding: Holding | None = None,
) -> None:
    """Write down what a process (`holder`) knows of its link, and into the journal; `since` moves with the state.

    `holding` None: nothing new about what is held.
    """
    note_span(
        connection_id=connection_id, role=role, holder=holder, state=state, error_code=error_code, at=at
    )
    held: dict[str, object] = {} if holding is None else asdict(holding)
    row, created = LinkHealth.objects.get_or_create(
        connection_id=connection_id,
        role=role,
        holder=holder[:80],
        defaults={
            "state": state,
            "since": at,
            "seen_at": at,
            "error_code": error_code[:48],
            "last_error": error[:400],
            "error_at": at if error else None,
            "last_event_at": event_at,
            **held,
        },
    )
    if created or row.state != state or (error_code and row.error_code != error_code[:48]):
        _tell(connection_id, role=role, state=state, error_code=error_code, at=at)
    if created:
        return
    changes: dict[str, object] = {"seen_at": at, **held}
    if row.state != state:
        changes |= {"state": state, "since": at}
    if error:
        changes |= {"error_code": error_code[:48], "last_error": error[:400], "error_at": at}
    if event_at is not None:
        changes["last_event_at"] = event_at
    LinkHealth.objects.filter(pk=row.pk).update(**changes)


def _tell(connection_id: int, *, role: str, state: str, error_code: str, at: datetime) -> None:
    owner = Connection.objects.filter(pk=connection_id).values_list("organisation_id", flat=True).first()
    advice = ADVICE.get(error_code)
    facts: dict[str, Json] = {
        "role": str(role),
        "state": str(state),
        "advice": "" if advice is None else advice.title,
    }
    tell_link(organisation_id=owner, connection_id=connection_id, facts=facts, at=at)


def write_nothing_new(*, connection_id: int) -> None:
    """Write a number of a connection's consumers as it is: for who wants to know whether a trivial write works."""
    rows = LinkHealth.objects.filter(connection_id=connection_id, role=LinkHealth.Role.CONSUME)
    rows.update(unstored_count=F("unstored_count"))


def note_streams(*, connection_id: int, notes: Sequence[StreamNote]) -> None:
    """Write down what was heard of each stream; older moments never replace newer ones."""
    for note in notes:
        row, created = StreamHealth.objects.get_or_create(
            connection_id=connection_id,
            stream=note.stream,
            defaults={
                "last_at": note.last_at,
                "last_sent_at": note.last_sent_at,
                "period_s": note.period_s,
                "skew_ms": note.skew_ms,
            },
        )
        if created:
            continue
        changes: dict[str, object] = {
            "last_at": Greatest(F("last_at"), note.last_at),
            "last_sent_at": Greatest(F("last_sent_at"), note.last_sent_at),
        }
        if note.period_s is not None:
            changes["period_s"] = note.period_s
        if note.skew_ms is not None:
            changes["skew_ms"] = note.skew_ms
        StreamHealth.objects.filter(pk=row.pk).update(**changes)


def prune_link_health(*, at: datetime) -> int:
    """Tick: forget processes that ended; the last word on each half of a link stays. Answers how many were deleted."""
    newer = LinkHealth.objects.filter(
        connection=OuterRef("connection"), role=OuterRef("role"), seen_at__gt=OuterRef("seen_at")
    )
    gone = LinkHealth.objects.filter(Exists(newer), seen_at__lt=at - PRUNE_AFTER)
    return gone.delete()[0]
