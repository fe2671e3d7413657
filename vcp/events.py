"""What Voke reports: acknowledgements, executions, alarms, mode and schedule changes.

Vocabularies are open: a word that is new to us stays text (see `vcp.vocabulary.known`). Free texts have no
bound of their own; words and ids that key database rows are bounded.
"""

from typing import Any

from msgspec import field

from vcp.errors import MissingField
from vcp.said import said
from vcp.structs import Id, Number, Time, WireStruct, Word
from vcp.vocabulary import AckStatus


class CommandResult(WireStruct, frozen=True, kw_only=True):
    """One device's part of a batch. Interpretation: the item's shape is not public."""

    device_id: Id = field(name="deviceId")
    status: Word = field(name="status")
    rejection_code: Word | None = field(name="rejectionCode", default=None)
    message: str | None = field(name="message", default=None)


class CommandAck(WireStruct, frozen=True, kw_only=True):
    """Voke's first word on a command; the envelope's correlationId names it [doc]."""

    status: Word = field(name="status")
    command_type: Word = field(name="commandType")
    message: str | None = field(name="message", default=None)
    rejection_code: Word | None = field(name="rejectionCode", default=None)
    results: tuple[CommandResult, ...] = field(name="results", default=())
    """Required, hence not empty, when status is PARTIAL."""

    def __post_init__(self) -> None:
        if self.status == AckStatus.PARTIAL and not self.results:
            raise MissingField(said("a PARTIAL ack needs the result of each device"), path="results")


class Execution(WireStruct, frozen=True, kw_only=True):
    """How a command fares at the site; the envelope's correlationId names it [doc]. Powers in kW."""

    command_type: Word = field(name="commandType")
    status: Word = field(name="status")
    actual_value_kw: Number | None = field(name="actualValueKw", default=None)
    target_value_kw: Number | None = field(name="targetValueKw", default=None)
    deviation_kw: Number | None = field(name="deviationKw", default=None)
    reason: str | None = field(name="reason", default=None)


class Alarm(WireStruct, frozen=True, kw_only=True):
    """A condition raised or cleared at a site; `alarm_id` is the same in both [pub alarms]."""

    alarm_id: Id = field(name="alarmId")
    severity: Word = field(name="severity")
    code: Word = field(name="code")
    message: str = field(name="message")
    device_id: Id | None = field(name="deviceId", default=None)
    raised_at: Time = field(name="raisedAt")
    cleared_at: Time | None = field(name="clearedAt", default=None)
    """Present = cleared."""
    actual_value: str | Number | None = field(name="actualValue", default=None)
    expected_value: str | Number | None = field(name="expectedValue", default=None)
    breached_field: Word | None = field(name="breachedField", default=None)
    tolerance_pct: Number | None = field(name="tolerancePercent", default=None)
    metadata: dict[str, Any] | None = field(name="metadata", default=None)


class ModeEvent(WireStruct, frozen=True, kw_only=True):
    """A site's operating mode changed. Interpretation: the shape is not public."""

    mode: Word = field(name="mode")
    previous_mode: Word | None = field(name="previousMode", default=None)
    reason: str | None = field(name="reason", default=None)
    valid_until: Time | None = field(name="validUntil", default=None)


class ScheduleEvent(WireStruct, frozen=True, kw_only=True):
    """A schedule changed state. Interpretation: the shape is not public."""

    schedule_id: Id = field(name="scheduleId")
    status: Word = field(name="status")
    reason: str | None = field(name="reason", default=None)
