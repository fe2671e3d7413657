"""Commands that the partner sends: site setpoint, device batch, emergency, mode [doc, fact sheet section 5].

Values are never negative; `direction` is the sign. Powers are kW, energies kWh, shares percent of 100.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, field

from vcp.errors import InvalidCommand, InvalidTimestamp, InvalidValue, MissingField, join_path
from vcp.said import said
from vcp.structs import ExternalId, NonNegative, Percent, Time, WireStruct
from vcp.vocabulary import (
    AssetType,
    DeviceCommandType,
    Direction,
    EmergencyType,
    OperatingMode,
    Priority,
    SetpointType,
)

MAX_BATCH: Final = 32
MAX_REASON_LENGTH: Final = 500

Reason = Annotated[str, Meta(max_length=MAX_REASON_LENGTH)]
Minutes = Annotated[int, Meta(ge=1, le=1440)]


def check_order(start: datetime, end: datetime, end_name: str) -> None:
    """Refuse an end at or before its start, and times without zone."""
    if start.tzinfo is None or end.tzinfo is None:
        raise InvalidTimestamp(said("a time without zone has no place on the wire"), path=end_name)
    if end <= start:
        raise InvalidValue(said("must be later than the start"), path=end_name)


def utf16_length(text: str) -> int:
    """A text's length as JavaScript counts it: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_reason(reason: str | None) -> None:
    """Refuse a reason beyond 500 UTF-16 units, Voke's own way to count."""
    if reason is not None and not reason.isascii() and utf16_length(reason) > MAX_REASON_LENGTH:
        raise InvalidValue(said("longer than %(limit)s UTF-16 units", limit=MAX_REASON_LENGTH), path="reason")


class SiteSetpoint(WireStruct, frozen=True, kw_only=True):
    """A target for the whole site. Without `valid_until` it holds until something replaces it [doc].

    Interpretation: values >= 0, valid_until later than valid_from, interval of 1 to 1440 minutes.
    """

    type: SetpointType = field(name="type")
    target_value_kw: NonNegative | None = field(name="targetValueKw", default=None)
    """Required when type is POWER."""
    target_value_kwh: NonNegative | None = field(name="targetValueKwh", default=None)
    """Required when type is ENERGY."""
    interval_minutes: Minutes | None = field(name="intervalMinutes", default=None)
    """Span in which the energy flows; required when type is ENERGY, allowed when POWER [doc]."""
    direction: Direction = field(name="direction")
    include_consumption: bool = field(name="includeConsumption")
    """Whether local consumption counts in the site's target [doc]."""
    priority: Priority = field(name="priority")
    valid_from: Time = field(name="validFrom")
    valid_until: Time | None = field(name="validUntil", default=None)

    def __post_init__(self) -> None:
        if self.type == SetpointType.POWER:
            if self.target_value_kw is None:
                raise MissingField(said("a POWER setpoint needs its power"), path="targetValueKw")
        elif self.target_value_kwh is None:
            raise MissingField(said("an ENERGY setpoint needs its energy"), path="targetValueKwh")
        elif self.interval_minutes is None:
            raise MissingField(said("an ENERGY setpoint needs its interval"), path="intervalMinutes")
        if self.valid_until is not None:
            check_order(self.valid_from, self.valid_until, "validUntil")


class DeviceParams(WireStruct, frozen=True, kw_only=True):
    """Parameters of a device command; which are needed depends on the command."""

    power_kw: NonNegative | None = field(name="powerKw", default=None)
    percent: Percent | None = field(name="percent", default=None)
    respect_limits: bool | None = field(name="respectLimits", default=None)
    """Whether configured SoC and power limits are honoured [doc]; None: Voke's default."""


class DeviceCommand(WireStruct, frozen=True, kw_only=True):
    """One command to one sub-device."""

    device_id: ExternalId = field(name="deviceId")
    asset_type: AssetType = field(name="assetType")
    command: DeviceCommandType = field(name="command")
    params: DeviceParams | None = field(name="params", default=None)


class DeviceBatch(WireStruct, frozen=True, kw_only=True):
    """One to 32 device commands in one message [doc]; a single command is a batch of one."""

    commands: Annotated[tuple[DeviceCommand, ...], Meta(min_length=1, max_length=MAX_BATCH)] = field(
        name="commands"
    )


class Emergency(WireStruct, frozen=True, kw_only=True):
    """Stop or hold the site at once, past every schedule [doc]."""

    type: EmergencyType = field(name="type")
    reason: Reason | None = field(name="reason", default=None)

    def __post_init__(self) -> None:
        check_reason(self.reason)


class Mode(WireStruct, frozen=True, kw_only=True):
    """Set the site's operating mode, for good or until `valid_until` [doc]."""

    mode: OperatingMode = field(name="mode")
    reason: Reason | None = field(name="reason", default=None)
    valid_until: Time | None = field(name="validUntil", default=None)

    def __post_init__(self) -> None:
        check_reason(self.reason)


# Interpretation: the parameter needs and the fit of commands to asset types are not in the sources; they
# follow from the commands' names and from the meaning of the rejection code INVALID_COMMAND.
_NEEDS_POWER: Final = frozenset(
    {DeviceCommandType.FVE_REDUCE_POWER, DeviceCommandType.BESS_CHARGE, DeviceCommandType.BESS_DISCHARGE}
)
_FITS: Final = {
    "FVE": frozenset({AssetType.FVE, AssetType.INVERTER}),
    "BESS": frozenset({AssetType.BESS}),
}


def check_device_command(command: DeviceCommand, *, path: str = "") -> None:
    """Refuse a well-formed command that its asset can't carry out or that lacks a parameter.

    Apart from the shape on purpose: Voke answers a broken shape INVALID_PAYLOAD, and this INVALID_COMMAND.
    Raises InvalidCommand; `path` is put before the field's own.
    """
    family = command.command.value.split("_")[0]
    params = command.params or DeviceParams()
    if command.asset_type not in _FITS[family]:
        detail = said(
            "%(command)s does not fit a %(asset_type)s",
            command=command.command,
            asset_type=command.asset_type,
        )
        raise InvalidCommand(detail, path=join_path(path, "assetType"))
    if command.command in _NEEDS_POWER and params.power_kw is None:
        raise InvalidCommand(
            said("%(command)s needs powerKw", command=command.command), path=join_path(path, "params.powerKw")
        )
    if command.command is DeviceCommandType.FVE_REDUCE_PERCENT and params.percent is None:
        raise InvalidCommand(
            said("%(command)s needs percent", command=command.command), path=join_path(path, "params.percent")
        )
