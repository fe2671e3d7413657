"""Overrides as they are read: those in force with what is left of them, and what was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schedules.models import Override

MOST_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class OpenOverride:
    """One in force: the row, with its plant and command, and its countdown."""

    override: Override
    seconds_left: int


def open_overrides(
    *, organisation_id: int, at: datetime, plant_ids: Sequence[int] | None = None, limit: int = MOST_SHOWN
) -> list[OpenOverride]:
    """Overrides in force, the first to end first; one whose time is over is not among them, ended or not yet."""
    rows = Override.objects.filter(organisation_id=organisation_id, ended_at__isnull=True, until_at__gt=at)
    if plant_ids is not None:
        rows = rows.filter(plant_id__in=plant_ids)
    return [
        OpenOverride(override=row, seconds_left=seconds_left(row, at=at))
        for row in rows.select_related("plant", "command").order_by("until_at", "pk")[:limit]
    ]


def seconds_left(override: Override, *, at: datetime) -> int:
    """Whole seconds until it ends, 0 when it has."""
    if override.ended_at is not None:
        return 0
    return max(0, int((override.until_at - at).total_seconds()))


def override_history(
    *, organisation_id: int, plant_id: int | None = None, limit: int = MOST_SHOWN
) -> Sequence[Override]:
    """All overrides of an organisation or of one of its plants, the newest first, with plant and command."""
    rows = Override.objects.filter(organisation_id=organisation_id)
    if plant_id is not None:
        rows = rows.filter(plant_id=plant_id)
    return list(rows.select_related("plant", "command").order_by("-pk")[:limit])
