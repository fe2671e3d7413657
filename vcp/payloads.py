"""The registry: which payload each family carries. A new family is one struct and one line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from vcp.commands import DeviceBatch, Emergency, Mode, SiteSetpoint
from vcp.errors import WrongType
from vcp.events import Alarm, CommandAck, Execution, ModeEvent, ScheduleEvent
from vcp.routing import Family
from vcp.said import said
from vcp.schedules import ScheduleCancel, ScheduleCreate
from vcp.siteconfig import Constraints, Fallback, Topology
from vcp.structs import WireStruct, to_members, to_struct
from vcp.telemetry import MeterTelemetry, RealtimeTelemetry

Payload: TypeAlias = (
    SiteSetpoint
    | DeviceBatch
    | Emergency
    | Mode
    | Constraints
    | Topology
    | Fallback
    | ScheduleCreate
    | ScheduleCancel
    | RealtimeTelemetry
    | MeterTelemetry
    | CommandAck
    | Execution
    | Alarm
    | ModeEvent
    | ScheduleEvent
)

PAYLOAD_TYPES: Final[Mapping[Family, type[WireStruct]]] = MappingProxyType(
    {
        Family.COMMAND_SITE_SETPOINT: SiteSetpoint,
        Family.COMMAND_DEVICE: DeviceBatch,
        Family.COMMAND_EMERGENCY: Emergency,
        Family.COMMAND_MODE: Mode,
        Family.CONFIG_CONSTRAINTS: Constraints,
        Family.CONFIG_TOPOLOGY: Topology,
        Family.CONFIG_FALLBACK: Fallback,
        Family.SCHEDULE_CREATE: ScheduleCreate,
        Family.SCHEDULE_CANCEL: ScheduleCancel,
        Family.EVENT_TELEMETRY_REALTIME: RealtimeTelemetry,
        Family.EVENT_TELEMETRY_METER: MeterTelemetry,
        Family.EVENT_COMMAND_ACK: CommandAck,
        Family.EVENT_EXECUTION: Execution,
        Family.EVENT_ALARM: Alarm,
        Family.EVENT_MODE: ModeEvent,
        Family.EVENT_SCHEDULE: ScheduleEvent,
    }
)
_FAMILY_OF: Final = {payload_type: family for family, payload_type in PAYLOAD_TYPES.items()}


def parse_payload(family: Family, payload: dict[str, Any]) -> Payload:
    """Check an envelope's payload against its family's shape and build the struct.

    Unknown members are ignored; the envelope's raw dict keeps them. Raises a ProtocolError whose path
    begins with `payload`.
    """
    return cast(Payload, to_struct(payload, PAYLOAD_TYPES[family], path="payload"))


def to_wire(payload: Payload) -> dict[str, Any]:
    """The payload as a JSON object in wire names, members that are None left out.

    Raises InvalidTimestamp for a time without zone, WrongType for anything but a payload.
    """
    if type(payload) not in _FAMILY_OF:
        raise WrongType(said("%(name)s is no payload", name=type(payload).__name__), path="payload")
    return to_members(payload)


def family_of(payload: Payload) -> Family:
    """The family that carries this payload; raises WrongType for anything but a payload."""
    family = _FAMILY_OF.get(type(payload))
    if family is None:
        raise WrongType(said("%(name)s is no payload", name=type(payload).__name__), path="payload")
    return family
