"""Drafts of day plans: made, changed, copied, imported, checked; nothing of them reaches a plant.

Edge cases (the concurrency policy):
- The plan's row is locked while a version of it changes: two people who edit the same day at once end in two edits
  after each other. `seen` (the number and time of the version that the editor opened) refuses the second one.
- A checked version that is changed is a draft again. A published one is never changed: the edit makes the next version.
"""

from collections.abc import Sequence
from datetime import date, datetime

from django.db import transaction
from django.db.models import Max

from dispatch.requests import Actor
from plants.errors import Conflict, Invalid, NotFound
from plants.models import Plant
from schedules.conflicts import Problem, blocks_publication, check_plan
from schedules.facts import around, facts_of
from schedules.mapping import planned, rows_of
from schedules.models import DayPlan, Origin, PlanEvent, PlanSlot, PlanState, PlanVersion
from schedules.slots import PlannedSlot

MOST_SLOTS = 400
"""A day of 25 hours has 300 slots of five minutes."""
OPEN = (PlanState.DRAFT, PlanState.CHECKED)


def save_draft(
    *,
    organisation_id: int,
    external_plant_id: str,
    day: date,
    slots: Sequence[PlannedSlot],
    actor: Actor,
    at: datetime,
    origin: Origin = Origin.PERSON,
    note: str = "",
    seen: int | None = None,
) -> PlanVersion:
    """Make or change the draft of a plant's day; `slots` are all of it, in any order.

    `seen`: the id of the version that the editor opened; `Conflict` (PLAN_CHANGED) when another one is newest by now.
    Raises `NotFound` (plant), `Invalid` (too many slots). What stands against the plan is told by `check_version`.
    """
    if len(slots) > MOST_SLOTS:
        raise Invalid(f"at most {MOST_SLOTS} slots", path="slots", code="TOO_MANY_SLOTS")
    with transaction.atomic():
        plan = lock_plan(organisation_id=organisation_id, external_plant_id=external_plant_id, day=day, at=at)
        _refuse_changed(plan, seen)
        version = plan.versions.filter(state__in=OPEN).first()
        word = "CHANGED"
        if version is None:
            version, word = _next_version(plan, actor=actor, origin=origin, note=note, at=at), "MADE"
        PlanVersion.objects.filter(pk=version.pk).update(
            state=PlanState.DRAFT, origin=origin, note=note[:500], problems=[], checked_at=None
        )
        PlanSlot.objects.filter(version=version).delete()
        PlanSlot.objects.bulk_create(rows_of(version, sorted(slots, key=lambda one: one.start_at)))
        note_event(plan, version, word, actor=actor.name, at=at, slots=len(slots), origin=str(origin))
    version.refresh_from_db()
    return version


def lock_plan(*, organisation_id: int, external_plant_id: str, day: date, at: datetime) -> DayPlan:
    """The day's plan, made when there is none, locked against other edits until the transaction ends."""
    plant = Plant.objects.filter(organisation_id=organisation_id, external_plant_id=external_plant_id).first()
    if plant is None:
        raise NotFound(f"no plant {external_plant_id!r}", path="plant", code="PLANT_NOT_FOUND")
    DayPlan.objects.get_or_create(
        plant=plant,
        day=day,
        defaults={"organisation_id": organisation_id, "time_zone": plant.time_zone, "made_at": at},
    )
    return DayPlan.objects.select_for_update(of=("self",), no_key=True).get(plant=plant, day=day)


def _refuse_changed(plan: DayPlan, seen: int | None) -> None:
    if seen is None:
        return
    newest = plan.versions.order_by("-number").values_list("pk", flat=True).first()
    if newest != seen:
        raise Conflict("somebody else changed this plan meanwhile", code="PLAN_CHANGED")


def _next_version(plan: DayPlan, *, actor: Actor, origin: Origin, note: str, at: datetime) -> PlanVersion:
    highest = plan.versions.aggregate(Max("number"))["number__max"] or 0
    return PlanVersion.objects.create(
        plan=plan,
        number=highest + 1,
        origin=origin,
        note=note[:500],
        made_at=at,
        made_by=actor.user,
        made_by_name=actor.name[:150],
    )


def discard_draft(*, organisation_id: int, version_id: int, actor: Actor, at: datetime) -> None:
    """Throw an open version away; it stays in the history as CANCELLED."""
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        if version.state not in OPEN:
            raise Conflict(f"the version is {version.state}", code="NOT_A_DRAFT")
        PlanVersion.objects.filter(pk=version.pk).update(state=PlanState.CANCELLED, ended_at=at)
        note_event(version.plan, version, "DISCARDED", actor=actor.name, at=at)


def lock_version(*, organisation_id: int, version_id: int) -> PlanVersion:
    """A version of the organisation, with its plan locked; `NotFound` else."""
    plan = (
        DayPlan.objects.select_for_update(of=("self",), no_key=True)
        .filter(organisation_id=organisation_id, versions__pk=version_id)
        .first()
    )
    if plan is None:
        raise NotFound("no such plan", path="version", code="PLAN_NOT_FOUND")
    return PlanVersion.objects.select_related("plan__plant").get(pk=version_id)


def check_version(*, organisation_id: int, version_id: int, actor: Actor, at: datetime) -> list[Problem]:
    """Find what stands against an open version and store it; without an ERROR it is CHECKED, else a DRAFT."""
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        if version.state not in OPEN:
            raise Conflict(f"the version is {version.state}", code="NOT_A_DRAFT")
        problems = find_problems(version, at=at)
        passed = not blocks_publication(problems)
        PlanVersion.objects.filter(pk=version.pk).update(
            state=PlanState.CHECKED if passed else PlanState.DRAFT,
            checked_at=at if passed else None,
            problems=[stored_problem(one) for one in problems],
        )
        word = "CHECKED" if passed else "NOT_PASSED"
        note_event(version.plan, version, word, actor=actor.name, at=at, problems=len(problems))
    return problems


def find_problems(version: PlanVersion, *, at: datetime) -> list[Problem]:
    """What stands against a version now."""
    plan = version.plan
    slots = [planned(row) for row in version.slots.order_by("start_at")]
    return check_plan(slots, day=plan.day, facts=facts_of(plan.plant), around=around(plan, at=at))


def stored_problem(problem: Problem) -> dict[str, object]:
    """A finding as the version keeps it."""
    told = {
        "slot": problem.slot,
        "code": problem.code.value,
        "severity": problem.severity.value,
        "text": problem.text,
        "limit": problem.limit,
        "overBy": problem.over_by,
        "nearest": problem.nearest,
        "unit": problem.unit or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def note_event(
    plan: DayPlan,
    version: PlanVersion | None,
    word: str,
    *,
    actor: str,
    at: datetime,
    **detail: object,
) -> None:
    """Append to the plan's history."""
    PlanEvent.objects.create(plan=plan, version=version, at=at, word=word, actor=actor[:150], detail=detail)
