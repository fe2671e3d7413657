"""Quarantine: measurements whose time can't be right are kept as dead letters, with the moment and the range.

- TOO_OLD: older than the history keeps. FROM_THE_FUTURE: more than an hour ahead of our clock. Both can be replayed:
  after a longer retention, or when the time has come.
- One wrong clock sends such a message every few seconds for ever, so a plant has room for so many open letters of a
  reason (`QUARANTINE_PER_PLANT`), and a connection for `PER_CONNECTION`; where that is used up a plant still gets its
  first letter, up to `FIRST_LETTERS`. What finds no room is counted in the newest letter of its plant (or else of its
  connection): `count`, `others` and the time span say how many there were; their bytes are not kept.

Edge cases (the concurrency policy): two consumers at once may each find the last room, so that the bound is exceeded by
what they hold. One that was redelivered and finds no room is counted again: rather one too many than one too few.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, Max, QuerySet

from plants.models import DeadLetter

TOO_OLD = "TOO_OLD"
FROM_THE_FUTURE = "FROM_THE_FUTURE"
REASONS = (TOO_OLD, FROM_THE_FUTURE)
PER_PLANT = 1000
PER_CONNECTION = 5000
FIRST_LETTERS = 8000

Place = tuple[int, str]
"""(plant, reason)."""


@dataclass(frozen=True, kw_only=True)
class Misplaced:
    """Why a moment is not stored."""

    reason: str
    detail: str


def misplaced(moment: datetime, *, oldest: datetime | None, newest: datetime) -> Misplaced | None:
    """Why this moment can't be stored, None = it can; `oldest` None = nothing is too old."""
    if oldest is not None and moment < oldest:
        reason = TOO_OLD
    elif moment > newest:
        reason = FROM_THE_FUTURE
    else:
        return None
    low = "" if oldest is None else f" from {_stamp(oldest)}"
    return Misplaced(reason=reason, detail=f"{_stamp(moment)}; stored is{low} until {_stamp(newest)}")


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).isoformat(timespec='seconds')[:-6]}Z"


@dataclass(kw_only=True)
class Room:
    """How many more letters a connection's quarantine takes; asked once per batch, then counted down."""

    per_plant: int
    taken: dict[Place, int]
    in_all: int

    def take(self, place: Place) -> bool:
        """Whether a new letter of this place gets a row of its own; else it is counted among the others."""
        taken = self.taken.get(place, 0)
        most = PER_CONNECTION if taken else FIRST_LETTERS
        if taken >= self.per_plant or self.in_all >= most:
            return False
        self.taken[place] = taken + 1
        self.in_all += 1
        return True


def _kept(connection_id: int) -> "QuerySet[DeadLetter]":
    rows = DeadLetter.objects.filter(connection_id=connection_id, plant__isnull=False, state="OPEN")
    return rows.filter(reason__in=REASONS).order_by()


def room_of(*, connection_id: int, plant_ids: Collection[int], per_plant: int) -> Room:
    """What the quarantine of a connection still takes: two queries over its bounded number of letters."""
    kept = _kept(connection_id)
    rows = kept.filter(plant_id__in=plant_ids).values_list("plant_id", "reason").annotate(number=Count("pk"))
    return Room(
        per_plant=per_plant,
        taken={(plant_id, reason): number for plant_id, reason, number in rows},
        in_all=kept.count(),
    )


def heads_of(*, connection_id: int, places: Collection[Place]) -> dict[Place, int]:
    """The letter that stands for the others of each place: the newest open one of its plant, else of the connection."""
    if not places:
        return {}
    kept = _kept(connection_id)
    rows = kept.filter(plant_id__in={plant_id for plant_id, _ in places}).values_list("plant_id", "reason")
    own = {(plant_id, reason): newest for plant_id, reason, newest in rows.annotate(newest=Max("pk"))}
    last = kept.aggregate(newest=Max("pk"))["newest"]
    found = {place: own.get(place, last) for place in places}
    return {place: head for place, head in found.items() if head is not None}
