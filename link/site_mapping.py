"""Which of Voke's sites is which plant: `GET /vcp/sites` compared with a connection's plants, and its UUIDs taken over.

A site is a plant by its UUID where we know it, else by its externalPlantId within the connection. A UUID is written
where none was known. One that is known is never overwritten but by order, plant by plant; what could mean two things is
told and left to a person.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from link.rest import Site, Sites
from plants.models import Connection, Plant
from plants.services.site_ids import note_site_ids


class SiteOutcome(StrEnum):
    """What came of one site, or of a plant that is no site."""

    MAPPED = "MAPPED"
    """The plant's UUID was not known, or was to be replaced: now it is this site's."""
    KNOWN = "KNOWN"
    """The plant had this UUID already."""
    UNKNOWN_HERE = "UNKNOWN_HERE"
    """No plant of the connection has the site's ids."""
    UNKNOWN_THERE = "UNKNOWN_THERE"
    """A plant of the connection that Voke does not list."""
    AMBIGUOUS = "AMBIGUOUS"
    """Two sites say they are this plant, or one site is two plants, or its id is no UUID: a person decides."""
    DIFFERS = "DIFFERS"
    """The plant has another UUID: it stays unless it is ordered to be replaced."""


SETTLED = frozenset({SiteOutcome.MAPPED, SiteOutcome.KNOWN})


@dataclass(frozen=True, kw_only=True)
class SiteResult:
    """One line of the comparison. `plant_id` None = none was found; `site_id` "" = Voke lists no such site."""

    outcome: SiteOutcome
    site_id: str
    external_plant_id: str
    name: str
    plant_id: int | None = None
    note: str = ""


def map_sites(
    *,
    connection: Connection,
    sites: Sites,
    at: datetime,
    replace_ids: Collection[str] = (),
    dry_run: bool = False,
) -> list[SiteResult]:
    """Compare and write; a result for each listed site in Voke's order, then for each plant that is not listed.

    `replace_ids`: externalPlantIds whose UUID may be overwritten. `dry_run`: only tells what would come of it.
    Raises `Conflict` when a plant took one of the UUIDs meanwhile; nothing is written then.
    """
    found = list(_compare(connection, sites, frozenset(replace_ids)))
    mapped = {
        one.plant_id: UUID(one.site_id) for one in found if one.outcome is SiteOutcome.MAPPED and one.plant_id
    }
    if dry_run:
        return found
    named = [one.plant_id for one in found if one.external_plant_id in replace_ids and one.plant_id]
    written = note_site_ids(
        connection_id=connection.pk,
        organisation_id=connection.organisation_id,
        ids=mapped,
        may_replace=named,
        at=at,
    )
    return [
        replace(one, outcome=SiteOutcome.DIFFERS, note="the plant was changed meanwhile")
        if one.outcome is SiteOutcome.MAPPED and one.plant_id not in written
        else one
        for one in found
    ]


@dataclass(frozen=True, kw_only=True)
class _Known:
    plant_id: int
    external_plant_id: str
    uuid: UUID | None
    name: str


def _compare(connection: Connection, sites: Sites, replaced: frozenset[str]) -> Iterator[SiteResult]:
    rows = Plant.objects.filter(connection_id=connection.pk).order_by("external_plant_id")
    plants = [
        _Known(plant_id=pk, external_plant_id=external, uuid=uuid, name=name)
        for pk, external, uuid, name in rows.values_list("pk", "external_plant_id", "voke_uuid", "name")
    ]
    by_uuid = {plant.uuid: plant for plant in plants if plant.uuid is not None}
    by_external = {plant.external_plant_id: plant for plant in plants}
    listed = _Listed(sites.sites)
    seen: set[int] = set()
    for site in sites.sites:
        uuid = _uuid(site.site_id)
        holder = by_uuid.get(uuid) if uuid is not None else None
        named = by_external.get(site.external_plant_id)
        seen |= {plant.plant_id for plant in (holder, named) if plant is not None}
        yield _result(site, uuid, holder, named, listed, replaced)
    if sites.complete:
        for plant in plants:
            if plant.plant_id not in seen:
                yield SiteResult(
                    outcome=SiteOutcome.UNKNOWN_THERE,
                    site_id="",
                    external_plant_id=plant.external_plant_id,
                    name=plant.name,
                    plant_id=plant.plant_id,
                )


class _Listed:
    """How often each id is in the list."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.uuids = Counter(site.site_id.casefold() for site in sites)
        self.externals = Counter(site.external_plant_id for site in sites if site.external_plant_id)


def _result(
    site: Site,
    uuid: UUID | None,
    holder: _Known | None,
    named: _Known | None,
    listed: _Listed,
    replaced: frozenset[str],
) -> SiteResult:
    plant = holder or named
    line = SiteResult(
        outcome=SiteOutcome.AMBIGUOUS,
        site_id=site.site_id if uuid is None else str(uuid),
        external_plant_id=site.external_plant_id,
        name=site.name,
        plant_id=None if plant is None else plant.plant_id,
    )
    if plant is None:
        return replace(line, outcome=SiteOutcome.UNKNOWN_HERE)
    if uuid is None:
        return replace(line, note="the site's id is no UUID")
    if listed.uuids[site.site_id.casefold()] > 1 or listed.externals[site.external_plant_id] > 1:
        return replace(line, note="Voke lists it more than once")
    if holder is not None and named is not None and holder != named:
        if {holder.external_plant_id, named.external_plant_id} <= replaced:
            return replace(line, outcome=SiteOutcome.MAPPED, plant_id=named.plant_id)
        return replace(
            line, note=f"its UUID is {holder.external_plant_id}'s, its id {named.external_plant_id}'s"
        )
    if holder is not None:
        other = site.external_plant_id not in ("", holder.external_plant_id)
        note = (
            f"Voke calls it {site.external_plant_id}, it is {holder.external_plant_id} here" if other else ""
        )
        return replace(line, outcome=SiteOutcome.KNOWN, note=note)
    if plant.uuid is None or plant.external_plant_id in replaced:
        return replace(line, outcome=SiteOutcome.MAPPED)
    return replace(line, outcome=SiteOutcome.DIFFERS, note=f"the plant's UUID here is {plant.uuid}")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
