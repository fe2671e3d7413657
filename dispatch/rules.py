"""What may be asked of a plant, as pure functions: limits of the site and its assets, before anything is stored."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from dispatch.requests import FAMILY, CommandPayload, CommandRequest
from plants.errors import DomainError, Invalid
from vcp import (
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    Direction,
    Emergency,
    Mode,
    ProtocolError,
    ScheduleCancel,
    ScheduleCreate,
    SetpointType,
    SiteSetpoint,
    canonical_json,
    check_device_command,
    decode_object,
    parse_payload,
    to_wire,
)
from vcp.said import said

_LONGEST_TEXT = 128
_NEARLY = 1e-6
"""In kW: what an energy's mean power may be over a limit by being computed."""
_CHARGES = frozenset(
    {
        DeviceCommandType.BESS_CHARGE,
        DeviceCommandType.BESS_CONTINUOUS_CHARGE,
        DeviceCommandType.BESS_CHARGE_ONLY,
    }
)
_DISCHARGES = frozenset({DeviceCommandType.BESS_DISCHARGE, DeviceCommandType.BESS_DISCHARGE_ONLY})


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


def check_request(request: CommandRequest) -> list[DomainError]:
    """What is wrong with a request whatever the plant: texts that can't be stored, values outside the protocol.

    A payload struct is checked only where it was parsed; one that a program built may hold anything.
    """
    problems = list(_check_texts(request))
    if request.due_at is not None and request.due_at.utcoffset() is None:
        problems.append(Invalid(said("needs a time zone"), path="dueAt"))
    if request.due_at is not None and isinstance(request.payload, Emergency):
        problems.append(Invalid(said("an emergency is always due now"), path="dueAt"))
    try:
        as_received = decode_object(canonical_json({"payload": to_wire(request.payload)}))
        parse_payload(FAMILY[request.kind], as_received["payload"])
    except ProtocolError as error:
        path = error.path if error.path.startswith("payload") else f"payload.{error.path}"
        problems.append(Invalid(error.words, path=path.rstrip("."), code=error.code))
    return problems


def _check_texts(request: CommandRequest) -> Iterator[DomainError]:
    texts = {
        "idempotencyKey": request.idempotency_key,
        "batchRef": request.batch_ref,
        "reason": request.reason,
    }
    for path, text in texts.items():
        if text and "\0" in text:
            yield Invalid(said("must not hold U+0000"), path=path)
        if text and path != "reason" and len(text) > _LONGEST_TEXT:
            yield Invalid(said("at most %(limit)s characters", limit=_LONGEST_TEXT), path=path)
    if request.idempotency_key == "":
        yield Invalid(said("must not be empty"), path="idempotencyKey")


def check_payload(payload: CommandPayload, *, site: SiteFacts, due_at: datetime) -> list[DomainError]:
    """Every reason why this plant can't be asked for this; paths are those of the wire payload."""
    match payload:
        case SiteSetpoint():
            return list(_check_setpoint(payload, site, due_at))
        case DeviceBatch():
            problems = [
                problem
                for index, command in enumerate(payload.commands)
                for problem in _check_device(command, f"payload.commands[{index}]", site)
            ]
            return problems or list(_check_sums(payload, site))
        case Mode():
            return list(_check_end(payload.valid_until, due_at))
        case ScheduleCreate():
            return list(_check_slots(payload, due_at))
        case Emergency() | ScheduleCancel():
            return []


def _check_slots(payload: ScheduleCreate, due_at: datetime) -> Iterable[DomainError]:
    """A schedule is of use while one of its slots is not over; limits are the business of who plans."""
    last = len(payload.slots) - 1
    if payload.slots[last].ends_at <= due_at:
        yield Invalid(
            said("is over before the command is due"), path=f"payload.slots[{last}].to", code="ALREADY_OVER"
        )


def _check_end(valid_until: datetime | None, due_at: datetime) -> Iterable[DomainError]:
    if valid_until is not None and valid_until <= due_at:
        yield Invalid(
            said("is over before the command is due"), path="payload.validUntil", code="ALREADY_OVER"
        )


def _check_setpoint(payload: SiteSetpoint, site: SiteFacts, due_at: datetime) -> Iterable[DomainError]:
    yield from _check_end(payload.valid_until, due_at)
    limit = site.max_import_kw if payload.direction is Direction.IMPORT else site.max_export_kw
    power = setpoint_power_kw(payload)
    if limit is not None and power > limit + _NEARLY:
        field = "targetValueKw" if payload.type is SetpointType.POWER else "targetValueKwh"
        text = (
            said("%(power)s kW is over the site's import limit of %(limit)s kW", power=power, limit=limit)
            if payload.direction is Direction.IMPORT
            else said(
                "%(power)s kW is over the site's export limit of %(limit)s kW", power=power, limit=limit
            )
        )
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
            said("the plant has no asset %(device_id)s", device_id=command.device_id),
            path=f"{path}.deviceId",
            code="UNKNOWN_ASSET",
        )
        return
    if asset.asset_type != command.asset_type.value:
        text = said(
            "asset %(device_id)s is a %(asset_type)s",
            device_id=command.device_id,
            asset_type=asset.asset_type,
        )
        yield Invalid(text, path=f"{path}.assetType", code="WRONG_ASSET_TYPE")
        return
    try:
        check_device_command(command, path=path)
    except ProtocolError as error:
        yield Invalid(error.words, path=error.path, code="INVALID_COMMAND")
        return
    yield from _check_device_power(command, asset, path, site)


def _check_device_power(
    command: DeviceCommand, asset: AssetFacts, path: str, site: SiteFacts
) -> Iterable[DomainError]:
    power = command.params.power_kw if command.params else None
    if power is None:
        return
    site_limit = _site_limit(command, site)
    for limit, whose in (
        (asset.rated_power_kw, said("asset %(asset)s", asset=command.device_id)),
        (site_limit, said("the site")),
    ):
        if limit is not None and power > limit:
            text = said(
                "%(power)s kW is over the %(limit)s kW of %(whose)s", power=power, limit=limit, whose=whose
            )
            yield Invalid(text, path=f"{path}.params.powerKw", code="CONSTRAINT_VIOLATION")
            return


def _site_limit(command: DeviceCommand, site: SiteFacts) -> float | None:
    if command.command in _CHARGES:
        return site.max_charge_kw
    return site.max_discharge_kw if command.command in _DISCHARGES else None


def _check_sums(payload: DeviceBatch, site: SiteFacts) -> Iterator[DomainError]:
    """Each battery may do what is asked of it, and all of them together be too much for the site."""
    for kinds, limit, word in (
        (_CHARGES, site.max_charge_kw, said("charging")),
        (_DISCHARGES, site.max_discharge_kw, said("discharging")),
    ):
        powers = [
            command.params.power_kw
            for command in payload.commands
            if command.command in kinds and command.params and command.params.power_kw is not None
        ]
        if limit is not None and sum(powers) > limit:
            text = said(
                "%(powers)s kW together are over the site's %(word)s limit of %(limit)s kW",
                powers=sum(powers),
                word=word,
                limit=limit,
            )
            yield Invalid(text, path="payload.commands", code="CONSTRAINT_VIOLATION")
