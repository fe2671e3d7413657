"""Reading plants within an organisation, their assets, ratings and time-config blocks."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from django.db import connection as database
from django.db.models import Subquery

from plants.errors import NotFound
from plants.models import Asset, Connection, Plant, TimeConfigBlock, TimeConfigVersion
from plants.selectors.connections import successors_of
from plants.time_config import Block, Ratings
from vcp import AssetType
from vcp.said import said

_USUAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def get_plant(*, organisation_id: int, external_plant_id: str) -> Plant:
    """One plant of the organisation; another organisation's plant is as unknown as one that does not exist."""
    plant = (
        Plant.objects.select_related("connection", "organisation")
        .filter(organisation_id=organisation_id, external_plant_id=external_plant_id)
        .first()
    )
    if plant is None:
        raise NotFound(
            said("no plant %(external_plant_id)s", external_plant_id=repr(external_plant_id)),
            path="plantId",
            code="PLANT_NOT_FOUND",
        )
    return plant


MOST_ASSETS = 500
MOST_ZONES = 500


def zone_of_organisation(organisation_id: int) -> str:
    """The zone in which most of its plants stand (of MOST_ZONES by name): its wall clock; UTC while it has none."""
    rows = Plant.objects.filter(organisation_id=organisation_id).order_by("name", "pk")
    zones = Counter(rows.values_list("time_zone", flat=True)[:MOST_ZONES])
    return min(zones, key=lambda zone: (-zones[zone], zone), default="UTC")


def plant_by_id(*, organisation_id: int, plant_id: int) -> Plant | None:
    """One plant of the organisation with its connection and newest sample; one query."""
    rows = Plant.objects.select_related("connection", "state").filter(organisation_id=organisation_id)
    return (
        rows.defer("connection__amqps_uri", "connection__api_key", "connection__signing_key")
        .filter(pk=plant_id)
        .first()
    )


def assets_of(*, plant_id: int) -> Sequence[Asset]:
    """A plant's assets by their ids; bounded."""
    return list(Asset.objects.filter(plant_id=plant_id).order_by("external_id")[:MOST_ASSETS])


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
    return _blocks(TimeConfigBlock.objects.filter(version_id=version_id).order_by("start_minute"))


def blocks_of_versions(version_ids: Sequence[int]) -> dict[int, list[Block]]:
    """The blocks of several versions, each in order of time; one query."""
    found: dict[int, list[TimeConfigBlock]] = {}
    for row in TimeConfigBlock.objects.filter(version_id__in=version_ids).order_by("start_minute"):
        found.setdefault(row.version_id, []).append(row)
    return {version_id: _blocks(rows) for version_id, rows in found.items()}


def blocks_in_force(*, plant_id: int, at: datetime) -> list[Block]:
    """The blocks as they stood at a moment, in order of time; none = there was no version yet. One query."""
    newest = TimeConfigVersion.objects.filter(plant_id=plant_id, made_at__lte=at).order_by("-number")
    return _blocks(
        TimeConfigBlock.objects.filter(version=Subquery(newest.values("pk")[:1])).order_by("start_minute")
    )


def _blocks(rows: Iterable[TimeConfigBlock]) -> list[Block]:
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
    uuids = {site_id: _as_uuid(site_id) for site_id in wanted}
    if database.vendor == "postgresql":
        return _sites_at_once(connection_id, uuids)
    plants = Plant.objects.filter(connection_id=connection_id)
    found = dict(plants.filter(external_plant_id__in=wanted).values_list("external_plant_id", "pk"))
    parsed = {one for one in uuids.values() if one is not None}
    known = {str(one): pk for one, pk in plants.filter(voke_uuid__in=parsed).values_list("voke_uuid", "pk")}
    return found | {site_id: known[one] for site_id, one in uuids.items() if one in known}


def _sites_at_once(connection_id: int, uuids: Mapping[str, str | None]) -> dict[str, int]:
    """{site: its UUID or None} -> plant ids: each site by an index, its name asked for where its UUID finds nothing.

    Not `= ANY`: with 500 sites of 100,000 plants the planner reads all plants, for every batch. A plant belongs to the
    organisation of its connection, so its name is found by the index that holds it unique.
    """
    plants, links = (database.ops.quote_name(one._meta.db_table) for one in (Plant, Connection))
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT asked.site, COALESCE("  # noqa: S608 - names of the models
            f"(SELECT id FROM {plants} WHERE connection_id = %s AND voke_uuid = asked.uuid),"
            f" (SELECT id FROM {plants} WHERE connection_id = %s AND external_plant_id = asked.site"
            f" AND organisation_id = (SELECT organisation_id FROM {links} WHERE id = %s)))"
            " FROM unnest(%s::text[], %s::uuid[]) AS asked (site, uuid)",
            [connection_id, connection_id, connection_id, list(uuids), list(uuids.values())],
        )
        rows = cursor.fetchall()
    return {site_id: pk for site_id, pk in rows if pk is not None}


def _as_uuid(text: str) -> str | None:
    """The usual spelling of a UUID, None for anything else."""
    if _USUAL_UUID(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return None
