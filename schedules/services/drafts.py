"""Drafts of day plans: made, changed, copied, imported, checked; nothing of them reaches a plant.

Edge cases (the concurrency policy):
- The plan's row is locked while a version of it changes: two people who edit the same day at once end in two edits
  after each other. `seen` (the plan's mark when the editor opened it) refuses the second one.
- Many days at once are locked in the order of their ids and written together, or none of them is.
- An open version is edited in place, and is a draft again; at most one of a plan is open. A published one is never
  changed: the edit makes the next version.
- A plan keeps the zone that it was made in, also when the plant's zone changes afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction
from django.db.models import Max

from dispatch.requests import Actor
from dispatch.services.bulk import Among
from plants.errors import Conflict, Invalid, NotFound
from plants.models import Plant
from schedules.conflicts import Problem, blocks_publication, check_plan, news_of
from schedules.facts import around, facts_of
from schedules.mapping import planned, rows_of
from schedules.models import OPEN, DayPlan, Origin, PlanEvent, PlanSlot, PlanState, PlanVersion
from schedules.selectors.marks import marks_of
from schedules.slots import FIRST_DAY, LAST_DAY, PlannedSlot
from schedules.telling import tell_plan
from vcp.said import said

MOST_SLOTS = 400
"""A day of 25 hours has 300 slots of five minutes."""
MOST_PLANS = 5_000
"""So many days can be written at once: each row of the largest file may be of another one."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """All slots of a plant's day, in any order; `seen`: the plan's mark that the editor knew, None = whatever it is."""

    external_plant_id: str
    day: date
    slots: Sequence[PlannedSlot]
    seen: int | None = None


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

    `seen`: the plan's mark (`selectors.marks`) when the editor opened it, 0 = there was no plan; `Conflict`
    (PLAN_CHANGED) when somebody changed it since. Raises `NotFound` (plant), `Invalid` (too many slots, no such day).
    What stands against the plan is told by `check_version`.
    """
    draft = Draft(external_plant_id=external_plant_id, day=day, slots=slots, seen=seen)
    (version,) = save_drafts(
        organisation_id=organisation_id, drafts=[draft], actor=actor, at=at, origin=origin, note=note
    )
    return version


def save_drafts(
    *,
    organisation_id: int,
    drafts: Sequence[Draft],
    actor: Actor,
    at: datetime,
    origin: Origin = Origin.PERSON,
    note: str = "",
) -> list[PlanVersion]:
    """As `save_draft` for many days, each at most once: all of them or none; a constant number of statements."""
    _refuse_too_much(drafts)
    with transaction.atomic():
        plans = lock_plans(
            organisation_id=organisation_id, days=[(one.external_plant_id, one.day) for one in drafts], at=at
        )
        _refuse_changed(plans, drafts)
        versions, made = _open_versions(plans, actor=actor, at=at, origin=origin, note=note[:500])
        PlanSlot.objects.filter(Among([version.pk for version in versions], of="version_id")).delete()
        rows = [
            row
            for version, draft in zip(versions, drafts, strict=True)
            for row in rows_of(version, _sorted(draft))
        ]
        PlanSlot.objects.bulk_create(rows)
        PlanEvent.objects.bulk_create(
            PlanEvent(
                plan=plan,
                version=version,
                at=at,
                word="MADE" if version.pk in made else "CHANGED",
                actor=actor.name[:150],
                detail={"slots": len(draft.slots), "origin": str(origin)},
            )
            for plan, version, draft in zip(plans, versions, drafts, strict=True)
        )
    return versions


def _sorted(draft: Draft) -> list[PlannedSlot]:
    return sorted(draft.slots, key=lambda one: one.start_at)


def _refuse_too_much(drafts: Sequence[Draft]) -> None:
    if len(drafts) > MOST_PLANS:
        raise Invalid(
            said("at most %(limit)s days at once", limit=MOST_PLANS), path="drafts", code="TOO_MANY_PLANS"
        )
    if len({(one.external_plant_id, one.day) for one in drafts}) < len(drafts):
        raise Invalid(said("names a day of a plant twice"), path="drafts", code="TWICE")
    refuse_days([one.day for one in drafts], path="day")
    for draft in drafts:
        if len(draft.slots) > MOST_SLOTS:
            raise Invalid(
                said("at most %(limit)s slots", limit=MOST_SLOTS), path="slots", code="TOO_MANY_SLOTS"
            )
        if len({slot.start_at for slot in draft.slots}) < len(draft.slots):
            raise Invalid(said("two slots begin at the same time"), path="slots", code="TWICE")


def refuse_days(days: Iterable[date], *, path: str) -> None:
    """Raises `Invalid` (DAY_OUT_OF_RANGE) for a day that can't be planned."""
    if any(not FIRST_DAY <= day <= LAST_DAY for day in days):
        text = said(
            "lies outside of %(limit)s to %(limit2)s", limit=f"{FIRST_DAY:%Y}", limit2=f"{LAST_DAY:%Y}"
        )
        raise Invalid(text, path=path, code="DAY_OUT_OF_RANGE")


def lock_plans(*, organisation_id: int, days: Sequence[tuple[str, date]], at: datetime) -> list[DayPlan]:
    """The plans of (external plant id, day), made where there are none, locked until the transaction ends.

    In the order of `days`; locked in the order of their ids, as everybody does who locks several.
    """
    plants = _plants_of(organisation_id, {plant for plant, _ in days})
    wanted = [(plants[plant].pk, day) for plant, day in days]
    known = _ids_of(wanted)
    zones = {plant.pk: plant.time_zone for plant in plants.values()}
    missing = [key for key in wanted if key not in known]
    if missing:
        rows = [
            DayPlan(
                organisation_id=organisation_id, plant_id=plant, day=day, time_zone=zones[plant], made_at=at
            )
            for plant, day in missing
        ]
        DayPlan.objects.bulk_create(rows, ignore_conflicts=True)
        known = _ids_of(wanted)
    locked = DayPlan.objects.select_for_update(of=("self",), no_key=True)
    found = {plan.pk: plan for plan in locked.filter(Among(sorted(known.values()))).order_by("pk")}
    return [found[known[key]] for key in wanted]


def _plants_of(organisation_id: int, names: set[str]) -> dict[str, Plant]:
    rows = Plant.objects.filter(organisation_id=organisation_id, external_plant_id__in=sorted(names))
    plants = {plant.external_plant_id: plant for plant in rows.only("external_plant_id", "time_zone")}
    for name in sorted(names - plants.keys()):
        raise NotFound(said("no plant %(name)s", name=repr(name)), path="plant", code="PLANT_NOT_FOUND")
    return plants


def _ids_of(wanted: Iterable[tuple[int, date]]) -> dict[tuple[int, date], int]:
    keys = set(wanted)
    rows = DayPlan.objects.filter(
        Among(sorted({plant for plant, _ in keys}), of="plant_id"), day__in=sorted({day for _, day in keys})
    ).values_list("plant_id", "day", "pk")
    return {(plant, day): pk for plant, day, pk in rows if (plant, day) in keys}


def _refuse_changed(plans: Sequence[DayPlan], drafts: Sequence[Draft]) -> None:
    if all(draft.seen is None for draft in drafts):
        return
    marks = marks_of(plan_ids=[plan.pk for plan in plans])
    for plan, draft in zip(plans, drafts, strict=True):
        if draft.seen is not None and marks.get(plan.pk, 0) != draft.seen:
            text = said(
                "somebody else changed the plan of %(external_plant_id)s for %(day)s meanwhile",
                external_plant_id=draft.external_plant_id,
                day=draft.day.isoformat(),
            )
            raise Conflict(text, code="PLAN_CHANGED")


def _open_versions(
    plans: Sequence[DayPlan], *, actor: Actor, at: datetime, origin: Origin, note: str
) -> tuple[list[PlanVersion], set[int]]:
    """The open version of each plan as a draft, made where there is none; and the ids of those that were made."""
    ids = [plan.pk for plan in plans]
    by_plan = Among(ids, of="plan_id")
    found = {version.plan_id: version for version in PlanVersion.objects.filter(by_plan, state__in=OPEN)}
    fresh: dict[str, object] = {
        "state": PlanState.DRAFT,
        "origin": origin,
        "note": note,
        "problems": [],
        "checked_at": None,
    }
    if found:
        PlanVersion.objects.filter(Among([one.pk for one in found.values()])).update(**fresh)
    for version in found.values():
        for name, value in fresh.items():
            setattr(version, name, value)
    highest: Mapping[int, int] = dict(
        PlanVersion.objects.filter(by_plan).order_by().values_list("plan_id").annotate(Max("number"))
    )
    new = [
        PlanVersion(
            plan=plan,
            number=highest.get(plan.pk, 0) + 1,
            origin=origin,
            note=note,
            made_at=at,
            made_by=actor.user,
            made_by_name=actor.name[:150],
        )
        for plan in plans
        if plan.pk not in found
    ]
    made = PlanVersion.objects.bulk_create(new)
    versions = found | {version.plan_id: version for version in made}
    for plan in plans:
        versions[plan.pk].plan = plan
    return [versions[pk] for pk in ids], {version.pk for version in made}


def discard_draft(*, organisation_id: int, version_id: int, actor: Actor, at: datetime) -> None:
    """Throw an open version away; it stays in the history as CANCELLED."""
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        if version.state not in OPEN:
            raise Conflict(said("the version is %(state)s", state=version.state), code="NOT_A_DRAFT")
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
        raise NotFound(said("no such plan"), path="version", code="PLAN_NOT_FOUND")
    return PlanVersion.objects.select_related("plan__plant").get(pk=version_id)


def check_version(*, organisation_id: int, version_id: int, actor: Actor, at: datetime) -> list[Problem]:
    """Find what stands against an open version and store it; without an ERROR it is CHECKED, else a DRAFT."""
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        if version.state not in OPEN:
            raise Conflict(said("the version is %(state)s", state=version.state), code="NOT_A_DRAFT")
        problems = find_problems(version, at=at)
        passed = not blocks_publication(problems)
        PlanVersion.objects.filter(pk=version.pk).update(
            state=PlanState.CHECKED if passed else PlanState.DRAFT,
            checked_at=at if passed else None,
            problems=[stored_problem(one) for one in problems],
        )
        word = "CHECKED" if passed else "NOT_PASSED"
        note_event(version.plan, version, word, actor=actor.name, at=at, problems=len(news_of(problems)))
    return problems


def find_problems(version: PlanVersion, *, at: datetime) -> list[Problem]:
    """What stands against a version now."""
    plan = version.plan
    slots = [planned(row) for row in version.slots.order_by("start_at")]
    return check_plan(
        slots, day=plan.day, facts=facts_of(plan.plant, zone=plan.time_zone), around=around(plan, at=at)
    )


def stored_problem(problem: Problem) -> dict[str, object]:
    """A finding as the version keeps it."""
    told = {
        "slot": problem.slot,
        "code": problem.code.value,
        "severity": problem.severity.value,
        "text": str(problem.text),
        "said": problem.text.packed(),
        "limit": problem.limit,
        "overBy": problem.over_by,
        "nearest": problem.nearest,
        "unit": problem.unit or None,
        "nearestUnit": problem.nearest_unit or None,
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
    tell_plan(plan, version, word, at=at)
