"""What mode a plant is in, as Voke's mode events tell."""

from datetime import datetime

from django.db.models import Q

from plants.models import PlantState
from vcp import ModeEvent


def apply_mode_event(*, plant_id: int, event: ModeEvent, told_at: datetime) -> bool:
    """Take over the mode, its reason and its expiry unless a newer event was seen; True when something changed."""
    newer = Q(mode_since__isnull=True) | Q(mode_since__lt=told_at)
    changed = (
        PlantState.objects.filter(plant_id=plant_id)
        .filter(newer)
        .update(
            mode=event.mode[:40],
            mode_reason=(event.reason or "")[:500],
            mode_since=told_at,
            mode_override_until=event.valid_until,
        )
    )
    return changed == 1
