"""Readings of meters in the tables, and what the pure reference makes of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from metering.days import local_day_of
from metering.models import MeterDay, MeterHour, MeterQuarter, RegisterEvent, Stream
from metering.registers import QUARTER_US, Counted, MeterRules, Reading, count_energy
from metering.rules import RollupRules
from metering.selectors.meter_facts import MeterLimits
from metering.selectors.meter_readings import to_moment, to_us
from metering.services.due import last_ready_start
from metering.services.marks import mark_changed
from metering.services.meter_sums import ENERGIES
from metering.services.meters import MetersRolled, roll_up_meters
from plants.models import MeterReading, Plant
from plants.services.partitions import ensure_partitions
from plants.sql import insert_or_update

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""A Tuesday noon: no zone moves its clock."""
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
LATER = START + timedelta(days=2)
RULES = RollupRules(
    realtime_period_s=10.0,
    meter_period_s=60.0,
    grace=timedelta(seconds=60),
    chunk=50,
    budget_s=60.0,
    readings_kept=timedelta(days=400),
)
LIMITS = MeterLimits(power_max_kw=100.0, bridge=timedelta(hours=12))
NOTHING = MetersRolled(marks=0, quarters=0, more=False)
WORDS = {3: "GOOD", 2: "INTERPOLATED", 1: "STALE", 0: "NEW_WORD"}
VALUES = ("role", *ENERGIES, "readings", "covered_s", "coverage_pct", "quality_rank", "estimated", "events")
REGISTER_COLUMNS = tuple(f"{name.removesuffix('_kwh')}_register_kwh" for name in ENERGIES)


class Told(NamedTuple):
    """What a meter told: registers in the order of REGISTERS, the rest null."""

    after_s: float
    values: Sequence[float | None]
    rank: int = 3
    device: str = "M1"
    role: str = "GRID"
    missing: bool = False

    @property
    def at(self) -> datetime:
        return START + timedelta(seconds=self.after_s)


def counting(
    *, upto_s: int, kwh_per_minute: float = 0.5, first_kwh: float = 100.0, **changes: Any
) -> list[Told]:
    """A reading each minute from START on, with an import register that grows evenly."""
    return [
        Told(after_s=second, values=[first_kwh + kwh_per_minute * second / 60], **changes)
        for second in range(0, upto_s + 1, 60)
    ]


def store(plant_id: int, told: Sequence[Told]) -> None:
    """Store a batch with its marks, as ingest does: better quality wins, else the first."""
    best: dict[tuple[str, datetime], Told] = {}
    for one in told:
        known = best.get((one.device, one.at))
        if known is None or one.rank > known.rank:
            best[one.device, one.at] = one
    ensure_partitions(days={moment.date() for _, moment in best})
    with transaction.atomic():
        insert_or_update(
            MeterReading,
            [_row(plant_id, best[key]) for key in sorted(best)],
            key=("plant_id", "device_id", "reading_at"),
            better="new.quality_rank > old.quality_rank",
        )
        mark_changed(stream=Stream.METER, changed=[(plant_id, one.at) for one in told])


def _row(plant_id: int, one: Told) -> dict[str, Any]:
    values = [*one.values, *[None] * (len(ENERGIES) - len(one.values))]
    return {
        "plant_id": plant_id,
        "device_id": one.device,
        "reading_at": one.at,
        "received_at": START,
        "role": one.role,
        "data_quality": "MISSING" if one.missing else WORDS[one.rank],
        "quality_rank": one.rank,
        **dict(zip(REGISTER_COLUMNS, values, strict=True)),
    }


def roll_up(at: datetime = LATER) -> MetersRolled:
    return roll_up_meters(at=at, rules=RULES, limits=LIMITS)


def stored_readings(plant_id: int, device: str) -> list[Reading]:
    """What the history holds of a meter, in order of time."""
    rows = MeterReading.objects.filter(plant_id=plant_id, device_id=device).exclude(data_quality="MISSING")
    return [
        Reading(
            to_us(row.reading_at),
            row.quality_rank,
            row.role,
            tuple(getattr(row, name) for name in REGISTER_COLUMNS),
        )
        for row in rows.order_by("reading_at")
    ]


def reference(plant_id: int, device: str, *, power_kw: float, at: datetime, decided: Any = None) -> Counted:
    """All quarter-hours of a meter, from everything that the history holds, in one go."""
    readings = stored_readings(plant_id, device)
    low = min((one.at_us for one in readings), default=0) // QUARTER_US * QUARTER_US
    end = (
        to_us(last_ready_start(at=at, rules=RULES, stream=Stream.METER)) // QUARTER_US * QUARTER_US
        + QUARTER_US
    )
    high = min(end, max((one.at_us for one in readings), default=0) // QUARTER_US * QUARTER_US + QUARTER_US)
    rules = MeterRules(
        tolerances=[(0, 185_000_000)],
        bridge_us=LIMITS.bridge // timedelta(microseconds=1),
        power_kw=power_kw,
    )
    return count_energy(readings, low_us=low, high_us=max(low, high), rules=rules, decided=decided)


Tables = dict[str, dict[Any, dict[str, Any]]]


def expected(plant: Plant, *, power_kw: float, at: datetime = LATER, decided: Any = None) -> Tables:
    """The four tables of a plant by the pure reference."""
    found: Tables = {"quarters": {}, "hours": {}, "days": {}, "events": {}}
    devices = (
        MeterReading.objects.filter(plant=plant).order_by().values_list("device_id", flat=True).distinct()
    )
    for device in devices:
        counted = reference(plant.pk, device, power_kw=power_kw, at=at, decided=decided)
        rows = {}
        for start_us, one in counted.quarters.items():
            rows[to_moment(start_us)] = {
                "role": one.role,
                **dict(zip(ENERGIES, one.energies_kwh, strict=True)),
                "readings": one.readings,
                "covered_s": one.covered_s,
                "coverage_pct": one.covered_s / 9,
                "quality_rank": one.quality_rank,
                "estimated": one.estimated,
                "events": one.events,
            }
        found["quarters"] |= {(device, start): row for start, row in rows.items()}
        for name, key, length in (
            ("hours", lambda moment: moment.replace(minute=0), lambda _: 3600.0),
            ("days", lambda moment: local_day_of(moment, zone=plant.time_zone), lambda day: day.length_s),
        ):
            groups: dict[Any, list[dict[str, Any]]] = {}
            for start in sorted(rows):
                groups.setdefault(key(start), []).append(rows[start])
            for group, parts in groups.items():
                named = group.day if name == "days" else group
                found[name][device, named] = _summed(parts, length(group))
        found["events"] |= {
            (device, leap.pair.register, to_moment(leap.pair.after_us)): {
                "kind": leap.verdict.kind,
                "before_at": to_moment(leap.pair.before_us),
                "energy_kwh": leap.verdict.energy_kwh,
            }
            for leap in counted.leaps
        }
    return found


def _summed(parts: Sequence[Mapping[str, Any]], length_s: float) -> dict[str, Any]:
    def known(name: str) -> list[Any]:
        return [part[name] for part in parts if part[name] is not None]

    covered_s = sum(known("covered_s"))
    happened = {kind for part in parts for kind in part["events"].split(",")}
    return {
        "role": max(known("role")),
        **{name: sum(known(name)) if known(name) else None for name in ENERGIES},
        "readings": sum(known("readings")),
        "covered_s": covered_s,
        "coverage_pct": 100 * covered_s / length_s,
        "quality_rank": min(known("quality_rank"), default=None),
        "estimated": any(known("estimated")),
        "events": ",".join(kind for kind in ("RESET", "ROLLOVER", "EXCHANGE") if kind in happened),
    }


def tables(plant: Plant) -> Tables:
    """The four tables of a plant as they are."""
    return {
        **{
            name: {(row["device_id"], row[key]): {column: row[column] for column in VALUES} for row in rows}
            for name, key, rows in (
                ("quarters", "start_at", MeterQuarter.objects.filter(plant=plant).values()),
                ("hours", "start_at", MeterHour.objects.filter(plant=plant).values()),
                ("days", "day", MeterDay.objects.filter(plant=plant).values()),
            )
        },
        "events": {
            (row.device_id, row.register, row.after_at): {
                "kind": row.kind,
                "before_at": row.before_at,
                "energy_kwh": row.energy_kwh,
            }
            for row in RegisterEvent.objects.filter(plant=plant)
        },
    }


def assert_same(found: Tables, wanted: Tables) -> None:
    """The same rows, and in each the same values but for rounding."""
    for name in wanted:
        assert sorted(found[name]) == sorted(wanted[name]), name
        for key, row in wanted[name].items():
            for column, value in row.items():
                other = found[name][key][column]
                if isinstance(value, float) and other is not None:
                    assert abs(other - value) <= 1e-7 * max(1.0, abs(value)), (
                        name,
                        key,
                        column,
                        other,
                        value,
                    )
                else:
                    assert other == value, (name, key, column, other, value)
