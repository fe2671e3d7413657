"""What mode a plant is in, as Voke's mode events tell."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from plants.models import PlantState
from plants.telling import tell_modes
from vcp import ModeEvent


@dataclass(frozen=True, kw_only=True)
class ModeWord:
    """One mode event of a plant, with the envelope's timestamp."""

    plant_id: int
    event: ModeEvent
    told_at: datetime


def lock_states(*, plant_ids: Collection[int]) -> None:
    """Lock the states of plants in order of their ids.

    Call first in a transaction that changes states by telemetry and by mode events: both in turn would lock them in
    two orders, and two consumers would deadlock.
    """
    rows = PlantState.objects.select_for_update(of=("self",)).filter(plant_id__in=sorted(plant_ids))
    list(rows.order_by("plant_id").values_list("plant_id"))


def apply_modes(
    *, words: Sequence[ModeWord], at: datetime | None = None, organisation_id: int | None = None
) -> list[bool]:
    """Take over mode, reason and expiry of each event unless a newer one was seen; True where something changed.

    `organisation_id`: whose screens are told, None = nobody's.
    """
    changed = [False] * len(words)
    for index in sorted(range(len(words)), key=lambda one: (words[one].plant_id, words[one].told_at, one)):
        word = words[index]
        newer = Q(mode_since__isnull=True) | Q(mode_since__lt=word.told_at)
        updated = PlantState.objects.filter(newer, plant_id=word.plant_id).update(
            mode=word.event.mode[:40],
            mode_reason=(word.event.reason or "")[:500],
            mode_since=word.told_at,
            mode_override_until=word.event.valid_until,
        )
        changed[index] = updated == 1
    if organisation_id is not None and at is not None:
        news = [
            (
                word.plant_id,
                word.event.mode[:40],
                (word.event.reason or "")[:500],
                word.told_at,
                word.event.valid_until,
            )
            for word, is_new in zip(words, changed, strict=True)
            if is_new
        ]
        tell_modes(news, organisation_id=organisation_id, at=at)
    return changed
