"""Which tables of this room are split by month (`plants.services.partitions` makes and drops the partitions)."""

from metering.models import MeterHour, MeterQuarter, TelemetryHour, TelemetryQuarter
from plants.services.partitions import PartitionedTable, Unit

ROLLUPS = tuple(
    PartitionedTable(model=model, column="start_at", unit=Unit.MONTH)
    for model in (TelemetryQuarter, TelemetryHour, MeterQuarter, MeterHour)
)
