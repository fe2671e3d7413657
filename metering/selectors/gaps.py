"""What is missing of a plant's measurements, for people: its holes within a time, the coverage of its hours."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from metering.models import Gap, Stream, TelemetryHour

MOST_GAPS = 200
MOST_HOURS = 24 * 62


def gaps_of(
    *,
    plant_id: int,
    stream: Stream,
    from_at: datetime,
    to_at: datetime,
    limit: int = MOST_GAPS,
    with_filled: bool = False,
) -> Sequence[Gap]:
    """The plant's holes that reach into [from_at, to_at), newest first, also the open one: one query.

    Without `with_filled` only those of which something is missing still.
    """
    rows = Gap.objects.filter(plant_id=plant_id, stream=stream, from_at__lt=to_at)
    rows = rows.filter(Q(to_at__isnull=True) | Q(to_at__gt=from_at))
    if not with_filled:
        rows = rows.filter(filled_at__isnull=True)
    return list(rows.order_by("-from_at")[:limit])


def coverage_by_hour(
    *, plant_id: int, from_at: datetime, to_at: datetime, limit: int = MOST_HOURS
) -> dict[datetime, float]:
    """{begin of the hour, UTC: % of it that telemetry covers}, of the hours that are rolled up: one query."""
    rows = TelemetryHour.objects.filter(plant_id=plant_id, start_at__gte=from_at, start_at__lt=to_at)
    return dict(rows.order_by("start_at").values_list("start_at", "coverage_pct")[:limit])
