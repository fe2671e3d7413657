"""What was found against plans, as pages tell it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.safestring import SafeString

from plants.admin.marks import NOTHING, Family, Look, chip, zone_name
from plants.words import local_stored
from schedules.conflicts import Code
from schedules.models import OPEN, PlanVersion
from schedules.selectors.versions import slots_of
from schedules.slots import PlannedSlot, span_text


def news(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Findings that tell something: that a slot is over can be seen."""
    told = [one for one in problems if one.get("code") != Code.PAST or one.get("slot") is None]
    return [{**one, "text": local_stored(one)} for one in told]


def finding_chips(version: PlanVersion) -> list[SafeString]:
    """How many errors and warnings; those of a published version were accepted."""
    found = news(version.problems)
    errors = sum(1 for one in found if one.get("severity") == "ERROR")
    warnings = len(found) - errors
    marks = []
    if errors:
        marks.append(chip(Look(icon="report", word=f"{errors} to change", family=Family.FAIL)))
    if warnings and version.state in OPEN:
        marks.append(chip(Look(icon="warning", word=f"{warnings} to accept", family=Family.DOUBT)))
    elif warnings:
        marks.append(chip(Look(icon="info", word=f"{warnings} accepted", family=Family.WAIT)))
    return marks or [NOTHING]


def findings_of(versions: Iterable[PlanVersion]) -> dict[int, list[dict[str, object]]]:
    """What stands against each version, with the time of its slot; slots that are over are no news. One statement."""
    told = {version.pk: (zone_name(version.plan.time_zone), news(version.problems)) for version in versions}
    slots = slots_of(version_ids=[pk for pk, (_, found) in told.items() if found])
    return {pk: [_timed(one, slots.get(pk, []), zone) for one in found] for pk, (zone, found) in told.items()}


def _timed(finding: Mapping[str, Any], slots: Sequence[PlannedSlot], zone: str) -> dict[str, object]:
    index = finding.get("slot")
    if not isinstance(index, int) or index >= len(slots):
        return dict(finding)
    return {**finding, "when": span_text(slots[index], zone=zone)}
