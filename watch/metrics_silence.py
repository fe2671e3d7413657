"""Why commands met silence lately, by cause."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from dispatch.diagnosis import Cause
from dispatch.selectors import count_causes

DIAGNOSES_OF = timedelta(hours=24)
OPEN = "OPEN"


def diagnoses(at: datetime) -> Iterable[Metric]:
    """Silences that began in the last 24 hours; causes are a closed set, OPEN = still to be found."""
    family = GaugeMetricFamily(
        "esm_recent_diagnoses",
        "Commands that met silence in the last 24 hours, by what explains it (OPEN: still to be found).",
        labels=("cause",),
    )
    counted = count_causes(since=at - DIAGNOSES_OF)
    for cause in Cause:
        family.add_metric((cause.value,), counted.get(cause.value, 0))
    family.add_metric((OPEN,), counted.get("", 0))
    return (family,)
