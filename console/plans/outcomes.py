"""What became of the slots of a version, slot by slot on the day's grid, and how many ended how."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from console.plans.day import PlannedDay
from console.plans.words import Told, outcome_told
from console.words import Look
from schedules.models import PlanVersion, VokeSchedule
from schedules.selectors.plans import SlotOutcome, plan_of_day

_FAMILIES = ("crit", "fail", "doubt", "ok", "move", "wait")
"""What needs a person first."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """So many slots have this look."""

    look: Look
    slots: int


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """A version's slots with what became of them, on the grid; `schedules`: those at Voke."""

    rows: Sequence[tuple[SlotOutcome, Told | None] | None]
    counts: Sequence[Count]
    schedules: Sequence[VokeSchedule]


def outcomes_of(day: PlannedDay, version: PlanVersion, *, at: datetime) -> Outcomes:
    """Seven statements, whatever the number of slots."""
    view = plan_of_day(
        organisation_id=day.plant.organisation_id,
        external_plant_id=day.plant.external_plant_id,
        day=day.day,
        version_id=version.pk,
    )
    found = {(one.slot.start_at, one.slot.end_at): one for one in view.outcomes}
    rows: list[tuple[SlotOutcome, Told | None] | None] = []
    for span in day.grid:
        one = found.get((span.start_at, span.end_at))
        rows.append(None if one is None else (one, outcome_told(one, at=at, version=version)))
    return Outcomes(rows=rows, counts=_counts(rows), schedules=view.schedules)


def _counts(rows: Sequence[tuple[SlotOutcome, Told | None] | None]) -> list[Count]:
    looks: dict[tuple[str, str, str], Look] = {}
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if row is None or row[1] is None:
            continue
        look = row[1].look
        key = (look.family, look.icon, str(look.word))
        looks.setdefault(key, look)
        found[key] += 1
    order = sorted(found, key=lambda key: (_FAMILIES.index(key[0]), -found[key]))
    return [Count(look=looks[key], slots=found[key]) for key in order]


def outcomes_json(outcomes: Outcomes) -> list[dict[str, object] | None]:
    """For the picture: one entry for each slot of the grid, None = nothing is known."""
    return [None if row is None or row[1] is None else _one_json(row[0], row[1]) for row in outcomes.rows]


def _one_json(one: SlotOutcome, told: Told) -> dict[str, object]:
    return {
        "family": told.look.family,
        "icon": told.look.icon,
        "word": told.word,
        "more": told.more,
        "turn": one.turn,
        "command": one.command_id,
        "url": command_url(one.command_id),
    }


def counts_json(outcomes: Outcomes) -> list[dict[str, object]]:
    """How many slots ended how, what needs a person first."""
    return [
        {
            "family": one.look.family,
            "icon": one.look.icon,
            "word": str(one.look.word),
            "slots": one.slots,
        }
        for one in outcomes.counts
    ]


def command_url(command_id: int | None) -> str:
    """The command's own page."""
    if command_id is None:
        return ""
    return f"{reverse('console:home')}commands/{command_id}/"
