"""Commands near a moment: what a plant was told when something happened to it."""

from collections.abc import Sequence
from datetime import datetime

from dispatch.models import Command

SHOWN = 8


def commands_around(
    *, plant_id: int, from_at: datetime, to_at: datetime, limit: int = SHOWN
) -> Sequence[Command]:
    """A plant's commands that were asked for within [from_at, to_at), the newest first."""
    rows = Command.objects.filter(plant_id=plant_id, requested_at__gte=from_at, requested_at__lt=to_at)
    return list(rows.order_by("-pk")[:limit])
