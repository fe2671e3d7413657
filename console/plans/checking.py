"""The rules of a plan as the editor shows them while one types: findings by slot, limits behind the bars, the charge.

The limits behind the bars are found by asking the rules themselves: what they answer to a power that no site has is
the most that they let pass. So picture and publication can't differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from console.plans.day import PlannedDay, Row
from console.plans.words import conflict_title
from plants.time_config import Block
from plants.words import local_text
from schedules.conflicts import (
    Around,
    Code,
    PlanFacts,
    Problem,
    Severity,
    check_plan,
    expected_soc,
    news_of,
    soc_windows,
    windows_of,
)
from schedules.facts import around, facts_of
from schedules.slots import PlannedSlot
from vcp import Direction, SetpointType

_NO_SITE_HAS_KW = 1e9
_LIMITS = frozenset({Code.SITE_LIMIT, Code.TIME_CONFIG, Code.PLANT_LIMIT, Code.ASSET_RATING})


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the rules need to know of a day, read once."""

    day: PlannedDay
    facts: PlanFacts
    around: Around
    at: datetime


def rules_of(day: PlannedDay, *, at: datetime) -> Rules:
    """Read limits, ratings, blocks, latch, overrides and charge; seven statements at most."""
    facts = facts_of(day.plant, zone=day.zone)
    return Rules(day=day, facts=facts, around=around(day.unstored(), at=at), at=at)


def findings(rules: Rules, rows: Sequence[Row]) -> list[dict[str, object]]:
    """What stands against a day, as JSON; `slot` is the place on the grid, None = the plan as a whole."""
    places = [index for index, row in enumerate(rows) if row is not None]
    slots = [row for row in rows if row is not None]
    problems = check_plan(slots, day=rules.day.day, facts=rules.facts, around=rules.around)
    return [finding_json(one, places) for one in news_of(problems)]


def finding_json(problem: Problem, places: Sequence[int]) -> dict[str, object]:
    """One finding; `places` maps the plan's slots to the grid."""
    return {
        "slot": None if problem.slot is None else places[problem.slot],
        "code": problem.code.value,
        "severity": problem.severity.value,
        "title": conflict_title(problem.code),
        "text": local_text(problem.text),
        "limit": problem.limit,
        "overBy": problem.over_by,
        "nearest": problem.nearest,
        "unit": problem.unit,
        "nearestUnit": problem.nearest_unit,
    }


def charge(rules: Rules, rows: Sequence[Row]) -> dict[str, object] | None:
    """The expected charge in % at the end of each slot, None = not looked at (over); None as a whole = no battery.

    `known`: whether it starts from a measurement; else from the middle of the window.
    """
    facts = rules.facts
    if facts.capacity_kwh <= 0:
        return None
    start = rules.around.soc_pct
    begin = start if start is not None else (facts.soc_min_pct + facts.soc_max_pct) / 2
    slots = [row for row in rows if row is not None]
    reached = iter(expected_soc(slots, day=rules.day.day, facts=facts, soc_pct=begin, at=rules.at))
    points: list[float | None] = []
    pct = begin
    for row, span in zip(rows, rules.day.grid, strict=True):
        if row is not None:
            pct = next(reached)[0]
        points.append(None if span.end_at <= rules.at else round(pct, 2))
    return {"start": round(begin, 2), "known": start is not None, "points": points}


def limits(rules: Rules) -> dict[str, object]:
    """The most that passes in each slot, by direction: `hard` = more is an error, `soft` = more is a warning."""
    found: dict[str, object] = {}
    kinds = _kinds(rules)
    for direction in Direction:
        hard, soft = _most(rules, direction, kinds)
        found[direction.value] = {"hard": hard, "soft": soft}
    facts = rules.facts
    return found | {
        "site": {"EXPORT": facts.max_export_kw, "IMPORT": facts.max_import_kw},
        "soc": [list(one) for one in soc_windows(rules.day.grid, day=rules.day.day, facts=facts)],
        "hasBattery": facts.capacity_kwh > 0,
    }


def _kinds(rules: Rules) -> list[frozenset[Block]]:
    """The blocks of the time config that each slot meets: slots that meet the same ones have the same limits."""
    windows = windows_of(rules.facts, rules.day.day)
    return [
        frozenset(one.block for one in windows if one.start_at < span.end_at and span.start_at < one.end_at)
        for span in rules.day.grid
    ]


def _most(
    rules: Rules, direction: Direction, kinds: Sequence[frozenset[Block]]
) -> tuple[list[float | None], list[float | None]]:
    """One slot of each kind is asked for: a day has a hundred slots, and a dozen kinds of them."""
    first_of = dict(reversed(list(zip(kinds, rules.day.grid, strict=True))))
    asked = sorted(first_of, key=lambda kind: first_of[kind].start_at)
    probes = [
        PlannedSlot(
            start_at=first_of[kind].start_at,
            end_at=first_of[kind].end_at,
            type=SetpointType.POWER,
            value=_NO_SITE_HAS_KW,
            direction=direction,
        )
        for kind in asked
    ]
    # Without a battery's size nobody asks what the charge would be.
    facts = replace(rules.facts, capacity_kwh=0.0)
    problems = check_plan(probes, day=rules.day.day, facts=facts, around=Around(at=rules.day.bounds.start_at))
    hard: dict[frozenset[Block], float] = {}
    soft: dict[frozenset[Block], float] = {}
    for problem in problems:
        if problem.slot is None or problem.nearest is None or problem.code not in _LIMITS:
            continue
        into, kind = hard if problem.severity is Severity.ERROR else soft, asked[problem.slot]
        into[kind] = min(into.get(kind, problem.nearest), problem.nearest)
    return [hard.get(kind) for kind in kinds], [soft.get(kind) for kind in kinds]
