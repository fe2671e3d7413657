"""Keeps when each plant's newest meter row arrived, from the rows that arrived since the last look."""

from datetime import datetime, timedelta

from django.db.models import Max, Subquery

from plants.models import MeterReading, Plant
from plants.sql import insert_or_update
from watch.models import MeterWatch

# A batch carries the instant at which it was received and is committed a little later.
OVERLAP = timedelta(seconds=60)
FIRST_LOOK = timedelta(days=1)
# Registers that are told days later are history; only these partitions are asked.
READ_WITHIN = timedelta(days=2)


def note_meter_rows(*, at: datetime) -> None:
    """Bring `MeterWatch` up to date; reads what arrived since the last call by the index on arrival."""
    newest = MeterWatch.objects.aggregate(newest=Max("last_at"))["newest"]
    since = at - FIRST_LOOK if newest is None else max(min(newest, at) - OVERLAP, at - FIRST_LOOK)
    arrived = (
        MeterReading.objects.filter(
            received_at__gt=since,
            reading_at__gte=at - READ_WITHIN,
            plant_id__in=Subquery(Plant.objects.values("pk")),
        )
        .order_by()
        .values_list("plant_id")
        .annotate(newest=Max("received_at"))
    )
    rows = [{"plant_id": plant_id, "last_at": last_at} for plant_id, last_at in sorted(arrived)]
    if rows:
        insert_or_update(MeterWatch, rows, key=("plant_id",), better="new.last_at > old.last_at")
