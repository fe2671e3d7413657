"""What stands against a day plan, found before it is published: each finding names slot, limit, by how much, and the
nearest value that fits. Pure.

How a site's target becomes a battery's power: with `include_consumption` the target is the grid's, so what the battery
must do depends on a consumption and a sun that nobody knows beforehand. What it must do at least (all consumption and
all PV helping) decides an ERROR, what it does when nothing helps decides a WARNING. Where neither consumption nor PV
exists both are the same.

Interpretation: Voke's constraints are those of the grid connection; a target without consumption is judged by them too,
as `dispatch.rules` does for a single setpoint.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from math import floor, inf
from zoneinfo import ZoneInfo

from metering.days import local_day
from plants.time_config import Block, Window, windows_of_day
from schedules.conflict_texts import battery_bound, over_battery, over_site, unhelped_battery
from schedules.slots import PlannedSlot, Span, grid_of_day, span_text
from vcp import Direction, SetpointType
from vcp.said import Said, said

_NEARLY = 1e-6
_INSTANT = timedelta(microseconds=1)


class Severity(StrEnum):
    """ERROR: not published. WARNING: published when a person says so."""

    ERROR = "ERROR"
    WARNING = "WARNING"


class Code(StrEnum):
    """What stands against a slot."""

    OUTSIDE_DAY = "OUTSIDE_DAY"
    NOT_ON_GRID = "NOT_ON_GRID"
    OVERLAP = "OVERLAP"
    PAST = "PAST"
    SITE_LIMIT = "SITE_LIMIT"
    TIME_CONFIG = "TIME_CONFIG"
    PLANT_LIMIT = "PLANT_LIMIT"
    ASSET_RATING = "ASSET_RATING"
    SOC_WINDOW = "SOC_WINDOW"
    OTHER_PLAN = "OTHER_PLAN"
    OVERRIDE = "OVERRIDE"
    LATCH = "LATCH"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding. `slot`: its index in the plan, None = the plan as a whole; `limit` and `over_by` are in `unit`.

    `nearest` is the highest value of the slot that fits, in `nearest_unit` (the slot's own, kW or kWh) and rounded
    down, so that what is shown fits when it is typed.
    """

    slot: int | None
    code: Code
    severity: Severity
    text: Said
    limit: float | None = None
    over_by: float | None = None
    nearest: float | None = None
    unit: str = ""
    nearest_unit: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """What is known of the plant; None = no such limit known, `capacity_kwh` 0 = no battery.

    `zone` is the plan's: its day and slots are judged by it. The time config follows the plant's own wall clock
    (`config_zone`, "" = the same), which may have another zone since the plan was made.
    """

    zone: str
    slot_minutes: int
    config_zone: str = ""
    max_import_kw: float | None = None
    max_export_kw: float | None = None
    max_charge_kw: float | None = None
    max_discharge_kw: float | None = None
    battery_kw: float | None = None
    pv_kw: float = 0.0
    has_load: bool = True
    capacity_kwh: float = 0.0
    soc_min_pct: float = 0.0
    soc_max_pct: float = 100.0
    blocks: Sequence[Block] = ()


@dataclass(frozen=True, kw_only=True)
class Around:
    """What else is in force. `soc_pct`: the charge when the first slot begins that is not over, None = not known."""

    at: datetime
    soc_pct: float | None = None
    other_plans: Sequence[tuple[str, Span]] = ()
    overrides: Sequence[tuple[str, Span]] = ()
    latch: str = ""


def check_plan(slots: Sequence[PlannedSlot], *, day: date, facts: PlanFacts, around: Around) -> list[Problem]:
    """Every finding, by slot and then in the order of `Code`; an empty list = nothing stands against it."""
    problems = list(_check_shape(slots, day, facts))
    if not problems:
        problems += _check_limits(slots, day, facts)
        problems += _check_soc(slots, day, facts, around)
    problems += _check_around(slots, facts, around)
    order = {code: place for place, code in enumerate(Code)}
    return sorted(problems, key=lambda one: (-1 if one.slot is None else one.slot, order[one.code]))


def blocks_publication(problems: Iterable[Problem]) -> bool:
    """Whether one of them is an ERROR."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def news_of(problems: Iterable[Problem]) -> list[Problem]:
    """Without the slots that are over: that needs no telling and nobody's consent, they are left out."""
    return [one for one in problems if one.code is not Code.PAST or one.slot is None]


def _check_shape(slots: Sequence[PlannedSlot], day: date, facts: PlanFacts) -> Iterator[Problem]:
    bounds = local_day(day, zone=facts.zone)
    grid = {
        (span.start_at, span.end_at) for span in grid_of_day(day, zone=facts.zone, minutes=facts.slot_minutes)
    }
    for index, slot in enumerate(slots):
        if slot.start_at < bounds.start_at or slot.end_at > bounds.end_at:
            yield _error(
                index,
                Code.OUTSIDE_DAY,
                said("lies outside of %(day)s on the plant's clock", day=day.isoformat()),
            )
        elif (slot.start_at, slot.end_at) not in grid:
            yield _error(
                index,
                Code.NOT_ON_GRID,
                said("is not one of the day's slots of %(minutes)s minutes", minutes=facts.slot_minutes),
            )
    for index, (before, slot) in enumerate(pairwise(slots), start=1):
        if slot.start_at < before.end_at:
            text = said("begins before %(span)s ends", span=span_text(before, zone=facts.zone))
            yield _error(index, Code.OVERLAP, text)


def _error(slot: int, code: Code, text: Said) -> Problem:
    return Problem(slot=slot, code=code, severity=Severity.ERROR, text=text)


@dataclass(frozen=True, kw_only=True)
class _Limit:
    code: Code
    kw: float
    whose: Said


def _check_limits(slots: Sequence[PlannedSlot], day: date, facts: PlanFacts) -> Iterator[Problem]:
    windows = windows_of(facts, day)
    for index, slot in enumerate(slots):
        yield from _check_site(index, slot, facts)
        limit = _tightest(slot, facts, windows)
        if limit is not None:
            yield from _check_battery(index, slot, facts, limit)


def windows_of(facts: PlanFacts, day: date) -> list[Window]:
    """The time config's blocks on the plan's day; in another zone the day may touch two or three of its days."""
    config_zone = ZoneInfo(facts.config_zone or facts.zone)
    bounds = local_day(day, zone=facts.zone)
    first, last = (at.astimezone(config_zone).date() for at in (bounds.start_at, bounds.end_at - _INSTANT))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [window for one in days for window in windows_of_day(facts.blocks, day=one, zone=config_zone)]


def _check_site(index: int, slot: PlannedSlot, facts: PlanFacts) -> Iterator[Problem]:
    limit = facts.max_import_kw if slot.direction is Direction.IMPORT else facts.max_export_kw
    if limit is None or slot.power_kw <= limit + _NEARLY:
        return
    text = over_site(slot.direction, power_kw=slot.power_kw, limit_kw=limit)
    yield _over(index, slot, Code.SITE_LIMIT, Severity.ERROR, text, limit_kw=limit, nearest_kw=limit)


def _tightest(slot: PlannedSlot, facts: PlanFacts, windows: Sequence[Window]) -> _Limit | None:
    """The lowest of what block, plant and battery allow in the slot's direction; None = no battery limit known."""
    charging = slot.direction is Direction.IMPORT
    limits = []
    for window in windows:
        if window.start_at < slot.end_at and slot.start_at < window.end_at:
            kw = max(0.0, window.block.p_bat_max_kw if charging else -window.block.p_bat_min_kw)
            limits.append(_Limit(code=Code.TIME_CONFIG, kw=kw, whose=said("the time config at that time")))
    plant_kw = facts.max_charge_kw if charging else facts.max_discharge_kw
    if plant_kw is not None:
        limits.append(_Limit(code=Code.PLANT_LIMIT, kw=plant_kw, whose=said("the plant")))
    if facts.battery_kw is not None:
        limits.append(
            _Limit(code=Code.ASSET_RATING, kw=facts.battery_kw, whose=said("the batteries' rating"))
        )
    return min(limits, key=lambda one: one.kw, default=None)


def _check_battery(index: int, slot: PlannedSlot, facts: PlanFacts, limit: _Limit) -> Iterator[Problem]:
    asked, help_kw = slot.power_kw, _help_kw(slot, facts)
    if asked <= limit.kw + _NEARLY:
        return
    charging = slot.direction is Direction.IMPORT
    if help_kw is not None and asked - help_kw > limit.kw + _NEARLY:
        text = over_battery(
            charging=charging,
            at_least=bool(help_kw),
            power_kw=asked - help_kw,
            whose=limit.whose,
            limit_kw=limit.kw,
        )
        # What sun may carry is no reason to ask more of the grid connection than it takes.
        site_kw = facts.max_import_kw if charging else facts.max_export_kw
        nearest = min(limit.kw + help_kw, inf if site_kw is None else site_kw)
        yield _over(index, slot, limit.code, Severity.ERROR, text, limit_kw=limit.kw, nearest_kw=nearest)
        return
    text = unhelped_battery(charging=charging, power_kw=asked, whose=limit.whose, limit_kw=limit.kw)
    yield _over(index, slot, limit.code, Severity.WARNING, text, limit_kw=limit.kw, nearest_kw=limit.kw)


def _help_kw(slot: PlannedSlot, facts: PlanFacts) -> float | None:
    """How much of the target may come from elsewhere than the battery; None = there is no bound.

    Sun carries an export and never an import, consumption an import that it counts in and never an export.
    """
    if slot.direction is Direction.EXPORT:
        return facts.pv_kw
    return None if slot.include_consumption and facts.has_load else 0.0


def _over(
    index: int,
    slot: PlannedSlot,
    code: Code,
    severity: Severity,
    text: Said,
    *,
    limit_kw: float,
    nearest_kw: float,
) -> Problem:
    """A power that is too high; the numbers are told in the slot's own unit."""
    factor = 1.0 if slot.type is SetpointType.POWER else slot.hours
    return Problem(
        slot=index,
        code=code,
        severity=severity,
        text=text,
        limit=limit_kw * factor,
        over_by=slot.value - nearest_kw * factor,
        nearest=_rounded_down(nearest_kw * factor),
        unit=_unit(slot),
        nearest_unit=_unit(slot),
    )


def _unit(slot: PlannedSlot) -> str:
    return "kW" if slot.type is SetpointType.POWER else "kWh"


def _rounded_down(value: float) -> float:
    """To hundredths, as it is shown."""
    return floor(value * 100 + _NEARLY) / 100


def expected_soc(
    slots: Sequence[PlannedSlot],
    *,
    day: date,
    facts: PlanFacts,
    soc_pct: float,
    at: datetime | None = None,
) -> list[tuple[float, float]]:
    """(SoC in % at the end of each slot, how much of it in % lies beyond the slot's window), without losses.

    `soc_pct` is the charge at `at`, None = when the first slot begins: of a slot that runs then only the rest counts,
    and what is over changes nothing. The battery carries the whole target, and stands still between slots; at a bound
    it stops, so that the slots after it are judged from there.
    """
    if facts.capacity_kwh <= 0:
        return []
    windows = windows_of(facts, day)
    found, pct = [], soc_pct
    for slot in slots:
        hours = _hours_left(slot, at)
        if hours <= 0:
            found.append((pct, 0.0))
            continue
        sign = 1.0 if slot.direction is Direction.IMPORT else -1.0
        low, high = _soc_window(slot, facts, windows)
        reached = pct + sign * 100 * slot.power_kw * hours / facts.capacity_kwh
        # A battery that is beyond the window already is only not driven further out.
        pct_end = max(min(low, pct), min(max(high, pct), reached))
        found.append((pct_end, reached - pct_end))
        pct = pct_end
    return found


def _hours_left(slot: PlannedSlot, at: datetime | None) -> float:
    return slot.hours if at is None else (slot.end_at - max(slot.start_at, at)).total_seconds() / 3600


def soc_windows(spans: Sequence[Span], *, day: date, facts: PlanFacts) -> list[tuple[float, float]]:
    """Within which charge (%) the battery may be in each span of the day."""
    windows = windows_of(facts, day)
    return [_soc_window(span, facts, windows) for span in spans]


def _soc_window(slot: Span, facts: PlanFacts, windows: Sequence[Window]) -> tuple[float, float]:
    low, high = facts.soc_min_pct, facts.soc_max_pct
    for window in windows:
        if window.start_at < slot.end_at and slot.start_at < window.end_at:
            low, high = max(low, window.block.soc_min_pct), min(high, window.block.soc_max_pct)
    return low, max(low, high)


def _check_soc(
    slots: Sequence[PlannedSlot], day: date, facts: PlanFacts, around: Around
) -> Iterator[Problem]:
    start_pct = around.soc_pct if around.soc_pct is not None else (facts.soc_min_pct + facts.soc_max_pct) / 2
    sure = around.soc_pct is not None and not facts.has_load and facts.pv_kw == 0
    severity = Severity.ERROR if sure else Severity.WARNING
    expected = expected_soc(slots, day=day, facts=facts, soc_pct=start_pct, at=around.at)
    for index, (slot, (pct, beyond)) in enumerate(zip(slots, expected, strict=False)):
        if abs(beyond) <= _NEARLY:
            continue
        lacking_kwh = abs(beyond) * facts.capacity_kwh / 100
        hours = _hours_left(slot, around.at)
        # An energy is that of the whole slot, of which the rest is what counts.
        too_much = lacking_kwh / (hours if slot.type is SetpointType.POWER else hours / slot.hours)
        assumed_pct = start_pct if around.soc_pct is None else None
        text = battery_bound(full=beyond > 0, pct=pct, lacking_kwh=lacking_kwh, assumed_pct=assumed_pct)
        yield Problem(
            slot=index,
            code=Code.SOC_WINDOW,
            severity=severity,
            text=text,
            limit=pct,
            over_by=abs(beyond),
            nearest=_rounded_down(max(0.0, slot.value - too_much)),
            unit="%",
            nearest_unit=_unit(slot),
        )


def _check_around(slots: Sequence[PlannedSlot], facts: PlanFacts, around: Around) -> Iterator[Problem]:
    if around.latch:
        text = said(
            "the plant is under an emergency %(latch)s: nothing is sent until it is released",
            latch=around.latch,
        )
        yield Problem(slot=None, code=Code.LATCH, severity=Severity.WARNING, text=text)
    if slots and all(slot.end_at <= around.at for slot in slots):
        yield Problem(slot=None, code=Code.PAST, severity=Severity.ERROR, text=said("all of it is over"))
    severities = {Code.OTHER_PLAN: Severity.ERROR, Code.OVERRIDE: Severity.WARNING}
    others: Mapping[Code, Sequence[tuple[str, Span]]] = {
        Code.OTHER_PLAN: around.other_plans,
        Code.OVERRIDE: around.overrides,
    }
    for index, slot in enumerate(slots):
        if slot.end_at <= around.at:
            yield Problem(
                slot=index,
                code=Code.PAST,
                severity=Severity.WARNING,
                text=said("is over and not carried out"),
            )
            continue
        for code, named in others.items():
            for name, span in named:
                if span.start_at < slot.end_at and slot.start_at < span.end_at:
                    text = said("%(name)s has %(span)s", name=name, span=span_text(span, zone=facts.zone))
                    yield Problem(slot=index, code=code, severity=severities[code], text=text)
                    break
