"""What the page of a day shows around its editor: head, sums, versions, what differs, history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext, ngettext

from console.dates import hours_text
from console.plans.day import PlannedDay
from console.plans.document import Shown, urls_of
from console.plans.words import ask_words, day_words, event_look, span_words
from metering.days import local_day_of
from plants.errors import DomainError
from plants.models import ScheduleCarrier
from schedules.conflicts import Code, Severity
from schedules.models import OPEN, DayPlan, PlanEvent, PlanVersion
from schedules.selectors.plans import history
from schedules.selectors.versions import diff_of
from schedules.slots import PlannedSlot
from vcp import Direction

_MOST_EVENTS = 60
_MOST_CHANGES = 300


def page_context(shown: Shown, *, asked: Mapping[str, str]) -> dict[str, Any]:
    """For the page's template."""
    day, version = shown.day, shown.version
    slots = day.slots(version)
    today = local_day_of(shown.at, zone=day.zone).day
    return {
        "shown": shown,
        "plant": day.plant,
        "day": day,
        "title_day": day_words(day.day),
        "relative": relative_word(day.day, today),
        "previous": (day.day - timedelta(days=1)).isoformat(),
        "following": (day.day + timedelta(days=1)).isoformat(),
        "version": version,
        "is_open": version is not None and version.state in OPEN,
        "published": day.published,
        "open_version": day.open_version,
        "off_grid": day.off_grid(version),
        "urls": urls_of(day),
        "hours": length_words(day),
        "sums": sums_of(slots),
        "carrier": carrier_words(day, version),
        "lines": lines_of(shown) if not shown.editable else [],
        "copy_source": copy_source(day) if version is None else None,
    } | versions_context(day, asked=asked)


def relative_word(day: date, today: date) -> str:
    """Today, tomorrow, yesterday; "" for other days."""
    names = {-1: gettext("yesterday"), 0: gettext("today"), 1: gettext("tomorrow")}
    return names.get((day - today).days, "")


def length_words(day: PlannedDay) -> str:
    """Says so when the clock changes on that day."""
    return hours_text(day.bounds.length_s)


def sums_of(slots: Sequence[PlannedSlot]) -> dict[str, float | int]:
    """Energy by direction, and how many slots."""
    found = {"import": 0.0, "export": 0.0}
    for slot in slots:
        found["import" if slot.direction is Direction.IMPORT else "export"] += slot.power_kw * slot.hours
    return {**found, "slots": len(slots)}


def carrier_words(day: PlannedDay, version: PlanVersion | None) -> str:
    """Who carries it out."""
    carrier = (version.carrier if version is not None else "") or day.plant.schedule_carrier
    return gettext("Voke's own schedule") if carrier == ScheduleCarrier.VOKE else gettext("Our dispatcher")


def lines_of(shown: Shown) -> list[dict[str, Any]]:
    """A version's slots in words with what became of each, for the table."""
    found = []
    # What became of the version in force says nothing of a draft.
    told = None if shown.is_read_draft else shown.outcomes
    rows = [None] * len(shown.day.grid) if told is None else told.rows
    for place, (span, slot, row) in enumerate(
        zip(shown.day.grid, shown.day.rows(shown.version), rows, strict=True)
    ):
        if slot is None:
            continue
        found.append(
            {
                "place": place,
                "when": span_words(span, zone=shown.day.zone),
                "ask": ask_words(slot),
                "direction": slot.direction.value,
                "running": span.start_at <= shown.at < span.end_at,
                "over": span.end_at <= shown.at,
                "told": None if row is None else row[1],
                "command": None if row is None else row[0].command_id,
                "turn": 0 if row is None else row[0].turn,
            }
        )
    return found


def copy_source(day: PlannedDay) -> date | None:
    """The last planned day before this one: what an empty day may begin with."""
    found = DayPlan.objects.filter(plant=day.plant, day__lt=day.day, versions__slots__isnull=False)
    return found.order_by("-day").values_list("day", flat=True).first()


# --- versions -------------------------------------------------------------------------------------------------------


def versions_context(day: PlannedDay, *, asked: Mapping[str, str]) -> dict[str, Any]:
    """The versions, newest first, what differs between two that were asked for, and the history."""
    before, after = asked.get("from", ""), asked.get("to", "")
    return {
        "day": day,
        "zone": day.zone,
        "urls": urls_of(day),
        "versions": [_version_row(one) for one in day.versions],
        "difference": _difference(day, before, after),
        "events": _events(day),
    }


def _version_row(version: PlanVersion) -> dict[str, Any]:
    errors, warnings = found_in(version)
    return {
        "row": version,
        "open": version.state in OPEN,
        "errors": errors,
        "warnings": warnings,
        "found": found_words(errors, warnings, accepted=version.state not in OPEN),
    }


def found_in(version: PlanVersion) -> tuple[int, int]:
    """(errors, warnings) of a version's last check; that a slot is over is no news."""
    told = [one for one in version.problems if one.get("code") != Code.PAST or one.get("slot") is None]
    errors = sum(one.get("severity") == Severity.ERROR for one in told)
    return errors, len(told) - errors


def found_words(errors: int, warnings: int, *, accepted: bool) -> str:
    """`2 conflicts`, `3 warnings accepted`."""
    parts = []
    if errors:
        parts.append(ngettext("%(n)d conflict", "%(n)d conflicts", errors) % {"n": errors})
    if warnings and accepted:
        parts.append(
            ngettext("%(n)d warning accepted", "%(n)d warnings accepted", warnings) % {"n": warnings}
        )
    elif warnings:
        parts.append(ngettext("%(n)d warning", "%(n)d warnings", warnings) % {"n": warnings})
    return ", ".join(parts)


def _difference(day: PlannedDay, before: str, after: str) -> dict[str, Any] | None:
    """Two versions of this day compared; None when none were asked for, or not of this day."""
    ids = {str(one.pk): one for one in day.versions}
    if before not in ids or after not in ids:
        return None
    try:
        found = diff_of(
            organisation_id=day.plant.organisation_id, version_id=ids[after].pk, other_id=ids[before].pk
        )
    except DomainError:
        return None
    rows = [
        {
            "when": span_words(one.span, zone=day.zone),
            "change": one.change.value.lower(),
            "before": ask_words(one.before),
            "after": ask_words(one.after),
        }
        for one in found.changes[:_MOST_CHANGES]
    ]
    return {
        "before": found.before,
        "after": found.after,
        "rows": rows,
        "more": max(0, len(found.changes) - _MOST_CHANGES),
    }


def _events(day: PlannedDay) -> list[dict[str, Any]]:
    """The history, newest first; saves of a draft by one person in a row are told once."""
    if day.plan is None:
        return []
    events = history(organisation_id=day.plant.organisation_id, plan_id=day.plan.pk)
    return [_event_row(group) for group in _folded(events)][:_MOST_EVENTS]


def _folded(events: Iterable[PlanEvent]) -> list[list[PlanEvent]]:
    groups: list[list[PlanEvent]] = []
    for event in events:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and _key(last) == _key(event)
            and event.word in ("CHANGED", "CHECKED", "NOT_PASSED")
        ):
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def _key(event: PlanEvent) -> tuple[object, ...]:
    return (event.word, event.version_id, event.actor)


def _event_row(group: Sequence[PlanEvent]) -> dict[str, Any]:
    newest = group[0]
    return {
        "look": event_look(newest.word),
        "times": len(group),
        "version": None if newest.version is None else newest.version.number,
        "who": newest.actor,
        "at": newest.at,
        "reason": str(newest.detail.get("reason", "")) if isinstance(newest.detail, dict) else "",
    }
