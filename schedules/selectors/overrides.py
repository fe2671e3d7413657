"""Overrides as they are read."""

from datetime import datetime

from schedules.models import Override


def open_override(*, plant_id: int, at: datetime) -> Override | None:
    """The one in force over a plant; one whose time is over is none, ended or not yet."""
    return Override.objects.filter(plant_id=plant_id, ended_at__isnull=True, until_at__gt=at).first()
