"""What the editor of a day is given with its page, as one JSON document: grid, slots, limits, findings, words.

A page is either an editor (`editable`: the draft, or what a draft would start from) or shows one version as it is
carried out. Slots that have begun are locked in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from console.plans.checking import charge, findings, limits, rules_of
from console.plans.day import PlannedDay, Row
from console.plans.outcomes import Outcomes, counts_json, outcomes_json, outcomes_of
from console.plans.slots_json import rows_json
from console.plans.words import wall_text
from schedules.models import OPEN, PlanVersion
from schedules.slots import SLOT_MINUTES


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page of a day shows. `version`: None = nothing is planned yet; `outcomes`: of what is or was in force."""

    day: PlannedDay
    version: PlanVersion | None
    editable: bool
    outcomes: Outcomes | None
    at: datetime

    @property
    def is_read_draft(self) -> bool:
        """Whether it is a draft for who may only read it."""
        return not self.editable and self.version is not None and self.version.published_at is None

    @property
    def over(self) -> bool:
        """Whether the day has ended."""
        return self.day.bounds.end_at <= self.at


def choose(day: PlannedDay, *, asked: int | None, edits: bool, may_act: bool, at: datetime) -> Shown:
    """What the address asks for: a version, the editor, or what speaks for the day."""
    over = day.bounds.end_at <= at
    chosen = day.version(asked)
    version: PlanVersion | None
    if chosen is not None and chosen.state not in OPEN:
        version, editable = chosen, False
    else:
        version = day.speaking
        wants = edits or version is None or version.state in OPEN
        editable = may_act and not over and wants
        if version is None and over and day.versions:
            version = day.versions[0]
    carried = version if version is not None and version.published_at is not None else day.carried
    outcomes = None if carried is None else outcomes_of(day, carried, at=at)
    return Shown(day=day, version=version, editable=editable, outcomes=outcomes, at=at)


def rows_of(shown: Shown) -> list[Row]:
    """The slots of the picture: what has begun as it is kept, the rest as the version has it."""
    day = shown.day
    if not shown.editable:
        return day.rows(shown.version)
    locked = day.locked(shown.at)
    return [*day.kept()[:locked], *day.rows(day.speaking)[locked:]]


def document_of(shown: Shown) -> dict[str, Any]:
    """Everything that the page's scripts need."""
    day, at = shown.day, shown.at
    rows, rules = rows_of(shown), rules_of(day, at=at)
    version, carried = shown.version, day.carried
    carries = None if shown.is_read_draft else shown.outcomes
    return {
        "plant": {"id": day.plant.pk, "name": day.plant.name, "externalId": day.plant.external_plant_id},
        "day": day.day.isoformat(),
        "zone": day.zone,
        "at": _ms(at),
        "slotMinutes": day.plant.slot_minutes,
        "canSplit": day.plant.slot_minutes == SLOT_MINUTES[0],
        "grid": _grid(day),
        "editable": shown.editable,
        "rows": rows_json(rows),
        "version": None if version is None else _version(version),
        "published": None if carried is None else _version(carried) | {"rows": rows_json(day.rows(carried))},
        "outcomes": None if carries is None else outcomes_json(carries),
        "counts": [] if carries is None else counts_json(carries),
        "limits": limits(rules),
        "findings": findings(rules, rows) if shown.editable else [],
        "charge": charge(rules, rows),
        "mark": day.mark,
        "urls": urls_of(day),
    }


def _version(version: PlanVersion) -> dict[str, object]:
    return {"id": version.pk, "number": version.number, "state": version.state}


def _grid(day: PlannedDay) -> list[list[object]]:
    """[start ms, end ms, `HH:MM`, `HH:MM` of its end] of each slot."""
    found: list[list[object]] = []
    for span in day.grid:
        end = wall_text(span.end_at, zone=day.zone)
        last = "24:00" if span.end_at == day.bounds.end_at else end
        found.append([_ms(span.start_at), _ms(span.end_at), wall_text(span.start_at, zone=day.zone), last])
    return found


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


_PARTS: Sequence[str] = (
    "day",
    "check",
    "save",
    "state",
    "versions",
    "export",
    "review",
    "publish",
    "copy",
    "fill",
    "discard",
    "cancel",
)


def urls_of(day: PlannedDay) -> dict[str, str]:
    """The addresses of everything that is done with this day."""
    arguments = [day.plant.pk, day.day.isoformat()]
    return {name: reverse(f"console:plans:{name}", args=arguments) for name in _PARTS}


def title_of(shown: Shown) -> str:
    """`v8 draft`, `v7 published`, `No plan`."""
    if shown.version is None:
        return gettext("No plan")
    return f"v{shown.version.number} {shown.version.get_state_display().lower()}"
