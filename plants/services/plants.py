"""Plants and their assets: checked, saved, and announced (revision of the organisation, site revision of the plant)."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from plants.errors import DomainError, Invalid, Several
from plants.models import Asset, Connection, Plant, PlantState
from plants.services.organisations import bump_revision
from vcp.said import said

# What config.topology and config.constraints are built from: a change must reach Voke.
SITE_FIELDS = (
    "max_import_kw", "max_export_kw", "max_charge_kw", "max_discharge_kw", "soc_min_pct", "soc_max_pct",
    "connection_id", "voke_uuid", "external_plant_id", "fallback_mode", "fallback_after_s",
)  # fmt: skip

TOPOLOGY_FIELDS = ("external_id", "asset_type", "name", "rated_power_kw", "capacity_kwh")


def save_plant(*, plant: Plant, at: datetime, changed: Collection[str] | None = None) -> Plant:
    """Insert or update a plant; raises `Several` with a field path each when something does not fit.

    Of a stored plant only what differs is written. `changed` names the fields that the caller set: every other one is
    taken from the database, so that a form that was opened before a takeover does not undo it. The dispatch switch and
    the version of the time config have services of their own.
    """
    with transaction.atomic():
        # No key: rows that name the plant (journal, readings) need not wait. A new external id takes that lock itself.
        before = Plant.objects.select_for_update(of=("self",), no_key=True).filter(pk=plant.pk).first()
        if before is not None:
            _keep_unchanged(plant, before, changed)
        problems = _problems(plant)
        if problems:
            raise Several(problems)
        plant.updated_at = at
        if before is None:
            plant.created_at = at
            plant.save(force_insert=True)
            PlantState.objects.create(plant=plant)
        else:
            _save_changes(plant, before)
        bump_revision(organisation_id=plant.organisation_id)
    return plant


_OTHERS = frozenset({"id", "time_config", "site_revision", "dispatch_enabled", "created_at", "updated_at"})


def _keep_unchanged(plant: Plant, before: Plant, changed: Collection[str] | None) -> None:
    if before.organisation_id != plant.organisation_id:
        raise Several([Invalid(said("a plant stays with its organisation"), path="organisation")])
    for field in Plant._meta.concrete_fields:
        if field.name in _OTHERS or (changed is not None and field.name not in changed):
            setattr(plant, field.attname, getattr(before, field.attname))


def _save_changes(plant: Plant, before: Plant) -> None:
    differing = [
        field.name
        for field in Plant._meta.concrete_fields
        if getattr(before, field.attname) != getattr(plant, field.attname)
    ]
    if any(getattr(before, name) != getattr(plant, name) for name in SITE_FIELDS):
        plant.site_revision = before.site_revision + 1
        differing.append("site_revision")
    plant.save(force_update=True, update_fields=differing)


def _problems(plant: Plant) -> list[DomainError]:
    problems: list[DomainError] = []
    try:
        plant.full_clean()
    except ValidationError as error:
        for field, messages in error.message_dict.items():
            problems += [Invalid(text, path="" if field == "__all__" else field) for text in messages]
    if not _is_zone(plant.time_zone):
        problems.append(Invalid(said("is not an IANA time zone"), path="time_zone"))
    if plant.connection_id is not None:
        problems += _connection_problems(plant.connection_id, plant.organisation_id)
    return problems


def _connection_problems(connection_id: int, organisation_id: int) -> list[DomainError]:
    # Not by the connection itself: reading it would decrypt its secrets.
    own = Connection.objects.filter(pk=connection_id, organisation_id=organisation_id)
    found = own.values_list("succeeded_by", flat=True)[:1]
    if not found:
        return [Invalid(said("belongs to another organisation"), path="connection")]
    if found[0] is not None:
        text = said("another connection took over from it")
        return [Invalid(text, path="connection", code="CONNECTION_SUCCEEDED")]
    return []


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, not a relative path, a directory
        return False
    return True


def save_assets(*, plant: Plant, changed: Iterable[Asset], removed: Iterable[Asset], at: datetime) -> None:
    """Save and remove assets of one plant in one step; a topology that became another is published again.

    Raises `Several` with paths `assets[ID].field`. An id that is removed may be given to a new asset in the same step.
    """
    changed, removed = list(changed), list(removed)
    with transaction.atomic():
        before = {asset.pk: asset for asset in Asset.objects.select_for_update().filter(plant=plant)}
        problems = [*_strangers([*changed, *removed], before), *_repeated(changed)]
        if problems:
            raise Several(problems)
        differs = bool(removed) or any(_differs(asset, before) for asset in changed)
        for asset in removed:
            asset.delete()
        _save_all(plant, changed)
        if differs:
            Plant.objects.filter(pk=plant.pk).update(site_revision=F("site_revision") + 1, updated_at=at)
            bump_revision(organisation_id=plant.organisation_id)


def _strangers(assets: Iterable[Asset], known: Mapping[int, Asset]) -> Iterator[DomainError]:
    for asset in assets:
        if asset.pk is not None and asset.pk not in known:
            yield Invalid(said("is not an asset of this plant"), path=f"assets[{asset.external_id}]")


def _repeated(assets: Sequence[Asset]) -> Iterator[DomainError]:
    for external_id, count in Counter(asset.external_id for asset in assets).items():
        if count > 1:
            path = f"assets[{external_id}].external_id"
            yield Invalid(said("two assets of a plant have the same id"), path=path)


def _differs(asset: Asset, before: Mapping[int, Asset]) -> bool:
    old = before.get(asset.pk)
    return old is None or any(getattr(old, name) != getattr(asset, name) for name in TOPOLOGY_FIELDS)


def _save_all(plant: Plant, assets: Iterable[Asset]) -> None:
    problems: list[DomainError] = []
    for asset in assets:
        asset.plant = plant
        try:
            asset.full_clean()
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                problems += [Invalid(text, path=f"assets[{asset.external_id}].{field}") for text in messages]
        if not problems:
            asset.save()
    if problems:
        raise Several(problems)


def set_plant_dispatch(*, plant_id: int, enabled: bool) -> None:
    """Switch dispatch of one plant on or off."""
    Plant.objects.filter(pk=plant_id).update(dispatch_enabled=enabled)
