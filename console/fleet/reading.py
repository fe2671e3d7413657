"""Reading a fleet: what all plants do together, how many there are of each view, and one page of rows.

Each function is one statement, whatever the number of plants. Signs are the site's: grid + = import, battery + =
charging.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware

from console.fleet.asked import PAGE, ListAsked, Place, Sort, View
from console.fleet.facts_sql import Attention, FleetAsked, facts_of_plants
from dispatch.states import State

MOST_MATCHING = 100_000
MOST_EXPORTED = 10_000
MOST_NAMED = 40
_AT = ("measured_at", "latched_at", "override_until", "slot_at", "command_since")
_CONDITIONS: Mapping[View, str] = {
    View.ATTENTION: "",
    View.OFF_PLAN: "off_plan > 0",
    View.OVERRIDDEN: "override_until IS NOT NULL",
    View.ALARMS: "open_alarms > 0",
    View.NO_DATA: "live = 0",
    View.UNANSWERED: "command_state IS NOT NULL",
    View.LATCHED: "latch IS NOT NULL",
    View.ALL: "",
}
_KEYS: Mapping[Sort, str] = {
    Sort.ATTENTION: "-attention",
    Sort.NAME: "0",
    Sort.POWER: "CASE WHEN live = 1 AND grid_power_kw IS NOT NULL THEN -ABS(grid_power_kw) ELSE 1 END",
}


@dataclass(frozen=True, kw_only=True)
class PlantFacts:
    """One plant as the list shows it; powers in kW, None = not known.

    `over_kw`: above what is planned (negative: short of it), None = not judged; `off_plan`: 0 no, 1 off, 2 far off.
    `followed_kw`: what is held against the plan: the grid's power, or the plant's own. `planned_kw`: in the same sign.
    `override_until`, `latched_at`, `command_since`: None = there is none.
    """

    id: int
    external_plant_id: str
    name: str
    connection_id: int | None
    time_zone: str
    time_config_id: int | None
    base_mode: str
    soc_min_pct: float | None
    soc_max_pct: float | None
    max_import_kw: float | None
    max_export_kw: float | None
    max_charge_kw: float | None
    max_discharge_kw: float | None
    dispatch_enabled: bool
    grid_power_kw: float | None
    fve_power_kw: float | None
    battery_power_kw: float | None
    consumption_power_kw: float | None
    soc_pct: float | None
    measured_at: datetime | None
    data_quality: str | None
    mode: str
    live: bool
    latch: str | None
    latched_at: datetime | None
    order_id: int | None
    override_until: datetime | None
    slot_at: datetime | None
    sign: float | None
    amount_kw: float | None
    followed_kw: float | None
    open_alarms: int
    worst_alarm: int
    command_id: int | None
    command_state: str | None
    command_since: datetime | None
    over_kw: float | None
    off_plan: int
    attention: int
    sort_key: float

    @property
    def planned_kw(self) -> float | None:
        """What the running slot asks for, in the sign of the site."""
        return None if self.amount_kw is None or self.sign is None else self.sign * self.amount_kw

    @property
    def needs_person(self) -> bool:
        """Whether the list puts it forward."""
        return self.attention >= Attention.WARNING

    @property
    def is_unanswered(self) -> bool:
        """Whether its newest command met silence, rather than a refusal."""
        return self.command_state == State.UNCONFIRMED


_COLUMNS = tuple(PlantFacts.__dataclass_fields__)[:-1]
_SHOWN = {
    **{
        name: f"shown.{name}"
        for name in (
            "external_plant_id", "time_zone", "time_config_id", "base_mode", "soc_min_pct", "soc_max_pct",
            "max_import_kw", "max_export_kw", "max_charge_kw", "max_discharge_kw", "dispatch_enabled",
        )
    },
    "soc_pct": "newest.soc_pct",
    "data_quality": "newest.data_quality",
    "mode": "COALESCE(NULLIF(newest.mode, ''), NULLIF(newest.operating_mode, ''), '')",
}  # fmt: skip
"""What only the rows of a page are asked for."""
_JUDGED = ", ".join(name for name in _COLUMNS if name not in _SHOWN)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the plants do together, in kW, of those that are live; and how many there are of each view.

    `planned_kw` and `followed_kw`: of the `planned` plants that are live and have a slot running now.
    """

    plants: int
    live: int
    needing: int
    counts: Mapping[View, int]
    import_kw: float
    export_kw: float
    pv_kw: float
    charge_kw: float
    discharge_kw: float
    load_kw: float
    planned: int
    planned_kw: float
    followed_kw: float
    silent_commands: int

    @property
    def missing(self) -> int:
        """Plants that no total speaks for."""
        return self.plants - self.live

    @property
    def net_kw(self) -> float:
        """+ = taken from the grid, - = given to it."""
        return self.import_kw - self.export_kw


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the list and where those beside it begin; None = there is none."""

    rows: Sequence[PlantFacts]
    first: int
    before: Place | None
    after: Place | None

    @property
    def last(self) -> int:
        """The number of the last row, counted from 1."""
        return self.first + len(self.rows) - 1


_SUMS = {
    "import_kw": "CASE WHEN live = 1 AND grid_power_kw > 0 THEN grid_power_kw END",
    "export_kw": "CASE WHEN live = 1 AND grid_power_kw < 0 THEN -grid_power_kw END",
    "pv_kw": "CASE WHEN live = 1 AND fve_power_kw > 0 THEN fve_power_kw END",
    "charge_kw": "CASE WHEN live = 1 AND battery_power_kw > 0 THEN battery_power_kw END",
    "discharge_kw": "CASE WHEN live = 1 AND battery_power_kw < 0 THEN -battery_power_kw END",
    "load_kw": "CASE WHEN live = 1 AND consumption_power_kw > 0 THEN consumption_power_kw END",
    "planned_kw": "CASE WHEN live = 1 AND followed_kw IS NOT NULL THEN sign * amount_kw END",
    "followed_kw": "CASE WHEN live = 1 AND amount_kw IS NOT NULL THEN followed_kw END",
}
_COUNTED = {view: condition for view, condition in _CONDITIONS.items() if condition}
_WORDS_COUNTED = {
    "live": "live = 1",
    "needing": f"attention >= {Attention.WARNING.value}",
    "planned": "live = 1 AND followed_kw IS NOT NULL AND amount_kw IS NOT NULL",
    "silent_commands": f"command_state = '{State.UNCONFIRMED.value}'",
}
_SUMMED = ", ".join(
    [
        "COUNT(*) AS plants",
        *(f"COUNT(CASE WHEN {one} THEN 1 END) AS of_{n}" for n, one in enumerate(_COUNTED.values())),
        *(f"COUNT(CASE WHEN {one} THEN 1 END) AS count_{name}" for name, one in _WORDS_COUNTED.items()),
        *(f"COALESCE(SUM({one}), 0.0) AS sum_{name}" for name, one in _SUMS.items()),
    ]
)
_SUMMED_COLUMNS = 1 + len(_COUNTED) + len(_WORDS_COUNTED) + len(_SUMS)


def overview(asked: FleetAsked) -> Overview:
    """Of all plants. One statement."""
    rest = f"SELECT {_SUMMED} FROM judged"  # noqa: S608 - ours
    return _overview(next(_rows(*_selected(asked, None, rest))))


def listed(asked: FleetAsked, wanted: ListAsked) -> tuple[Overview, Page]:
    """The page of the list that is asked for, and what the plants that the filters keep do (not the view's).

    One statement: what is known of the plants is put together once for both.
    """
    found, page, _ = _listed(asked, wanted)
    return found, page


def listed_with_urgent(asked: FleetAsked, wanted: ListAsked) -> tuple[Overview, Page, list[PlantFacts]]:
    """`listed`, and beside it the plants that need a person most, the most urgent first. One statement.

    They are what the cards above the list name, at most MOST_NAMED.
    """
    urgent = (
        f"SELECT {_picked(_KEYS[Sort.ATTENTION])} FROM judged WHERE attention >= {Attention.WARNING.value}"  # noqa: S608
        f" ORDER BY sort_key, name, id LIMIT {MOST_NAMED}"
    )
    return _listed(asked, wanted, urgent)


def _listed(
    asked: FleetAsked, wanted: ListAsked, urgent: str = ""
) -> tuple[Overview, Page, list[PlantFacts]]:
    place, backwards = wanted.place, wanted.place is not None and wanted.place.backwards
    key, way = _KEYS[wanted.sort], "DESC" if backwards else "ASC"
    conditions = [_CONDITIONS[wanted.view]] if _CONDITIONS[wanted.view] else []
    values: list[Any] = []
    if place is not None:
        conditions.append(f"({key}, name, id) {'<' if backwards else '>'} (%s, %s, %s)")
        values += [place.key, place.name, place.plant_id]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f"sort_key {way}, name {way}, id {way}"
    # Put in parts: what is in both must come twice.
    parts = "SELECT 0 AS part, listed.* FROM listed"
    with_urgent = ""
    if urgent:
        with_urgent = f", urgent AS ({urgent})"
        parts += " UNION ALL SELECT 1 AS part, urgent.* FROM urgent"
    rest = (
        f", summed AS (SELECT {_SUMMED} FROM judged), listed AS (SELECT {_picked(key)} FROM judged {where}"  # noqa: S608 - ours
        f" ORDER BY {order} LIMIT {PAGE + 1}){with_urgent}, found AS ({parts})"
        f" SELECT summed.*, found.part, {_FACTS} FROM summed LEFT JOIN found ON 1 = 1 {_WITH_SHOWN}"
        f" ORDER BY found.part, found.sort_key {way}, found.name {way}, found.id {way}"
    )
    rows = list(_rows(*_selected(asked, wanted, rest, values)))
    of_part: dict[Any, list[PlantFacts]] = {0: [], 1: []}
    for row in rows:
        part, *facts = row[_SUMMED_COLUMNS:]
        if part is not None:
            of_part[part].append(_plant(facts))
    named = of_part[1][::-1] if backwards else of_part[1]
    return _overview(rows[0][:_SUMMED_COLUMNS]), _page(of_part[0], place), named


def _overview(row: Sequence[Any]) -> Overview:
    of_views = dict(zip(_COUNTED, row[1:], strict=False))
    numbers = dict(zip((*_WORDS_COUNTED, *_SUMS), row[1 + len(_COUNTED) :], strict=True))
    of_views |= {View.ALL: row[0], View.ATTENTION: numbers["needing"]}
    return Overview(plants=row[0], counts=of_views, **numbers)


def _page(rows: list[PlantFacts], place: Place | None) -> Page:
    more, shown = len(rows) > PAGE, rows[:PAGE]
    if place is not None and place.backwards:
        shown = shown[::-1]
        first = max(1, place.number - len(shown) + 1)
        return Page(
            rows=shown,
            first=first,
            before=_place(shown[0], first - 1, backwards=True) if more and shown else None,
            after=_place(shown[-1], first - 1 + len(shown)) if shown else None,
        )
    first = 1 if place is None else place.number + 1
    return Page(
        rows=shown,
        first=first,
        before=_place(shown[0], first - 1, backwards=True) if place is not None and shown else None,
        after=_place(shown[-1], first - 1 + len(shown)) if more else None,
    )


def _place(row: PlantFacts, number: int, *, backwards: bool = False) -> Place:
    return Place(key=row.sort_key, name=row.name, plant_id=row.id, number=number, backwards=backwards)


def plants_by_id(asked: FleetAsked, plant_ids: Sequence[int]) -> list[PlantFacts]:
    """These plants of the organisation, by name; at most a page of them. One statement."""
    ids = [int(one) for one in plant_ids][:PAGE]
    if not ids:
        return []
    only = f"plant.id IN ({', '.join(['%s'] * len(ids))})"
    statement, values = facts_of_plants(asked, only=only, params=tuple(ids))
    rest = f", found AS (SELECT {_picked('0')} FROM judged) {_THOSE} ORDER BY found.name, found.id"  # noqa: S608 - ours
    return [_plant(row) for row in _rows(f"{statement} {rest}", values)]


def matching_ids(asked: FleetAsked, wanted: ListAsked) -> list[int]:
    """The ids of all plants that the view and the filters keep, at most MOST_MATCHING. One statement."""
    if not _CONDITIONS[wanted.view]:  # nothing has to be judged
        only, params = _only(wanted)
        statement = (
            "SELECT plant.id FROM plants_plant plant LEFT JOIN plants_plantstate state ON state.plant_id = plant.id"  # noqa: S608 - ours
            f" WHERE plant.organisation_id = %s {only and f'AND {only}'} ORDER BY plant.id LIMIT {MOST_MATCHING}"
        )
        return [pk for (pk,) in _rows(statement, [asked.organisation_id, *params])]
    rest = f"SELECT id FROM judged {_where(wanted)} ORDER BY id LIMIT {MOST_MATCHING}"  # noqa: S608 - ours
    return [pk for (pk,) in _rows(*_selected(asked, wanted, rest))]


def exported(asked: FleetAsked, wanted: ListAsked) -> list[PlantFacts]:
    """All plants that the view and the filters keep, in the list's order, at most MOST_EXPORTED. One statement."""
    rest = (
        f", found AS (SELECT {_picked(_KEYS[wanted.sort])} FROM judged {_where(wanted)}"  # noqa: S608 - ours
        f" ORDER BY sort_key, name, id LIMIT {MOST_EXPORTED}) {_THOSE} ORDER BY found.sort_key, found.name, found.id"
    )
    return [_plant(row) for row in _rows(*_selected(asked, wanted, rest))]


def _picked(key: str) -> str:
    return f"{_JUDGED}, {key} AS sort_key"


_FACTS = ", ".join([*(_SHOWN.get(name, f"found.{name}") for name in _COLUMNS), "found.sort_key"])
_WITH_SHOWN = (
    "LEFT JOIN plants_plant shown ON shown.id = found.id"
    " LEFT JOIN plants_plantstate newest ON newest.plant_id = found.id"
)
_THOSE = f"SELECT {_FACTS} FROM found {_WITH_SHOWN}"  # noqa: S608 - ours


def _where(wanted: ListAsked) -> str:
    condition = _CONDITIONS[wanted.view]
    return f"WHERE {condition}" if condition else ""


def _selected(
    asked: FleetAsked, wanted: ListAsked | None, rest: str, values: Sequence[Any] = ()
) -> tuple[str, list[Any]]:
    """A statement about the plants that the filters keep, and its parameters."""
    only, params = _only(wanted)
    statement, first = facts_of_plants(asked, only=only, params=params)
    return f"{statement} {rest}", [*first, *values]


def _only(wanted: ListAsked | None) -> tuple[str, tuple[Any, ...]]:
    """The filters as a condition on `plant` and its state."""
    if wanted is None:
        return "", ()
    conditions: list[str] = []
    params: list[Any] = []
    if wanted.search:
        like = "ILIKE" if connection.vendor == "postgresql" else "LIKE"
        conditions.append(
            f"(plant.name {like} %s ESCAPE '!' OR plant.external_plant_id {like} %s ESCAPE '!')"
        )
        params += [_pattern(wanted.search)] * 2
    if wanted.connection_id is not None:
        conditions.append("plant.connection_id = %s")
        params.append(wanted.connection_id)
    if wanted.mode:
        conditions.append("COALESCE(NULLIF(state.mode, ''), NULLIF(state.operating_mode, '')) = %s")
        params.append(wanted.mode)
    return " AND ".join(conditions), tuple(params)


def _pattern(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"


def _plant(row: Sequence[Any]) -> PlantFacts:
    """SQLite knows neither instants nor booleans: what it answers is made what PostgreSQL answers."""
    facts = dict(zip((*_COLUMNS, "sort_key"), row, strict=True))
    for name in _AT:
        facts[name] = _instant(facts[name])
    facts["live"], facts["dispatch_enabled"] = bool(facts["live"]), bool(facts["dispatch_enabled"])
    facts["sort_key"] = float(facts["sort_key"])
    return PlantFacts(**facts)


def _instant(value: Any) -> datetime | None:
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    parsed = value if isinstance(value, datetime) else parse_datetime(value)
    return None if parsed is None else make_aware(parsed, connection.timezone)


def _rows(statement: str, values: Sequence[Any]) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        yield from cursor.fetchall()
