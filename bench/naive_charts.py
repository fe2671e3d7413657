"""A chart as written first: the model's rows of the range, put into buckets by Python, for the measures on show."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

BUCKET_S = {"chart_day": 900, "chart_month": 3600, "chart_year": 86_400}


def naive_chart(
    *, plant_id: int, measures: Sequence[str], from_at: datetime, to_at: datetime, bucket_s: int
) -> dict[str, dict[str, list[Any]]]:
    """By measure: the times of the buckets that hold samples, and mean, least, most and last of each."""
    from plants.models import TelemetryReading  # noqa: PLC0415 - after the settings

    buckets: dict[int, list[TelemetryReading]] = defaultdict(list)
    readings = TelemetryReading.objects.filter(
        plant_id=plant_id, measured_at__gte=from_at, measured_at__lt=to_at
    ).order_by("measured_at")
    for reading in readings:
        moment_s = reading.measured_at.timestamp()
        buckets[int(moment_s // bucket_s * bucket_s)].append(reading)
    chart: dict[str, dict[str, list[Any]]] = {}
    for measure in measures:
        columns: dict[str, list[Any]] = {"time": [], "mean": [], "least": [], "most": [], "last": []}
        for start_s, rows in buckets.items():
            values = [value for row in rows if (value := getattr(row, measure)) is not None]
            if values:
                columns["time"].append(start_s)
                columns["mean"].append(sum(values) / len(values))
                columns["least"].append(min(values))
                columns["most"].append(max(values))
                columns["last"].append(values[-1])
        chart[measure] = columns
    return chart
