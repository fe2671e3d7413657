"""Plants from a JSON document: how a fleet enters the platform from a shell, and how the demo gets its plants.

The document is an array of objects in the wire's names where the wire has one (`externalPlantId`, `capacityKwh`,
`timeConfigs` with `pBatMin` …). Unlike on the wire a block's `to` is exclusive (`24:00` = midnight).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from plants.errors import DomainError, Invalid, Several
from plants.models import Asset, Organisation, Plant
from plants.time_config import Block
from vcp.said import said

_FIELDS: Mapping[str, str] = {
    "externalPlantId": "external_plant_id",
    "vokeUuid": "voke_uuid",
    "name": "name",
    "description": "description",
    "timeZone": "time_zone",
    "capacityKwh": "capacity_kwh",
    "fvePeakPowerKwp": "fve_peak_power_kwp",
    "plantWithLoad": "plant_with_load",
    "configEnabled": "config_enabled",
    "esiState": "esi_state",
    "maxImportKw": "max_import_kw",
    "maxExportKw": "max_export_kw",
    "maxChargeKw": "max_charge_kw",
    "maxDischargeKw": "max_discharge_kw",
    "socMinPercent": "soc_min_pct",
    "socMaxPercent": "soc_max_pct",
    "baseMode": "base_mode",
    "updatePolicy": "update_policy",
}
_ASSET_FIELDS: Mapping[str, str] = {
    "deviceId": "external_id",
    "assetType": "asset_type",
    "name": "name",
    "ratedPowerKw": "rated_power_kw",
    "capacityKwh": "capacity_kwh",
}
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, kw_only=True)
class PlantSheet:
    """One plant of the document, not saved yet."""

    plant: Plant
    assets: list[Asset]
    blocks: list[Block]


def read_plants(document: object, *, organisation: Organisation) -> list[PlantSheet]:
    """The plants of a decoded document; raises `Several` with paths such as `[2].assets[0].deviceId`."""
    if not isinstance(document, list):
        raise Invalid(said("expected an array of plants"))
    sheets: list[PlantSheet] = []
    problems: list[DomainError] = []
    for index, item in enumerate(document):
        try:
            sheets.append(_read_plant(item, f"[{index}]", organisation))
        except DomainError as error:
            problems.append(error)
    if problems:
        raise Several(problems)
    return sheets


def _read_plant(item: object, path: str, organisation: Organisation) -> PlantSheet:
    members = _members(item, path, {*_FIELDS, "assets", "timeConfigs"})
    values = {_FIELDS[name]: value for name, value in members.items() if name in _FIELDS}
    if "voke_uuid" in values:
        values["voke_uuid"] = _uuid(values["voke_uuid"], f"{path}.vokeUuid")
    return PlantSheet(
        plant=Plant(organisation=organisation, **values),
        assets=[
            Asset(
                **{
                    _ASSET_FIELDS[name]: value
                    for name, value in _members(one, where, set(_ASSET_FIELDS)).items()
                }
            )
            for where, one in _items(members, "assets", path)
        ],
        blocks=[_read_block(one, where) for where, one in _items(members, "timeConfigs", path)],
    )


def _read_block(item: object, path: str) -> Block:
    members = _members(item, path, {"from", "to", "pBatMin", "pBatMax", "socMin", "socMax"})
    numbers = {name: _number(members, name, path) for name in ("pBatMin", "pBatMax", "socMin", "socMax")}
    return Block(
        start_minute=_minute(members.get("from"), f"{path}.from"),
        end_minute=_minute(members.get("to"), f"{path}.to"),
        p_bat_min_kw=numbers["pBatMin"],
        p_bat_max_kw=numbers["pBatMax"],
        soc_min_pct=numbers["socMin"],
        soc_max_pct=numbers["socMax"],
    )


def _members(item: object, path: str, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Invalid(said("expected an object"), path=path)
    unknown = sorted(set(item) - allowed)
    if unknown:
        raise Invalid(said("is not a field of this object"), path=f"{path}.{unknown[0]}")
    return item


def _items(members: Mapping[str, Any], name: str, path: str) -> Sequence[tuple[str, object]]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise Invalid(said("expected an array"), path=f"{path}.{name}")
    return [(f"{path}.{name}[{index}]", one) for index, one in enumerate(value)]


def _uuid(value: object, path: str) -> UUID:
    try:
        return UUID(str(value))
    except ValueError as error:
        raise Invalid(said("is not a UUID"), path=path) from error


def _number(members: Mapping[str, Any], name: str, path: str) -> float:
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(said("expected a number"), path=f"{path}.{name}")
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid(said("is beyond every number that can be kept"), path=f"{path}.{name}") from error


def _minute(value: object, path: str) -> int:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minute = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minute <= 1440:
        raise Invalid(said("expected HH:MM of 00:00 to 24:00"), path=path)
    return minute
