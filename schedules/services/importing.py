"""Day plans from a file: a preview that stores nothing, and a confirmation that reads the same file again.

Nothing of the file is kept between the two: the confirmation brings the file once more with the digest that the preview
named, which stands for the file's bytes and for the plans that its differences were shown against.

Edge cases (the concurrency policy):
- Another file (FILE_CHANGED), or a plan that somebody changed since the preview (PLAN_CHANGED): nothing is stored.
- All plans of a file are stored or none of them; they are locked in the order of their ids.
- A row that is wrong refuses the file as a whole; the preview tells each with its line and column.
- The file's days stand as a whole: a slot of the plan that the file does not name is no longer planned.
- Times are read by the clock of the plant; a plan that was made in another zone tells at its check what does not fit.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from dispatch.requests import Actor
from plants.errors import Conflict, DomainError, Invalid, Several
from plants.models import Plant
from schedules.csv_plans import PlantClock, RowProblem, plants_named, read_plans
from schedules.diffs import SlotChange, diff
from schedules.models import Origin, PlanVersion
from schedules.selectors.marks import marks_of
from schedules.selectors.versions import newest_versions, plans_by_key, slots_of
from schedules.services.drafts import Draft, save_drafts
from schedules.slots import PlannedSlot
from vcp.said import said

_MOST_TOLD = 200
"""So many wrong rows are told one by one when an import is refused."""


@dataclass(frozen=True, kw_only=True)
class PlanPreview:
    """One plan of a file: its slots, the version it is compared with (None = the first), and what would change."""

    external_plant_id: str
    day: date
    zone: str
    slots: Sequence[PlannedSlot]
    against: PlanVersion | None
    changes: Sequence[SlotChange]
    mark: int

    def change_texts(self) -> list[str]:
        """The changes for people, in the order of time."""
        return [change.text(zone=self.zone) for change in self.changes]


@dataclass(frozen=True, kw_only=True)
class ImportPreview:
    """What a file would do. With `problems` it can't be imported; `digest` is what the confirmation brings back."""

    digest: str
    rows: int
    plans: Sequence[PlanPreview]
    problems: Sequence[RowProblem]


def preview_import(*, organisation_id: int, content: bytes) -> ImportPreview:
    """Read a file and compare it with what is planned; stores nothing. A constant number of statements.

    Raises `Invalid` when the file can't be read at all (too large, no UTF-8, columns missing).
    """
    clocks = _clocks(organisation_id, plants_named(content))
    found = read_plans(content, plants=clocks)
    known = plans_by_key(organisation_id=organisation_id, keys=list(found.plans))
    newest = newest_versions(plan_ids=[plan.pk for plan in known.values()])
    before = slots_of(version_ids=[version.pk for version in newest.values()])
    marks = marks_of(plan_ids=[plan.pk for plan in known.values()])
    plans = []
    for (plant, day), slots in sorted(found.plans.items()):
        plan = known.get((plant, day))
        version = None if plan is None else newest.get(plan.pk)
        plans.append(
            PlanPreview(
                external_plant_id=plant,
                day=day,
                zone=clocks[plant].zone,
                slots=slots,
                against=version,
                changes=diff([] if version is None else before.get(version.pk, []), slots),
                mark=0 if plan is None else marks.get(plan.pk, 0),
            )
        )
    return ImportPreview(
        digest=_digest(content, plans), rows=found.rows, plans=plans, problems=found.problems
    )


def _clocks(organisation_id: int, names: set[str]) -> dict[str, PlantClock]:
    rows = Plant.objects.filter(organisation_id=organisation_id, external_plant_id__in=sorted(names))
    return {
        name: PlantClock(zone=zone, slot_minutes=minutes)
        for name, zone, minutes in rows.values_list("external_plant_id", "time_zone", "slot_minutes")
    }


def confirm_import(
    *, organisation_id: int, content: bytes, digest: str, actor: Actor, at: datetime, name: str = ""
) -> list[PlanVersion]:
    """Store the plans of a previewed file as drafts; `digest` is the preview's, `name` the file's for the note.

    Raises `Invalid` (unreadable, NO_ROWS), `Several` (wrong rows) or `Conflict`: FILE_CHANGED, PLAN_CHANGED.
    """
    preview = preview_import(organisation_id=organisation_id, content=content)
    if preview.digest != digest:
        same_file = preview.digest.partition("-")[0] == digest.partition("-")[0]
        if same_file:
            raise Conflict(said("plans of this file changed since the preview"), code="PLAN_CHANGED")
        raise Conflict(said("this is not the file of the preview"), path="file", code="FILE_CHANGED")
    return store_import(organisation_id=organisation_id, preview=preview, actor=actor, at=at, name=name)


def store_import(
    *, organisation_id: int, preview: ImportPreview, actor: Actor, at: datetime, name: str = ""
) -> list[PlanVersion]:
    """Store what a preview holds, for who reads and confirms in one step; raises as `confirm_import`."""
    if preview.problems:
        raise Several([_told(one) for one in preview.problems[:_MOST_TOLD]])
    if not preview.plans:
        raise Invalid(said("has no rows"), path="file", code="NO_ROWS")
    drafts = [
        Draft(external_plant_id=one.external_plant_id, day=one.day, slots=one.slots, seen=one.mark)
        for one in preview.plans
    ]
    return save_drafts(
        organisation_id=organisation_id, drafts=drafts, actor=actor, at=at, origin=Origin.CSV, note=name
    )


def _told(problem: RowProblem) -> DomainError:
    path = f"file[{problem.row}].{problem.column}" if problem.column else f"file[{problem.row}]"
    return Invalid(
        said("line %(row)s: %(text)s", row=problem.row, text=problem.text), path=path, code=problem.code
    )


def _digest(content: bytes, plans: Sequence[PlanPreview]) -> str:
    """`file-plans`: SHA-256 of the bytes, and of what the differences were shown against."""
    against = "\n".join(f"{one.external_plant_id} {one.day} {one.mark}" for one in plans)
    return f"{hashlib.sha256(content).hexdigest()}-{hashlib.sha256(against.encode()).hexdigest()[:32]}"
