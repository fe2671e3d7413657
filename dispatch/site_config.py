"""What Voke is told of a plant's site (topology, limits, fallback), and how two such payloads differ; no database.

Interpretation: the shapes of the payloads are not public; they live in `vcp.siteconfig` behind this mapping. What Voke
reports is compared member by member: a member that it does not tell is no difference, one that it tells as none is; a
known member that we did not set and it has is one too, since commands are checked against it. Members that we do not
know are Voke's own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from plants.models import Asset, Plant
from vcp import AssetType, Constraints, Fallback, Family, OperatingMode, Topology, TopologyAsset

# The topology goes first: constraints may name what it declares.
FAMILIES = (Family.CONFIG_TOPOLOGY, Family.CONFIG_CONSTRAINTS, Family.CONFIG_FALLBACK)
LOOKS = 2
"""So many looks in a row must show a difference before it counts as drift."""
Scalar = str | int | float | bool | None
Wire = Mapping[str, Any]
_TOLERANCE = 0.001
_LONGEST_TEXT = 200
_MOST_DIFFERENCES = 200


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One member that two payloads have differently; None = it is not there. `assets[B1].ratedPowerKw` for devices."""

    field: str
    before: Scalar
    after: Scalar

    def __str__(self) -> str:
        return f"{self.field}: {words(self.before)} -> {words(self.after)}"


def topology_of(assets: Sequence[Asset]) -> Topology:
    """What Voke resolves device commands against."""
    return Topology(
        assets=tuple(
            TopologyAsset(
                device_id=asset.external_id,
                asset_type=AssetType(asset.asset_type),
                name=asset.name or None,
                rated_power_kw=asset.rated_power_kw,
                capacity_kwh=asset.capacity_kwh,
            )
            for asset in assets
        )
    )


def constraints_of(plant: Plant) -> Constraints:
    """The site's limits; an unknown limit is left out."""
    return Constraints(
        max_import_kw=plant.max_import_kw,
        max_export_kw=plant.max_export_kw,
        soc_min_pct=plant.soc_min_pct,
        soc_max_pct=plant.soc_max_pct,
        max_charge_kw=plant.max_charge_kw,
        max_discharge_kw=plant.max_discharge_kw,
    )


def fallback_of(plant: Plant) -> Fallback:
    """What the site does when it hears nothing from us for so long."""
    return Fallback(mode=OperatingMode(plant.fallback_mode), after_s=plant.fallback_after_s)


def differences(before: Wire, after: Wire) -> list[Difference]:
    """What changed from one payload of a family to another, in order of the members' names."""
    old, new = flat(before), flat(after)
    return [
        Difference(field=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if not _same(old.get(name), new.get(name))
    ]


def drift(family: Family, *, ours: Wire, theirs: Wire | None) -> list[Difference]:
    """Where what Voke has (`after`) is not what it was sent (`before`); bounded. `theirs` None = it has nothing."""
    if theirs is None:
        found = [Difference(field=name, before=value, after=None) for name, value in flat(ours).items()]
    elif family is Family.CONFIG_TOPOLOGY:
        found = list(_topology_drift(ours, theirs))
    else:
        known = {one.encode_name for one in fields(_STRUCTS[family])}
        found = list(_members_drift(ours, theirs, known, lead=""))
    return sorted(found, key=lambda one: one.field)[:_MOST_DIFFERENCES]


_STRUCTS: Mapping[Family, type[Struct]] = {
    Family.CONFIG_CONSTRAINTS: Constraints,
    Family.CONFIG_FALLBACK: Fallback,
}
_OF_ASSETS = {one.encode_name for one in fields(TopologyAsset)} - {"deviceId"}


def flat(wire: Wire) -> dict[str, Scalar]:
    """A payload's members by their path; devices are named by their id, whatever their order."""
    members = {name: value for name, value in wire.items() if _is_scalar(value)}
    for device_id, asset in _assets(wire).items():
        members |= {
            f"assets[{device_id}].{name}": value
            for name, value in asset.items()
            if name != "deviceId" and _is_scalar(value)
        }
    return members


def _topology_drift(ours: Wire, theirs: Wire) -> Iterator[Difference]:
    if not isinstance(theirs.get("assets"), list):
        return
    mine, told = _assets(ours), _assets(theirs)
    for device_id in mine.keys() | told.keys():
        place = f"assets[{device_id}]"
        if device_id not in told:
            yield Difference(field=place, before=str(mine[device_id].get("assetType")), after=None)
        elif device_id not in mine:
            yield Difference(field=place, before=None, after=_cut(told[device_id].get("assetType")) or "?")
        else:
            yield from _members_drift(mine[device_id], told[device_id], _OF_ASSETS, lead=f"{place}.")


def _members_drift(ours: Wire, theirs: Wire, known: set[str], *, lead: str) -> Iterator[Difference]:
    for name in known & theirs.keys():
        mine, told = ours.get(name), theirs[name]
        if _is_scalar(told) and not _same(mine, told):
            yield Difference(field=f"{lead}{name}", before=mine, after=_cut(told))


def _assets(wire: Wire) -> dict[str, Wire]:
    listed = wire.get("assets")
    rows = listed if isinstance(listed, list) else []
    return {str(row["deviceId"]): row for row in rows if isinstance(row, dict) and row.get("deviceId")}


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _same(one: object, other: object) -> bool:
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=_TOLERANCE)  # type: ignore[arg-type]
    return type(one) is type(other) and one == other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cut(value: Any) -> Scalar:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    return value if _is_scalar(value) else None


def words(value: Scalar) -> str:
    """A value as people read it."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
