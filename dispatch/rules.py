"""What may be asked of a plant, as pure functions: limits of the site and its assets, before anything is stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from dispatch.requests import CommandPayload
from plants.errors import DomainError, Invalid
from vcp import (
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    Direction,
    Emergency,
    Mode,
    ProtocolError,
    SetpointType,
    SiteSetpoint,
    check_device_command,
)


@dataclass(frozen=True, kw_only=True)
class AssetFacts:
    """What the rules know of one asset; `rated_power_kw` None = not known."""

    asset_type: str
    rated_power_kw: float | None


@dataclass(frozen=True, kw_only=True)
class SiteFacts:
    """What the rules know of a plant; powers in kW, None = no limit known."""

    max_import_kw: float | None
    max_export_kw: float | None
    max_charge_kw: float | None
    max_discharge_kw: float | None
    assets: Mapping[str, AssetFacts]


def check_payload(payload: CommandPayload, *, site: SiteFacts, due_at: datetime) -> list[DomainError]:
    """Every reason why this plant can't be asked for this; paths are those of the wire payload."""
    match payload:
        case SiteSetpoint():
            return list(_check_setpoint(payload, site, due_at))
        case DeviceBatch():
            return [
                problem
                for index, command in enumerate(payload.commands)
                for problem in _check_device(command, f"payload.commands[{index}]", site)
            ]
        case Mode():
            return list(_check_end(payload.valid_until, due_at))
        case Emergency():
            return []


def _check_end(valid_until: datetime | None, due_at: datetime) -> Iterable[DomainError]:
    if valid_until is not None and valid_until <= due_at:
        yield Invalid("is over before the command is due", path="payload.validUntil", code="ALREADY_OVER")


def _check_setpoint(payload: SiteSetpoint, site: SiteFacts, due_at: datetime) -> Iterable[DomainError]:
    yield from _check_end(payload.valid_until, due_at)
    limit = site.max_import_kw if payload.direction is Direction.IMPORT else site.max_export_kw
    power = setpoint_power_kw(payload)
    if limit is not None and power > limit:
        field = "targetValueKw" if payload.type is SetpointType.POWER else "targetValueKwh"
        word = payload.direction.value.lower()
        text = f"{power:g} kW is over the site's {word} limit of {limit:g} kW"
        yield Invalid(text, path=f"payload.{field}", code="CONSTRAINT_VIOLATION")


def setpoint_power_kw(payload: SiteSetpoint) -> float:
    """The (mean) power that a setpoint asks for, without its direction."""
    if payload.type is SetpointType.POWER:
        return payload.target_value_kw or 0.0
    return (payload.target_value_kwh or 0.0) * 60 / (payload.interval_minutes or 60)


def _check_device(command: DeviceCommand, path: str, site: SiteFacts) -> Iterable[DomainError]:
    asset = site.assets.get(command.device_id)
    if asset is None:
        yield Invalid(
            f"the plant has no asset {command.device_id}", path=f"{path}.deviceId", code="UNKNOWN_ASSET"
        )
        return
    if asset.asset_type != command.asset_type.value:
        text = f"asset {command.device_id} is a {asset.asset_type}"
        yield Invalid(text, path=f"{path}.assetType", code="WRONG_ASSET_TYPE")
        return
    try:
        check_device_command(command, path=path)
    except ProtocolError as error:
        yield Invalid(error.detail, path=error.path, code="INVALID_COMMAND")
        return
    yield from _check_device_power(command, asset, path, site)


def _check_device_power(
    command: DeviceCommand, asset: AssetFacts, path: str, site: SiteFacts
) -> Iterable[DomainError]:
    power = command.params.power_kw if command.params else None
    if power is None:
        return
    site_limit = {
        DeviceCommandType.BESS_CHARGE: site.max_charge_kw,
        DeviceCommandType.BESS_CONTINUOUS_CHARGE: site.max_charge_kw,
        DeviceCommandType.BESS_CHARGE_ONLY: site.max_charge_kw,
        DeviceCommandType.BESS_DISCHARGE: site.max_discharge_kw,
        DeviceCommandType.BESS_DISCHARGE_ONLY: site.max_discharge_kw,
    }.get(command.command)
    for limit, whose in ((asset.rated_power_kw, f"asset {command.device_id}"), (site_limit, "the site")):
        if limit is not None and power > limit:
            text = f"{power:g} kW is over the {limit:g} kW of {whose}"
            yield Invalid(text, path=f"{path}.params.powerKw", code="CONSTRAINT_VIOLATION")
            return
