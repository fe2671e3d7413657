"""The words of the protocol.

Closed: what we send; a word outside is an error. Open: what Voke sends; the field is plain text, the
enumeration lists what is known today, and `known` sorts a word into a member or `Unknown`.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

EnumT = TypeVar("EnumT", bound=StrEnum)


class Unknown(msgspec.Struct, frozen=True):
    """A word or routing key outside what this version knows, as received."""

    raw: str


def known(vocabulary: type[EnumT], text: str) -> EnumT | Unknown:
    """The member of an open vocabulary that `text` names, or Unknown(text)."""
    try:
        return vocabulary(text)
    except ValueError:
        return Unknown(text)


# Closed: what we send.
# -------------------------------------------------------------------------------------


class SetpointType(StrEnum):
    """What a setpoint fixes: a power, or an energy over an interval [doc]."""

    POWER = "POWER"
    ENERGY = "ENERGY"


class Direction(StrEnum):
    """Whether a setpoint takes from the grid or gives to it; the sign of its value [doc]."""

    IMPORT = "IMPORT"
    EXPORT = "EXPORT"


class Priority(StrEnum):
    """NORMAL follows the schedule stack, HIGH pre-empts it, EMERGENCY bypasses it [doc]."""

    NORMAL = "NORMAL"
    HIGH = "HIGH"
    EMERGENCY = "EMERGENCY"


class AssetType(StrEnum):
    """Kinds of sub-device [doc]; closed where we send, open in telemetry."""

    BESS = "BESS"
    FVE = "FVE"
    METER = "METER"
    HEAT_PUMP = "HEAT_PUMP"
    EV_CHARGER = "EV_CHARGER"
    THERMOSTAT = "THERMOSTAT"
    INVERTER = "INVERTER"
    GENERIC = "GENERIC"


class DeviceCommandType(StrEnum):
    """Commands to one sub-device [doc]."""

    FVE_PRODUCE_MAX = "FVE_PRODUCE_MAX"
    FVE_REDUCE_PERCENT = "FVE_REDUCE_PERCENT"
    FVE_REDUCE_POWER = "FVE_REDUCE_POWER"
    FVE_STOP = "FVE_STOP"
    BESS_CHARGE = "BESS_CHARGE"
    BESS_DISCHARGE = "BESS_DISCHARGE"
    BESS_STOP = "BESS_STOP"
    BESS_CHARGE_ONLY = "BESS_CHARGE_ONLY"
    BESS_DISCHARGE_ONLY = "BESS_DISCHARGE_ONLY"
    BESS_CONTINUOUS_CHARGE = "BESS_CONTINUOUS_CHARGE"


class EmergencyType(StrEnum):
    """STOP shuts the site's assets down, HOLD freezes them at their present output [doc]."""

    STOP = "STOP"
    HOLD = "HOLD"


class OperatingMode(StrEnum):
    """A site's operating modes [doc]; closed where we send, open in telemetry and mode events."""

    STANDARD = "STANDARD"
    ZERO_EXPORT = "ZERO_EXPORT"
    MAX_EXPORT = "MAX_EXPORT"
    PEAK_SHAVING = "PEAK_SHAVING"
    LOCAL_OPTIMIZATION = "LOCAL_OPTIMIZATION"
    GRID_TARGET = "GRID_TARGET"
    LDS_SUPPORT = "LDS_SUPPORT"


# Open: what Voke sends.
# ------------------------------------------------------------------------------------


class AckStatus(StrEnum):
    """Voke's first word on a command [doc]."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    PARTIAL = "PARTIAL"
    QUEUED = "QUEUED"


class RejectionCode(StrEnum):
    """Why a command, or one device of a batch, was refused [doc]."""

    CONSTRAINT_VIOLATION = "CONSTRAINT_VIOLATION"
    INVALID_COMMAND = "INVALID_COMMAND"
    INVALID_PAYLOAD = "INVALID_PAYLOAD"
    DEVICE_OFFLINE = "DEVICE_OFFLINE"
    DEVICE_FAULT = "DEVICE_FAULT"
    UNSUPPORTED_FOR_TOPOLOGY = "UNSUPPORTED_FOR_TOPOLOGY"


class ExecutionStatus(StrEnum):
    """How an accepted command fares [doc]."""

    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    DEVIATED = "DEVIATED"
    FAILED = "FAILED"


class DataQuality(StrEnum):
    """Quality of a telemetry or meter message [pub telemetry-ingress]."""

    GOOD = "GOOD"
    INTERPOLATED = "INTERPOLATED"
    STALE = "STALE"
    MISSING = "MISSING"


class DeviceStatus(StrEnum):
    """Reachability of a sub-device [pub sub-devices]."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    DEGRADED = "DEGRADED"
    UNKNOWN = "UNKNOWN"


class MeterRole(StrEnum):
    """Where a meter sits; one role is documented [pub ean-addressing]."""

    GRID = "GRID"


class Severity(StrEnum):
    """Alarm severities. Interpretation: not public; these are the words that Voke uses elsewhere."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class AlarmCode(StrEnum):
    """The three of sixteen alarm codes that are emitted and public today [pub alarms]."""

    CONSTRAINT_VIOLATION = "CONSTRAINT_VIOLATION"
    OPERATING_MODE_NOT_HONORED = "OPERATING_MODE_NOT_HONORED"
    SCHEDULE_SLOT_MISSED = "SCHEDULE_SLOT_MISSED"


class ScheduleStatus(StrEnum):
    """Life of a schedule. Interpretation: only the event's existence is documented."""

    ACCEPTED = "ACCEPTED"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
