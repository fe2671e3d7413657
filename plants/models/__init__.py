"""Tables of plants: who owns what, how Voke is reached, what plants are and what they reported."""

from plants.models.alarm import Alarm, AlarmChange, AlarmOrigin
from plants.models.alarm_care import AlarmCase, AlarmNote, AlarmOccurrence
from plants.models.connection import (
    Connection,
    ConnectionMode,
    LinkHealth,
    LinkSpan,
    LinkState,
    SiteIdKind,
    StreamHealth,
)
from plants.models.inbox import DeadLetter, DeadLetterEvent, Disposition, InboundMessage, RecentTelemetryBody
from plants.models.plant import (
    Asset,
    CancelPolicy,
    Plant,
    ScheduleCarrier,
    TimeConfigBlock,
    TimeConfigOrigin,
    TimeConfigVersion,
    UpdatePolicy,
)
from plants.models.readings import MeterReading, PlantState, TelemetryReading
from plants.models.tenancy import Installation, Organisation, Role, Theme, User

__all__ = [
    "Alarm",
    "AlarmCase",
    "AlarmChange",
    "AlarmNote",
    "AlarmOccurrence",
    "AlarmOrigin",
    "Asset",
    "CancelPolicy",
    "Connection",
    "ConnectionMode",
    "DeadLetter",
    "DeadLetterEvent",
    "Disposition",
    "InboundMessage",
    "Installation",
    "LinkHealth",
    "LinkSpan",
    "LinkState",
    "MeterReading",
    "Organisation",
    "Plant",
    "PlantState",
    "RecentTelemetryBody",
    "Role",
    "ScheduleCarrier",
    "SiteIdKind",
    "StreamHealth",
    "TelemetryReading",
    "Theme",
    "TimeConfigBlock",
    "TimeConfigOrigin",
    "TimeConfigVersion",
    "UpdatePolicy",
    "User",
]
