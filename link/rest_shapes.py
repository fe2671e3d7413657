"""Voke's REST answers as typed values: the one place that knows their members.

Interpretation: of `GET /vcp/sites/{id}/config` only the names of the outer members are public, of
`GET /vcp/sites/{id}/commands` only that it is a list over 24 hours; what is inside them is read as the stand-in writes
it. Lists come as `{data, meta}` in pages of at most 100; a bare list is taken too. A site's id is `siteId` or `id`. A
member that is absent is not told; one that is null tells that there is none. Members that we do not know, and
known ones of another shape than expected, are kept in `raw` and stop nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from link.rest_errors import RestGarbled
from plants.texts import storable_text
from vcp import Family, ProtocolError, parse_timestamp
from vcp.said import said

_MOST_ROWS = 5_000
_DEEPEST = 50
_CONFIG_MEMBERS: Mapping[str, Family] = {
    "topology": Family.CONFIG_TOPOLOGY,
    "constraints": Family.CONFIG_CONSTRAINTS,
    "fallback": Family.CONFIG_FALLBACK,
}
Members = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site as Voke lists it."""

    site_id: str
    external_plant_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The sites of the key. `total`: as Voke counts them; `complete` False = there are more than were read."""

    sites: list[Site] = field(default_factory=list)
    total: int = 0
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class ActiveSchedule:
    """The schedule that Voke runs at a site."""

    schedule_id: str
    status: str
    raw: Members


@dataclass(frozen=True, kw_only=True)
class VokeCommand:
    """A command as Voke knows it, pending or logged; "" and None = not told.

    `status`: Voke's verdict on it, `execution_status`: what came of it; both open vocabularies.
    """

    message_id: str
    correlation_id: str
    command_type: str
    status: str
    rejection_code: str
    execution_status: str
    received_at: datetime | None
    is_executing: bool | None
    raw: Members


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """What is in force at a site. `told`: the members that the answer had; `raw`: the whole of it."""

    site_id: str
    operating_mode: str
    mode_override: Members | None
    active_schedule: ActiveSchedule | None
    pending_commands: tuple[VokeCommand, ...]
    told: frozenset[str]
    raw: Members

    def config(self) -> dict[Family, Members | None]:
        """Site config by family, as far as it was told; None = Voke tells that it has none."""
        return {
            family: _object(self.raw[member])
            for member, family in _CONFIG_MEMBERS.items()
            if member in self.raw and (self.raw[member] is None or isinstance(self.raw[member], dict))
        }


def page_of(document: Any) -> tuple[list[Any], Members]:
    """The rows of one page of sites, and its meta data. Raises `RestGarbled`."""
    if isinstance(document, list):
        return document, {"total": len(document)}
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        return document["data"], _object(document.get("meta")) or {}
    raise RestGarbled(said("the answer is no list of sites"))


def site_of(row: Any) -> Site:
    """One site of a list. Raises `RestGarbled` when it has no id."""
    if not isinstance(row, dict):
        raise RestGarbled(said("a site is no object"))
    site_id = row.get("siteId") or row.get("id")
    if not isinstance(site_id, str):
        raise RestGarbled(said("a site has no id"))
    return Site(site_id=site_id, external_plant_id=_text(row, "externalPlantId"), name=_text(row, "name"))


def site_config_of(document: Any, *, site_id: str) -> SiteConfig:
    """The answer about one site. Raises `RestGarbled` when it is none, or about another site."""
    if not isinstance(document, dict):
        raise RestGarbled(said("the answer is no site config"))
    told_id = document.get("siteId", site_id)
    if not isinstance(told_id, str) or told_id.casefold() != site_id.casefold():
        raise RestGarbled(said("the answer is about another site"))
    raw = _storable(document)
    schedule = _object(raw.get("activeSchedule"))
    return SiteConfig(
        site_id=site_id,
        operating_mode=_text(raw, "operatingMode"),
        mode_override=_object(raw.get("modeOverride")),
        active_schedule=None if schedule is None else _schedule_of(schedule),
        pending_commands=tuple(_commands_of(raw.get("pendingCommands"))),
        told=frozenset(raw),
        raw=raw,
    )


def logged_commands_of(document: Any) -> list[VokeCommand]:
    """The commands of the last 24 hours, in Voke's order. Raises `RestGarbled` when it is no such list."""
    rows = document.get("commands") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise RestGarbled(said("the answer is no list of commands"))
    return _commands_of(_storable(rows))


def _schedule_of(members: Members) -> ActiveSchedule:
    return ActiveSchedule(
        schedule_id=_text(members, "scheduleId"), status=_text(members, "status"), raw=members
    )


def _commands_of(rows: Any) -> list[VokeCommand]:
    listed: Sequence[Any] = rows[:_MOST_ROWS] if isinstance(rows, list) else ()
    return [_command_of(row) for row in listed if isinstance(row, dict)]


def _command_of(row: Members) -> VokeCommand:
    executing = row.get("isExecuting")
    return VokeCommand(
        message_id=_text(row, "messageId"),
        correlation_id=_text(row, "correlationId"),
        command_type=_text(row, "commandType"),
        status=_text(row, "status"),
        rejection_code=_text(row, "rejectionCode"),
        execution_status=_text(row, "executionStatus"),
        received_at=_moment(row.get("receivedAt", row.get("acceptedAt"))),
        is_executing=executing if isinstance(executing, bool) else None,
        raw=row,
    )


def _object(value: Any) -> Members | None:
    return value if isinstance(value, dict) else None


def _text(row: Members, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    try:
        return parse_timestamp(value)
    except ProtocolError:
        return None


def _storable(value: Any, depth: int = 0) -> Any:
    """The same JSON as every database stores it: texts without what PostgreSQL refuses, no deeper than is sane."""
    if depth > _DEEPEST:
        raise RestGarbled(said("nested deeper than %(limit)s", limit=_DEEPEST))
    match value:
        case str():
            return storable_text(value)
        case list():
            return [_storable(one, depth + 1) for one in value]
        case dict():
            return {storable_text(name): _storable(one, depth + 1) for name, one in value.items()}
        case _:
            return value
