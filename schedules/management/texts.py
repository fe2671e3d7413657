"""Plans as lines and as JSON, for the shell."""

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from plants.errors import DomainError, Several
from schedules.conflicts import Problem
from schedules.diffs import ask_text
from schedules.models import DayPlan, PlanEvent, PlanVersion
from schedules.selectors.plans import DayView, SlotOutcome
from schedules.services.drafts import stored_problem
from schedules.services.importing import ImportPreview
from schedules.slots import PlannedSlot, local_text, number_text, span_text
from vcp import format_timestamp

Json = dict[str, object]


def version_json(version: PlanVersion) -> Json:
    """A version without its slots; `version.plan.plant` should be read along."""
    return {
        "plant": version.plan.plant.external_plant_id,
        "day": version.plan.day.isoformat(),
        "id": version.pk,
        "number": version.number,
        "state": version.state,
        "origin": version.origin,
        "carrier": version.carrier or None,
    }


def version_line(version: PlanVersion) -> str:
    """`DEPOT 2026-01-02 version 2: PUBLISHED, carried by DISPATCHER`."""
    carried = f", carried by {version.carrier}" if version.carrier else ""
    plan = version.plan
    return f"{plan.plant.external_plant_id} {plan.day} version {version.number}: {version.state}{carried}"


def slot_json(slot: PlannedSlot) -> Json:
    """A slot in the words of the CSV."""
    return {
        "start": format_timestamp(slot.start_at),
        "end": format_timestamp(slot.end_at),
        "type": slot.type.value,
        "value": slot.value,
        "direction": slot.direction.value,
        "includeConsumption": slot.include_consumption,
        "priority": slot.priority.value,
    }


def day_json(view: DayView) -> Json:
    """A day with each slot's outcome and how many ended how."""
    return version_json(view.version) | {
        "timeZone": view.plan.time_zone,
        "counts": view.counts,
        "slots": [slot_json(one.slot) | _outcome_json(one) for one in view.outcomes],
        "schedules": [
            {"id": str(one.schedule_id), "priority": one.priority, "told": one.told or None}
            for one in view.schedules
        ],
        "problems": view.version.problems,
    }


def _outcome_json(one: SlotOutcome) -> Json:
    return {
        "run": one.run_state or None,
        "turn": one.turn or None,
        "cause": one.cause or None,
        "winner": one.winner or None,
        "command": one.command_id,
        "commandState": one.command_state or None,
        "verdict": one.verdict or None,
        "offBy": one.off_by,
        "unit": one.unit or None,
    }


def day_lines(view: DayView) -> Iterable[str]:
    """The day for people: a line of what it is, one for each slot, and how many ended how."""
    zone = view.plan.time_zone
    yield f"{version_line(view.version)} ({zone})"
    for one in view.outcomes:
        told = "  ".join(_outcome_words(one))
        yield f"  {span_text(one.slot, zone=zone):<24}{ask_text(one.slot):<36}{told}".rstrip()
    for schedule in view.schedules:
        yield f"  schedule {schedule.schedule_id} {schedule.priority}: {schedule.told or 'nothing told yet'}"
    yield "  " + (", ".join(f"{count} {word}" for word, count in sorted(view.counts.items())) or "no slots")


def _outcome_words(one: SlotOutcome) -> list[str]:
    words = [one.run_state]
    if one.cause:
        words.append(one.cause)
    if one.winner:
        words.append(f"({one.winner})")
    if one.command_id is not None:
        words.append(f"command {one.command_id} {one.command_state}")
    if one.verdict:
        off = "" if one.off_by is None else f" by {one.off_by:g} {one.unit}"
        words.append(one.verdict + (off if one.verdict == "OFF_TARGET" else ""))
    return [word for word in words if word]


def plan_json(plan: DayPlan) -> Json:
    """A row of `selectors.plans.plans_of`."""
    return {
        "plant": plan.plant.external_plant_id,
        "day": plan.day.isoformat(),
        "inForce": _named(plan, "in_force"),
        "open": _named(plan, "open"),
    }


def _named(plan: DayPlan, which: str) -> Json | None:
    number = getattr(plan, f"{which}_number")
    if number is None:
        return None
    return {"id": getattr(plan, f"{which}_id"), "number": number, "state": getattr(plan, f"{which}_state")}


def plan_line(plan: DayPlan) -> str:
    """`DEPOT 2026-01-02: version 1 PUBLISHED, version 2 DRAFT`."""
    named = [_named(plan, which) for which in ("in_force", "open")]
    told = [f"version {one['number']} {one['state']}" for one in named if one is not None]
    return f"{plan.plant.external_plant_id} {plan.day}: {', '.join(told) or 'nothing in force'}"


def problem_lines(problems: Iterable[Problem], slots: Sequence[PlannedSlot], *, zone: str) -> Iterable[str]:
    """`ERROR 10:00-10:15 SITE_LIMIT: ...; 100 kW would fit`."""
    for one in problems:
        where = "the plan" if one.slot is None else span_text(slots[one.slot], zone=zone)
        fits = "" if one.nearest is None else f"; {number_text(one.nearest)} {one.nearest_unit} would fit"
        yield f"  {one.severity} {where} {one.code}: {one.text}{fits}"


def problems_json(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """The findings as a version keeps them, in English."""
    kept = [stored_problem(one) for one in problems]
    return [{name: value for name, value in one.items() if name != "said"} for one in kept]


def preview_json(preview: ImportPreview) -> Json:
    """What a file would do."""
    return {
        "digest": preview.digest,
        "rows": preview.rows,
        "plans": [
            {
                "plant": one.external_plant_id,
                "day": one.day.isoformat(),
                "slots": len(one.slots),
                "against": None if one.against is None else one.against.number,
                "changes": one.change_texts(),
            }
            for one in preview.plans
        ],
        "problems": [
            {"line": one.row, "column": one.column or None, "code": one.code, "text": one.text}
            for one in preview.problems
        ],
    }


def preview_lines(preview: ImportPreview) -> Iterable[str]:
    """Each plan with what would change, then what is wrong."""
    for one in preview.plans:
        beside = "new" if one.against is None else f"beside version {one.against.number}"
        yield f"{one.external_plant_id} {one.day}: {len(one.slots)} slots, {beside}, {len(one.changes)} changes"
        yield from (f"  {text}" for text in one.change_texts())
    for bad in preview.problems:
        column = f" {bad.column}" if bad.column else ""
        yield f"line {bad.row}{column}: {bad.code} {bad.text}"


def event_line(event: PlanEvent, *, zone: str) -> str:
    """`11:02 PUBLISHED version 2 by Ann`, on the plan's clock."""
    version = f" version {event.version.number}" if event.version is not None else ""
    day = f"{event.at.astimezone(ZoneInfo(zone)):%Y-%m-%d}"
    return f"  {day} {local_text(event.at, zone=zone)} {event.word}{version} by {event.actor}"


def error_text(error: DomainError) -> str:
    """Code, path and text; each of several on a line of its own."""
    problems = error.problems if isinstance(error, Several) else [error]
    return "\n".join(f"{one.code} {one.path}: {one.message}".replace(" :", ":") for one in problems)
