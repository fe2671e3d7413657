"""Energy of a plant by interval and role of its meters, and the energy balance of a local day.

Sums are by role: a device that takes over from another with the same role goes on with its sums. What is not known
stays out of a sum; coverage, quality and the events say how far it can be trusted.

Interpretation: Voke names the role GRID for the meter at the grid connection and leaves other words open. So import and
export of the site are those of its GRID meters; only where none tells the register, those of all meters.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Count

from metering.days import local_day
from metering.models import MeterDay, MeterHour, MeterQuarter
from metering.registers import REGISTERS
from plants.errors import Invalid, NotFound
from plants.models import Plant
from vcp.said import said

PAGE_INTERVALS_MAX = 1000
"""Intervals on one page at most; each has a row for each role."""
METERS_MAX = 64
"""Meters of a plant that are looked at."""
LATELY = timedelta(days=35)
"""A meter that told a register within so long before a day is missed on that day."""
_WHOLE_PCT = 100 - 1e-9
GRID = "GRID"
_ENERGIES = tuple(f"{register.lower()}_kwh" for register in REGISTERS)
_FIELDS = (
    "device_id", "role", *_ENERGIES, "covered_s", "coverage_pct", "quality_rank", "estimated", "events",
)  # fmt: skip


class EnergyInterval(StrEnum):
    """How long the intervals are; a day is a local one."""

    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class RoleEnergy:
    """What the meters of one role counted within [start_at, end_at); energies None = nothing is known.

    `coverage_pct`: of the meter that is covered least, among those that told something there; `quality_rank`: of the
    worst reading that counts, 3 = GOOD; `events`: what happened to registers there.
    """

    start_at: datetime
    end_at: datetime
    role: str
    meters: int
    import_kwh: float | None
    export_kwh: float | None
    production_kwh: float | None
    charge_kwh: float | None
    discharge_kwh: float | None
    coverage_pct: float
    quality_rank: int | None
    estimated: bool
    events: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EnergyPage:
    """Rows in order of time and role; `next_from` begins the next page, None = this was the last."""

    rows: Sequence[RoleEnergy]
    next_from: datetime | None


@dataclass(frozen=True, kw_only=True)
class EnergyBalance:
    """What a site took, gave and made within a local day; None = no meter counts it, or the one that does is silent.

    `complete`: every meter covers the whole day, none that told something `LATELY` is missing without another of its
    role, nothing is estimated and no register fell or leapt.
    """

    day: date
    start_at: datetime
    end_at: datetime
    import_kwh: float | None
    export_kwh: float | None
    production_kwh: float | None
    charge_kwh: float | None
    discharge_kwh: float | None
    coverage_pct: float
    quality_rank: int | None
    estimated: bool
    events: tuple[str, ...]
    complete: bool


def energy_of_plant(
    *,
    plant_id: int,
    interval: EnergyInterval,
    from_at: datetime,
    to_at: datetime,
    limit: int = PAGE_INTERVALS_MAX,
) -> EnergyPage:
    """Energy by role of the intervals that begin within [from_at, to_at), at most `limit` intervals: one query.

    Raises Invalid for a time that ends before it begins, a naive time, and a limit out of bounds.
    """
    for path, moment in (("from_at", from_at), ("to_at", to_at)):
        if moment.tzinfo is None:
            raise Invalid(said("must have a time zone"), path=path)
    if to_at <= from_at:
        raise Invalid(said("must lie after the beginning"), path="to_at")
    if not 1 <= limit <= PAGE_INTERVALS_MAX:
        raise Invalid(said("must be between 1 and %(limit)s", limit=PAGE_INTERVALS_MAX), path="limit")
    found = _rows(plant_id, interval, from_at, to_at, limit)
    groups: dict[tuple[datetime, datetime, str], list[Mapping[str, Any]]] = defaultdict(list)
    starts = sorted({row["start_at"] for row in found})
    kept = set(starts[:limit])
    for row in found:
        if row["start_at"] in kept:
            groups[row["start_at"], row["end_at"], row["role"]].append(row)
    return EnergyPage(
        rows=[
            RoleEnergy(
                start_at=start, end_at=end, role=role, meters=len(rows), **_energies(rows), **_trust(rows)
            )
            for (start, end, role), rows in sorted(groups.items())
        ],
        next_from=starts[limit] if len(starts) > limit else None,
    )


def energy_balance(*, plant_id: int, day: date) -> EnergyBalance:
    """The energies of a plant's local day: three queries. Raises NotFound for an unknown plant."""
    zone = Plant.objects.filter(pk=plant_id).values_list("time_zone", flat=True).first()
    if zone is None:
        raise NotFound(said("no such plant"), path="plant_id")
    bounds = local_day(day, zone=zone)
    rows = list(
        MeterDay.objects.filter(plant_id=plant_id, day=day)
        .order_by("device_id")
        .values(*_FIELDS)[:METERS_MAX]
    )
    trust = _trust(rows)
    missed = _missed(plant_id, day, rows)
    whole = bool(rows) and not missed and trust["coverage_pct"] >= _WHOLE_PCT
    return EnergyBalance(
        day=day,
        start_at=bounds.start_at,
        end_at=bounds.end_at,
        **{
            **_energies(rows),
            "import_kwh": _of_site(rows, "import_kwh", missed),
            "export_kwh": _of_site(rows, "export_kwh", missed),
        },
        **trust,
        complete=whole and not trust["estimated"] and not trust["events"],
    )


def _rows(
    plant_id: int, interval: EnergyInterval, from_at: datetime, to_at: datetime, limit: int
) -> list[dict[str, Any]]:
    """Rows of the tables in order of time, whole intervals, of at most one interval more than `limit`."""
    most = (limit + 1) * METERS_MAX
    within = {"plant_id": plant_id, "start_at__gte": from_at, "start_at__lt": to_at}
    match interval:
        case EnergyInterval.DAY:
            days = MeterDay.objects.filter(**within).order_by("start_at", "device_id")
            return list(days.values("start_at", "end_at", *_FIELDS)[:most])
        case EnergyInterval.HOUR:
            rows = (
                MeterHour.objects.filter(**within)
                .order_by("start_at", "device_id")
                .values("start_at", *_FIELDS)
            )
            length = timedelta(hours=1)
        case EnergyInterval.QUARTER:
            rows = (
                MeterQuarter.objects.filter(**within)
                .order_by("start_at", "device_id")
                .values("start_at", *_FIELDS)
            )
            length = timedelta(minutes=15)
    return [{**row, "end_at": row["start_at"] + length} for row in rows[:most]]


def _energies(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _sum(row[name] for row in rows) for name in _ENERGIES}


def _of_site(
    rows: Sequence[Mapping[str, Any]], name: str, missed: Collection[tuple[str, str]]
) -> float | None:
    at_grid = _sum(row[name] for row in rows if row["role"] == GRID)
    if at_grid is not None or (GRID, name) in missed:
        return at_grid
    return _sum(row[name] for row in rows)


def _missed(plant_id: int, day: date, rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(role, energy) that a meter told lately, and on this day neither it nor another of its role does."""
    lately = MeterDay.objects.filter(plant_id=plant_id, day__gte=day - LATELY, day__lt=day).order_by()
    told = lately.values_list("device_id", "role").annotate(*(Count(name) for name in _ENERGIES))
    devices, roles = (
        {(row[key], name) for row in rows for name in _ENERGIES if row[name] is not None}
        for key in ("device_id", "role")
    )
    return {
        (role, name)
        for device_id, role, *days in told
        for name, count in zip(_ENERGIES, days, strict=True)
        if count and (device_id, name) not in devices and (role, name) not in roles
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _trust(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ranks = [row["quality_rank"] for row in rows if row["quality_rank"] is not None]
    return {
        "coverage_pct": min((row["coverage_pct"] for row in rows), default=0.0),
        "quality_rank": min(ranks, default=None),
        "estimated": any(row["estimated"] for row in rows),
        "events": tuple(sorted({kind for row in rows for kind in row["events"].split(",") if kind})),
    }
