"""Keeps when each plant's newest meter row arrived, from the rows that arrived since the last look."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from plants.models import MeterReading, Plant
from watch.models import MeterWatch

# A batch carries the instant at which it was received and is committed a little later.
OVERLAP = timedelta(seconds=60)
FIRST_LOOK = timedelta(days=1)
# Registers that are told days later are history; only these partitions are asked.
READ_WITHIN = timedelta(days=2)
# Readings outlive a deleted plant (their history has no foreign key), hence the join.
_STATEMENT = f"""
INSERT INTO {MeterWatch._meta.db_table} (plant_id, last_at)
SELECT reading.plant_id, MAX(reading.received_at)
FROM {MeterReading._meta.db_table} reading
JOIN {Plant._meta.db_table} plant ON plant.id = reading.plant_id
WHERE reading.received_at > %s AND reading.reading_at >= %s
GROUP BY reading.plant_id
ORDER BY reading.plant_id
ON CONFLICT (plant_id) DO UPDATE SET last_at = excluded.last_at
WHERE excluded.last_at > {MeterWatch._meta.db_table}.last_at
"""  # noqa: S608 - names from the models


def note_meter_rows(*, at: datetime) -> None:
    """Bring `MeterWatch` up to date; reads what arrived since the last call by the index on arrival."""
    newest = MeterWatch.objects.aggregate(newest=Max("last_at"))["newest"]
    since = at - FIRST_LOOK if newest is None else max(min(newest, at) - OVERLAP, at - FIRST_LOOK)
    moments = (since, at - READ_WITHIN)
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, [connection.ops.adapt_datetimefield_value(moment) for moment in moments])
