"""What plants measured over time: rollups, energy from registers, and the holes."""

from metering.models.gaps import Gap, LedgerProgress, MeterSeen
from metering.models.holds import RetentionHold
from metering.models.marks import RollupDue, RollupMark, Stream, StreamPeriod
from metering.models.meters import (
    Meter,
    MeterDay,
    MeterHour,
    MeterQuarter,
    MeterRollup,
    RegisterEvent,
    RegisterKind,
)
from metering.models.telemetry import TelemetryDay, TelemetryHour, TelemetryQuarter, TelemetryRollup

__all__ = [
    "Gap",
    "LedgerProgress",
    "Meter",
    "MeterDay",
    "MeterHour",
    "MeterQuarter",
    "MeterRollup",
    "MeterSeen",
    "RegisterEvent",
    "RegisterKind",
    "RetentionHold",
    "RollupDue",
    "RollupMark",
    "Stream",
    "StreamPeriod",
    "TelemetryDay",
    "TelemetryHour",
    "TelemetryQuarter",
    "TelemetryRollup",
]
