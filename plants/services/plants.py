"""Plants and their assets: checked, saved, and announced (revision of the organisation, site revision of the plant)."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from plants.errors import DomainError, Invalid, Several
from plants.models import Asset, Plant, PlantState
from plants.services.organisations import bump_revision

# What config.topology and config.constraints are built from: a change must reach Voke.
SITE_FIELDS = (
    "max_import_kw", "max_export_kw", "max_charge_kw", "max_discharge_kw", "soc_min_pct", "soc_max_pct",
    "connection_id", "voke_uuid", "external_plant_id",
)  # fmt: skip


def save_plant(*, plant: Plant, at: datetime) -> Plant:
    """Insert or update a plant; raises `Several` with a field path each when something does not fit."""
    problems = _problems(plant)
    if problems:
        raise Several(problems)
    with transaction.atomic():
        before = Plant.objects.select_for_update().filter(pk=plant.pk).first()
        plant.updated_at = at
        if before is None:
            plant.created_at = at
            plant.save(force_insert=True)
            PlantState.objects.create(plant=plant)
        else:
            if any(getattr(before, name) != getattr(plant, name) for name in SITE_FIELDS):
                plant.site_revision = before.site_revision + 1
            else:
                plant.site_revision = before.site_revision
            plant.time_config_id = before.time_config_id  # versions are set by their own service only
            plant.save(force_update=True)
        bump_revision(organisation_id=plant.organisation_id)
    return plant


def _problems(plant: Plant) -> list[DomainError]:
    problems: list[DomainError] = []
    try:
        plant.full_clean()
    except ValidationError as error:
        for field, messages in error.message_dict.items():
            problems += [Invalid(text, path="" if field == "__all__" else field) for text in messages]
    if plant.time_zone not in available_timezones():
        problems.append(Invalid("is not an IANA time zone", path="time_zone"))
    if plant.connection is not None and plant.connection.organisation_id != plant.organisation_id:
        problems.append(Invalid("belongs to another organisation", path="connection"))
    return problems


def save_assets(*, plant: Plant, changed: Iterable[Asset], removed: Iterable[Asset], at: datetime) -> None:
    """Save and remove assets of one plant in one step; their topology is published again."""
    changed, removed = list(changed), list(removed)
    problems: list[DomainError] = []
    for asset in changed:
        asset.plant = plant
        try:
            asset.full_clean()
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                problems += [Invalid(text, path=f"assets[{asset.external_id}].{field}") for text in messages]
    if problems:
        raise Several(problems)
    if not changed and not removed:
        return
    with transaction.atomic():
        for asset in removed:
            asset.delete()
        for asset in changed:
            asset.save()
        Plant.objects.filter(pk=plant.pk).update(site_revision=F("site_revision") + 1, updated_at=at)
        bump_revision(organisation_id=plant.organisation_id)


def set_plant_dispatch(*, plant_id: int, enabled: bool) -> None:
    """Switch dispatch of one plant on or off."""
    Plant.objects.filter(pk=plant_id).update(dispatch_enabled=enabled)
