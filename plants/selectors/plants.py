"""Reading plants within an organisation, their assets, ratings and time-config blocks."""

import re
from collections.abc import Iterable, Set
from uuid import UUID

from django.db import connection as database

from plants.errors import NotFound
from plants.models import Asset, Plant, TimeConfigBlock
from plants.selectors.connections import successors_of
from plants.time_config import Block, Ratings
from vcp import AssetType

_USUAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def get_plant(*, organisation_id: int, external_plant_id: str) -> Plant:
    """One plant of the organisation; another organisation's plant is as unknown as one that does not exist."""
    plant = (
        Plant.objects.select_related("connection", "organisation")
        .filter(organisation_id=organisation_id, external_plant_id=external_plant_id)
        .first()
    )
    if plant is None:
        raise NotFound(f"no plant {external_plant_id!r}", path="plantId", code="PLANT_NOT_FOUND")
    return plant


def battery_ratings(plant: Plant) -> Ratings:
    """What the plant's batteries can do together: the site's own limits, else the sum of its assets' ratings."""
    rated = [
        asset.rated_power_kw
        for asset in Asset.objects.filter(plant=plant, asset_type=AssetType.BESS.value).order_by("pk")
    ]
    known = [power for power in rated if power is not None]
    total = sum(known) if known and len(known) == len(rated) else None
    return Ratings(
        charge_kw=plant.max_charge_kw if plant.max_charge_kw is not None else total,
        discharge_kw=plant.max_discharge_kw if plant.max_discharge_kw is not None else total,
        soc_min_pct=plant.soc_min_pct,
        soc_max_pct=plant.soc_max_pct,
    )


def blocks_of_version(version_id: int) -> list[Block]:
    """The blocks of one version in order of time."""
    rows = TimeConfigBlock.objects.filter(version_id=version_id).order_by("start_minute")
    return [
        Block(
            start_minute=row.start_minute,
            end_minute=row.end_minute,
            p_bat_min_kw=row.p_bat_min_kw,
            p_bat_max_kw=row.p_bat_max_kw,
            soc_min_pct=row.soc_min_pct,
            soc_max_pct=row.soc_max_pct,
        )
        for row in rows
    ]


def resolve_sites(*, connection_id: int, site_ids: Iterable[str]) -> dict[str, int]:
    """siteId -> plant id for the plants of this connection: by Voke's UUID first, then by externalPlantId.

    What a connection does not have is looked for on those that took over from it, the nearest first: events of its
    plants go on arriving on it until it is retired.
    """
    wanted = set(site_ids)
    found = _sites_of(connection_id, wanted)
    if len(found) < len(wanted):
        for successor_id in successors_of(connection_id):
            found = _sites_of(successor_id, wanted - found.keys()) | found
    return found


def _sites_of(connection_id: int, wanted: Set[str]) -> dict[str, int]:
    by_uuid = {site_id: parsed for site_id in wanted if (parsed := _as_uuid(site_id)) is not None}
    if database.vendor == "postgresql":
        found, known = _sites_at_once(connection_id, list(wanted), list(set(by_uuid.values())))
    else:
        plants = Plant.objects.filter(connection_id=connection_id)
        externals = plants.filter(external_plant_id__in=wanted).values_list("external_plant_id", "pk")
        uuids = plants.filter(voke_uuid__in=set(by_uuid.values())).values_list("voke_uuid", "pk")
        found, known = dict(externals), {str(voke_uuid): pk for voke_uuid, pk in uuids}
    return found | {site_id: known[parsed] for site_id, parsed in by_uuid.items() if parsed in known}


def _sites_at_once(
    connection_id: int, externals: list[str], uuids: list[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Plant ids by externalPlantId and by UUID: two arrays instead of a parameter for each of a thousand names."""
    table = database.ops.quote_name(Plant._meta.db_table)
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT external_plant_id, voke_uuid::text, id FROM {table} WHERE connection_id = %s"  # noqa: S608
            " AND (voke_uuid = ANY(%s::uuid[]) OR external_plant_id = ANY(%s::text[]))",
            [connection_id, uuids, externals],
        )
        rows = cursor.fetchall()
    wanted = set(externals)
    found = {external: pk for external, _, pk in rows if external in wanted}
    return found, {voke_uuid: pk for _, voke_uuid, pk in rows if voke_uuid is not None}


def _as_uuid(text: str) -> str | None:
    """The usual spelling of a UUID, None for anything else."""
    if _USUAL_UUID(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return None
