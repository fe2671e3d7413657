"""Versions of day plans and their slots, many at once: what speaks for a day, what differs, what is exported."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dispatch.services.bulk import Among
from plants.errors import Invalid, NotFound
from schedules.csv_plans import MAX_ROWS, write_plans
from schedules.diffs import SlotChange, diff
from schedules.mapping import planned
from schedules.models import DayPlan, PlanSlot, PlanState, PlanVersion
from schedules.slots import PlannedSlot
from vcp.said import said

MOST_VERSIONS = 200
_RANK = {PlanState.DONE: 1, PlanState.PUBLISHED: 2, PlanState.DRAFT: 3, PlanState.CHECKED: 3}
"""Which version of a plan speaks for it: what is edited, else what is in force, else what was carried out."""


def plans_by_key(
    *, organisation_id: int, keys: Sequence[tuple[str, date]]
) -> dict[tuple[str, date], DayPlan]:
    """The plans of (external plant id, day), with their plants; keys without a plan are not in it."""
    wanted = set(keys)
    rows = DayPlan.objects.select_related("plant").filter(
        organisation_id=organisation_id,
        plant__external_plant_id__in=sorted({plant for plant, _ in wanted}),
        day__in=sorted({day for _, day in wanted}),
    )
    found = {(plan.plant.external_plant_id, plan.day): plan for plan in rows}
    return {key: plan for key, plan in found.items() if key in wanted}


def newest_versions(*, plan_ids: Sequence[int]) -> dict[int, PlanVersion]:
    """The version that speaks for each plan: the open one, else the published, else the last that was done."""
    rows = PlanVersion.objects.filter(Among(plan_ids, of="plan_id"), state__in=list(_RANK)).order_by("number")
    found: dict[int, PlanVersion] = {}
    for version in rows:
        other = found.get(version.plan_id)
        if other is None or _rank(version) >= _rank(other):
            found[version.plan_id] = version
    return found


def _rank(version: PlanVersion) -> int:
    return _RANK[PlanState(version.state)]


def slots_of(*, version_ids: Sequence[int]) -> Mapping[int, Sequence[PlannedSlot]]:
    """The slots of each version in the order of time, by one statement."""
    found: dict[int, list[PlannedSlot]] = defaultdict(list)
    rows = PlanSlot.objects.filter(Among(version_ids, of="version_id"))
    for row in rows.order_by("version_id", "start_at"):
        found[row.version_id].append(planned(row))
    return found


def version_of(*, organisation_id: int, version_id: int) -> PlanVersion:
    """A version with its plan and plant; `NotFound` when the organisation has none of this id."""
    rows = PlanVersion.objects.select_related("plan__plant").filter(plan__organisation_id=organisation_id)
    found = rows.filter(pk=version_id).first()
    if found is None:
        raise NotFound(said("no such plan"), path="version", code="PLAN_NOT_FOUND")
    return found


def versions_of(*, organisation_id: int, plan_id: int, limit: int = MOST_VERSIONS) -> Sequence[PlanVersion]:
    """A plan's versions, newest first."""
    rows = PlanVersion.objects.filter(plan_id=plan_id, plan__organisation_id=organisation_id)
    return list(rows.select_related("plan__plant").order_by("-number")[:limit])


@dataclass(frozen=True, kw_only=True)
class VersionDiff:
    """What differs from `before` (None = nothing was planned) to `after`."""

    before: PlanVersion | None
    after: PlanVersion
    changes: Sequence[SlotChange]

    def texts(self) -> list[str]:
        """The changes for people, in the order of time, on the plan's clock."""
        return [change.text(zone=self.after.plan.time_zone) for change in self.changes]


def diff_of(*, organisation_id: int, version_id: int, other_id: int | None = None) -> VersionDiff:
    """What changed from `other_id` to `version_id`; without it from the version before that was published.

    Raises `NotFound`, `Invalid` (OTHER_DAY: the two are versions of different plans).
    """
    after = version_of(organisation_id=organisation_id, version_id=version_id)
    if other_id is None:
        earlier = PlanVersion.objects.filter(plan_id=after.plan_id, number__lt=after.number)
        before = earlier.filter(published_at__isnull=False).order_by("-number").first()
    else:
        before = version_of(organisation_id=organisation_id, version_id=other_id)
        if before.plan_id != after.plan_id:
            raise Invalid(said("the two are plans of different days"), path="other", code="OTHER_DAY")
    slots = slots_of(version_ids=[one.pk for one in (before, after) if one is not None])
    was = [] if before is None else slots.get(before.pk, [])
    return VersionDiff(before=before, after=after, changes=diff(was, slots.get(after.pk, [])))


def export_plans(*, organisation_id: int, version_ids: Iterable[int]) -> str:
    """Versions as CSV that an import takes back, by plant and day; `Invalid` (TOO_MANY_ROWS) beyond what it takes."""
    ids = sorted(set(version_ids))
    if len(ids) > MAX_ROWS:
        raise Invalid(
            said("more than %(limit)s plans", limit=MAX_ROWS), path="versions", code="TOO_MANY_ROWS"
        )
    rows = PlanVersion.objects.filter(Among(ids), plan__organisation_id=organisation_id)
    versions = list(
        rows.select_related("plan__plant").order_by("plan__plant__external_plant_id", "plan__day", "number")
    )
    if len(versions) != len(ids):
        raise NotFound(said("no such plan"), path="version", code="PLAN_NOT_FOUND")
    counted = PlanSlot.objects.filter(Among(ids, of="version_id")).order_by()[: MAX_ROWS + 1].count()
    if counted > MAX_ROWS:
        raise Invalid(
            said("more than %(limit)s rows: export fewer plans", limit=MAX_ROWS),
            path="versions",
            code="TOO_MANY_ROWS",
        )
    slots = slots_of(version_ids=ids)
    return write_plans(
        (version.plan.plant.external_plant_id, version.plan.time_zone, slots.get(version.pk, []))
        for version in versions
    )
