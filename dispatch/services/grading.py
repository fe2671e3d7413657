"""What was measured while targets were in force, and the verdicts on it, for thousands at once.

Used for commands (`dispatch.services.verification`) and for the slots of Voke's own schedules. Nothing is written but
by `settle`, which changes only rows that are as they were read.

Edge cases (the concurrency policy):
- Nothing is locked while it is measured and judged. What is written is locked first, in the order of the keys and
  skipping what somebody else holds, and compared with what was read: two ticks at once write each verdict once.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Q

from dispatch.models import Graded, Proof, ProofHint, ProofSource
from dispatch.services.bulk import Among
from dispatch.services.soc_bounds import SocBounds, SocWanted, soc_bounds
from dispatch.verification import Aim, Around, Grade, Measurement, ProofRules, Window, grade, hint
from metering.rules import RollupRules, current_rules
from metering.selectors.meter_facts import MeterLimits, current_meter_limits
from metering.selectors.span_energy import EnergySpan, MeteredMean, metered_means
from metering.selectors.span_power import PowerMeans, PowerSpan, mean_powers
from plants.models import Alarm, AlarmOrigin, Asset, Plant, PlantState
from vcp import AssetType

_PV = (AssetType.FVE.value, AssetType.INVERTER.value)
_ALARMS_BACK = timedelta(days=7)
_DEFAULT_SOC = SocBounds(0.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class MeasuringRules:
    """How verdicts are made, and what metering expects of streams and meters."""

    proof: ProofRules
    rollups: RollupRules
    limits: MeterLimits


def measuring_rules(proof: ProofRules) -> MeasuringRules:
    """With metering's rules as this installation sets them."""
    return MeasuringRules(proof=proof, rollups=current_rules(), limits=current_meter_limits())


class Case(NamedTuple):
    """Something to be judged: a row's key, its plant, what was asked for, and when it was in force."""

    key: int
    plant_id: int
    aim: Aim
    window: Window


class Outcome(NamedTuple):
    """What is judged of a row; `grade` None = it was never in force, or not long enough."""

    key: int
    window: Window | None
    aim: Aim | None
    grade: Grade | None
    source: str
    samples: int
    hint: str


def not_in_force(key: int) -> Outcome:
    """The outcome of a target that there is nothing to judge of."""
    return Outcome(key, None, None, None, "", 0, "")


class _Facts(NamedTuple):
    connection_id: int | None
    has_battery: bool
    has_pv: bool
    max_import_kw: float | None
    max_export_kw: float | None
    soc: SocBounds
    time_config_id: int | None
    zone: str


def judge_cases(*, cases: Sequence[Case], rules: MeasuringRules) -> list[Outcome]:
    """Measure and judge; a constant number of statements for all of them on PostgreSQL."""
    if not cases:
        return []
    cases = [case._replace(aim=case.aim.within(case.window)) for case in cases]
    facts = _facts({case.plant_id for case in cases})
    spans = [_span(case, facts[case.plant_id]) for case in cases]
    powers = mean_powers(spans=spans, rules=rules.rollups)
    metered = _metered(cases, spans, rules)
    judged = []
    for case, power in zip(cases, powers, strict=True):
        found, source = _measurement(case, power, metered.get(case.key))
        judged.append((case, power, grade(case.aim, case.window, found, rules.proof), source, found.samples))
    missed = [case for case, _, verdict, _, _ in judged if verdict.verdict == Proof.OFF_TARGET]
    faults, bounds = _faults(missed), _soc_bounds(missed, facts)
    silent = _silent([case for case, _, verdict, _, _ in judged if verdict.verdict == Proof.NO_DATA], facts)
    return [
        Outcome(
            case.key,
            case.window,
            case.aim,
            verdict,
            source,
            samples,
            ProofHint.SITE_OFFLINE.value
            if case.key in silent
            else _hint(
                verdict, power, facts[case.plant_id], bounds.get(case.key), case.key in faults, rules.proof
            ),
        )
        for case, power, verdict, source, samples in judged
    ]


def _facts(plant_ids: Collection[int]) -> dict[int, _Facts]:
    """A plant of which no device is known must tell both battery and PV."""
    kinds: dict[int, set[str]] = defaultdict(set)
    assets = Asset.objects.filter(Among(plant_ids, of="plant_id")).order_by()
    for plant_id, kind in assets.values_list("plant_id", "asset_type"):
        kinds[plant_id].add(kind)
    found = {}
    for pk, link, capacity, peak, zone, enabled, time_config_id, *limits in Plant.objects.filter(
        Among(plant_ids)
    ).values_list(
        "pk", "connection_id", "capacity_kwh", "fve_peak_power_kwp", "time_zone", "config_enabled",
        "time_config_id", "max_import_kw", "max_export_kw", "soc_min_pct", "soc_max_pct",
    ):  # fmt: skip
        has_battery = AssetType.BESS.value in kinds[pk] or bool(capacity)
        has_pv = bool(peak) or any(kind in kinds[pk] for kind in _PV)
        nothing = not has_battery and not has_pv
        most_in, most_out, low, high = limits
        found[pk] = _Facts(
            link,
            has_battery or nothing,
            has_pv or nothing,
            most_in,
            most_out,
            SocBounds(
                _DEFAULT_SOC.low if low is None else low,
                _DEFAULT_SOC.high if high is None else high,
            ),
            time_config_id if enabled else None,
            zone,
        )
    return found


def _span(case: Case, facts: _Facts) -> PowerSpan:
    return PowerSpan(case.plant_id, case.window.from_at, case.window.to_at, facts.has_battery, facts.has_pv)


def _metered(
    cases: Sequence[Case], spans: Sequence[PowerSpan], rules: MeasuringRules
) -> dict[int, MeteredMean]:
    """Of the energy targets: what the meters tell, where they do."""
    energies = [
        (case, span) for case, span in zip(cases, spans, strict=True) if case.aim.interval is not None
    ]
    means = metered_means(
        spans=[EnergySpan(span, case.aim.own) for case, span in energies],
        rules=rules.rollups,
        limits=rules.limits,
    )
    return {case.key: mean for (case, _), mean in zip(energies, means, strict=True) if mean is not None}


def _measurement(case: Case, power: PowerMeans, metered: MeteredMean | None) -> tuple[Measurement, str]:
    """By the meter where it covers no less than the telemetry does; else by the telemetry."""
    mean_kw, known_s = (
        (power.own_kw, power.own_known_s) if case.aim.own else (power.grid_kw, power.grid_known_s)
    )
    if metered is not None and metered.known_s >= min(known_s, 0.9 * case.window.seconds):
        by_meter = Measurement(mean_kw=metered.mean_kw, known_s=metered.known_s, samples=metered.readings)
        return by_meter, ProofSource.METER.value
    found = Measurement(mean_kw=mean_kw, known_s=known_s, samples=power.samples)
    return found, ProofSource.TELEMETRY.value if power.samples or known_s else ""


def _hint(
    verdict: Grade,
    power: PowerMeans,
    facts: _Facts,
    soc: SocBounds | None,
    fault_open: bool,
    rules: ProofRules,
) -> str:
    if verdict.verdict != Proof.OFF_TARGET or verdict.off_by is None:
        return ""
    bounds = soc or facts.soc
    around = Around(
        grid_kw=power.grid_kw,
        soc_end_pct=power.soc_end_pct if facts.has_battery else None,
        soc_min_pct=bounds.low,
        soc_max_pct=bounds.high,
        max_import_kw=facts.max_import_kw,
        max_export_kw=facts.max_export_kw,
        fault_open=fault_open,
    )
    return hint(verdict.off_by, around, rules)


def _soc_bounds(cases: Sequence[Case], facts: Mapping[int, _Facts]) -> dict[int, SocBounds]:
    wanted = []
    for case in cases:
        known = facts[case.plant_id]
        wanted.append(
            SocWanted(
                case.key, known.soc, known.time_config_id, known.zone, case.window.from_at, case.window.to_at
            )
        )
    return soc_bounds(wanted)


def _faults(cases: Sequence[Case]) -> set[int]:
    """Of which an alarm about a device was open while they were in force."""
    if not cases:
        return set()
    low = min(case.window.from_at for case in cases)
    open_then = Q(cleared_at__isnull=True) | Q(cleared_at__gt=low, raised_at__gte=low - _ALARMS_BACK)
    rows = Alarm.objects.filter(
        Among({case.plant_id for case in cases}, of="plant_id"), open_then, origin=AlarmOrigin.VOKE
    ).exclude(device_id="")
    spans: dict[int, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for plant_id, raised_at, cleared_at in rows.order_by().values_list("plant_id", "raised_at", "cleared_at"):
        spans[plant_id].append((raised_at, cleared_at))
    return {
        case.key
        for case in cases
        if any(
            raised_at < case.window.to_at and (cleared_at is None or cleared_at > case.window.from_at)
            for raised_at, cleared_at in spans[case.plant_id]
        )
    }


def _silent(cases: Sequence[Case], facts: Mapping[int, _Facts]) -> set[int]:
    """Of whose plant nothing came since, while another plant was heard over the same connection."""
    if not cases:
        return set()
    newest = dict(
        PlantState.objects.filter(Among({case.plant_id for case in cases}, of="plant_id"))
        .order_by()
        .values_list("plant_id", "measured_at")
    )
    links = {link for case in cases if (link := facts[case.plant_id].connection_id) is not None}
    heard = dict(
        PlantState.objects.filter(plant__connection_id__in=links)
        .order_by()
        .values_list("plant__connection_id")
        .annotate(Max("measured_at"))
    )
    return {
        case.key
        for case in cases
        if (last := newest.get(case.plant_id)) is not None
        and last < case.window.from_at
        and (other := heard.get(facts[case.plant_id].connection_id)) is not None
        and other >= case.window.to_at
    }


# --- writing ----------------------------------------------------------------------------------------------------------


class Before(NamedTuple):
    """What a row was when it was read: written only while it still is."""

    key: int
    verdict: str
    looks: int
    samples: int
    first_verdict: str


_WRITTEN = (
    "verdict", "judged_at", "from_at", "to_at", "unit", "target", "measured", "off_by", "tolerance", "source",
    "coverage_pct", "samples", "hint", "again_at", "looks", "first_verdict",
)  # fmt: skip


def settle(
    model: type[Graded], *, outcomes: Sequence[tuple[Before, Outcome]], at: datetime, rules: ProofRules
) -> int:
    """Write down verdicts on rows that are as they were read; answers how many.

    A row that has a verdict keeps it unless more was measured since; then it is only put off to the next look.
    """
    by_key = {before.key: (before, outcome) for before, outcome in outcomes if _tells_more(before, outcome)}
    _put_off(model, [before for before, outcome in outcomes if not _tells_more(before, outcome)], at, rules)
    with transaction.atomic():
        rows = (
            model._default_manager.select_for_update(of=("self",), skip_locked=True)
            .filter(Among(by_key))
            .order_by("pk")
            .values_list("pk", "verdict", "looks")
        )
        mine = [pk for pk, verdict, looks in rows if (verdict, looks) == by_key[pk][0][1:3]]
        _update(model, [(pk, *_values(*by_key[pk], at=at, rules=rules)) for pk in mine])
    return len(mine)


def _tells_more(before: Before, outcome: Outcome) -> bool:
    return before.verdict == Proof.PENDING or outcome.samples > before.samples


def _put_off(model: type[Graded], rows: Sequence[Before], at: datetime, rules: ProofRules) -> None:
    """Nothing more came: look again later, or no more."""
    by_looks: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_looks[row.looks].append(row.key)
    for looks, keys in by_looks.items():
        model._default_manager.filter(Among(keys), looks=looks, again_at__lte=at).update(
            looks=looks + 1, again_at=rules.look_again_at(at, looks + 1)
        )


def _values(before: Before, outcome: Outcome, *, at: datetime, rules: ProofRules) -> tuple[Any, ...]:
    """In the order of `_WRITTEN`. Late measurements are looked for while they could change the verdict."""
    made = outcome.grade
    verdict = Proof.NOT_IN_FORCE.value if made is None else made.verdict
    looks = before.looks + (before.verdict != Proof.PENDING)
    open_yet = verdict in (Proof.NO_DATA, Proof.OFF_TARGET)
    changed = before.verdict not in (Proof.PENDING, verdict)
    window, aim = outcome.window, outcome.aim
    return (
        verdict,
        at,
        None if window is None else window.from_at,
        None if window is None else window.to_at,
        "" if aim is None else aim.unit,
        None if aim is None else aim.value,
        None if made is None else made.measured,
        None if made is None else made.off_by,
        None if made is None else made.tolerance,
        outcome.source,
        None if made is None else made.coverage_pct,
        outcome.samples,
        outcome.hint,
        rules.look_again_at(at, looks) if open_yet else None,
        looks,
        before.first_verdict or (before.verdict if changed else ""),
    )


def _update(model: type[Graded], rows: Sequence[tuple[Any, ...]]) -> None:
    """By one statement with an array for each column where the database has arrays."""
    if not rows:
        return
    meta = model._meta
    key = meta.pk
    if key is None:
        raise TypeError("a table without a key")
    table, column = meta.db_table, key.column
    if connection.vendor != "postgresql":
        assigned = ", ".join(f"{name} = %s" for name in _WRITTEN)
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {table} SET {assigned} WHERE {column} = %s",  # noqa: S608 - our own names
                [(*_adapted(row[1:]), row[0]) for row in rows],
            )
        return
    types = ["bigint", *(_plain_type(meta.get_field(name)) for name in _WRITTEN)]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    assigned = ", ".join(f"{name} = new.{name}" for name in _WRITTEN)
    statement = (
        f"UPDATE {table} SET {assigned} FROM unnest({arrays}) AS new(id, {', '.join(_WRITTEN)})"  # noqa: S608
        f" WHERE {table}.{column} = new.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(values) for values in zip(*rows, strict=True)])


def _adapted(values: Sequence[Any]) -> tuple[Any, ...]:
    """As the database's own column would take them."""
    return tuple(
        connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
        for value in values
    )


def _plain_type(field: Any) -> str:
    kind: str = field.db_type(connection) or ""
    return kind.partition("(")[0]
