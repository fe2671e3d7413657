"""Overrides as they are read."""

from datetime import datetime

from django.db.models import Q

from schedules.models import Override


def open_override(*, plant_id: int, at: datetime) -> Override | None:
    """The one in force over a plant; one whose time is over is none, ended or not yet."""
    return Override.objects.filter(plant_id=plant_id, ended_at__isnull=True, until_at__gt=at).first()


def overrides_within(
    *, plant_id: int, from_at: datetime, to_at: datetime, limit: int = 200
) -> list[Override]:
    """Those of a plant that were in force within [from_at, to_at), also ended ones, in the order of time."""
    rows = Override.objects.filter(plant_id=plant_id, begun_at__lt=to_at, until_at__gt=from_at)
    rows = rows.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=from_at))
    return list(rows.order_by("begun_at", "pk")[:limit])
