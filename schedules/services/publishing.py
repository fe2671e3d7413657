"""Publishing a checked plan, replacing the published one in mid-day, changing who carries it, and cancelling it.

What reaches the plant is the carriers' part: our dispatcher's (`carried_by_us`: a run for each slot) or Voke's own
schedules (`carried_by_voke`). Publishing decides which version is in force and hands over between them:

| before | now | what happens |
| --- | --- | --- |
| - | ours / Voke's | runs are written / schedules created, for the slots that are not over |
| ours | ours | slots that are the same keep their run and command, others get a new one, what vanishes is taken back |
| Voke's | Voke's | new schedules are created, the old ones withdrawn when the new ones stand |
| Voke's | ours | runs are written, the old schedules withdrawn when our first command stands (or would have to) |
| ours | Voke's | schedules are created, runs closed; what is in force stays where the new plan goes on from there |

Edge cases (the concurrency policy):
- One transaction under the locks of plan and then plant (who holds a plant's lock asks for no plan's): a tick sees
  the old plan or the new one, never both or none.
- The rules run again under the lock: what was checked an hour ago may not hold now. A refusal stores what it found
  in a transaction of its own, so that who looks sees why.
- A warning that nobody has seen can't be accepted: one of a kind that the last check did not find is refused.
- `seen` refuses a draft that somebody changed or checked anew since the person who publishes it looked.
- A plan that is all over can't be published (PAST), slots that are over are left out.
- Two who publish the same version at once: the second one finds it PUBLISHED (NOT_CHECKED).
- The plant's carrier only counts when a version is published; `republish` publishes the same slots for the new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, transaction

from dispatch.requests import Actor
from plants.errors import Conflict, DomainError, Invalid, NotFound, Several
from plants.models import Plant, ScheduleCarrier
from schedules.conflict_texts import fitting
from schedules.conflicts import Code, Problem, Severity, news_of
from schedules.mapping import planned
from schedules.models import OPEN, DayPlan, Origin, PlanState, PlanVersion
from schedules.policy import SchedulePolicy
from schedules.selectors.marks import review_marks_of
from schedules.services.carried_by_us import close_runs, make_runs
from schedules.services.carried_by_voke import create_schedules, withdraw_schedules
from schedules.services.drafts import (
    Draft,
    check_version,
    find_problems,
    lock_version,
    note_event,
    save_drafts,
    stored_problem,
)
from schedules.slots import span_text
from vcp.said import joined, said, said_many

logger = structlog.get_logger(__name__)

MOST_AT_ONCE = 200
"""Each is a transaction of some 15 statements: a request waits for so many."""


class _NotPublished(Exception):
    """What the rules found stands against it; the transaction is rolled back and the findings are stored."""

    def __init__(self, error: DomainError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Published:
    """What became of one of many: published, or why not."""

    version_id: int
    version: PlanVersion | None = None
    error: DomainError | None = None


def publish(
    *,
    organisation_id: int,
    version_id: int,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    accept_warnings: bool = False,
    seen: int | None = None,
) -> PlanVersion:
    """Make a checked version the one that is carried out, in the place of the published one.

    `seen`: the plan's mark (`review_marks_of`) when the person looked, None = whatever it is. Raises `NotFound`,
    `Conflict` (PLAN_CHANGED, NOT_CHECKED, NOTHING_PLANNED, WARNINGS_NOT_ACCEPTED, NEW_WARNINGS: warnings that the last
    check did not find) or `Several` (the errors that stand against it now).
    """
    try:
        with transaction.atomic():
            version = lock_version(organisation_id=organisation_id, version_id=version_id)
            plant = _lock_plant(version.plan)
            if seen is not None and review_marks_of(plan_ids=[version.plan_id]).get(version.plan_id) != seen:
                raise Conflict(said("somebody changed the plan meanwhile; look again"), code="PLAN_CHANGED")
            _require_publishable(version, at=at, accept_warnings=accept_warnings)
            _put_in_force(version, ScheduleCarrier(plant.schedule_carrier), actor=actor, at=at, policy=policy)
    except _NotPublished as refused:
        _store_findings(organisation_id=organisation_id, version_id=version_id, actor=actor, at=at)
        raise refused.error from None
    return version


def _lock_plant(plan: DayPlan) -> Plant:
    """The plant as it is now, locked against commands, overrides and emergencies."""
    plan.plant = Plant.objects.select_for_update(of=("self",), no_key=True).get(pk=plan.plant_id)
    return plan.plant


def _require_publishable(version: PlanVersion, *, at: datetime, accept_warnings: bool) -> None:
    if version.state != PlanState.CHECKED:
        raise Conflict(
            said("the version is %(state)s; check it first", state=version.state), code="NOT_CHECKED"
        )
    if not version.slots.exists():
        raise Conflict(
            said("the plan has no slots; cancel the published one instead"), code="NOTHING_PLANNED"
        )
    problems = find_problems(version, at=at)
    errors = _errors_of(problems, version)
    if errors:
        raise _NotPublished(Several(errors))
    warnings = news_of(problems)
    if warnings and not accept_warnings:
        text = said_many(
            "%(count)s warning stands against it: accept it",
            "%(count)s warnings stand against it: accept them",
            len(warnings),
        )
        raise Conflict(text, code="WARNINGS_NOT_ACCEPTED")
    new = {one.code for one in warnings} - {Code(one["code"]) for one in version.problems}
    if new:
        text = said(
            "there are warnings that the last check did not find: %(names)s", names=", ".join(sorted(new))
        )
        raise _NotPublished(Conflict(text, code="NEW_WARNINGS"))
    version.problems = [stored_problem(one) for one in problems]


def _errors_of(problems: Iterable[Problem], version: PlanVersion) -> list[DomainError]:
    errors = [one for one in problems if one.severity is Severity.ERROR]
    if not errors:
        return []
    zone = version.plan.time_zone
    times = [span_text(planned(row), zone=zone) for row in version.slots.order_by("start_at")]
    return [_told(one, times) for one in errors]


def _told(problem: Problem, times: Sequence[str]) -> Invalid:
    path = "slots" if problem.slot is None else f"slots[{problem.slot}]"
    text = problem.text if problem.slot is None else joined(" ", [times[problem.slot], problem.text])
    if problem.nearest is not None:
        text = fitting(text, value=problem.nearest, unit=problem.nearest_unit)
    return Invalid(text, path=path, code=problem.code.value)


def _store_findings(*, organisation_id: int, version_id: int, actor: Actor, at: datetime) -> None:
    """Check it once more, so that what stands against it is kept; somebody may have changed it meanwhile."""
    try:
        check_version(organisation_id=organisation_id, version_id=version_id, actor=actor, at=at)
    except (Conflict, NotFound) as gone:
        logger.info("plan changed while it was refused", action="publish", version=version_id, code=gone.code)


def _put_in_force(
    version: PlanVersion, carrier: ScheduleCarrier, *, actor: Actor, at: datetime, policy: SchedulePolicy
) -> None:
    """The version takes the place of the published one; plan and plant are locked."""
    plan = version.plan
    before = plan.versions.filter(state=PlanState.PUBLISHED).first()
    if before is not None:
        before.plan = plan
        _move(before, PlanState.REPLACED, ended_at=at)
        note_event(plan, before, "REPLACED", actor=actor.name, at=at, by=version.number)
    _move(
        version,
        PlanState.PUBLISHED,
        carrier=carrier,
        problems=version.problems,
        published_at=at,
        published_by_name=actor.name[:150],
    )
    _hand_over(before, version, actor=actor, at=at, policy=policy)
    note_event(plan, version, "PUBLISHED", actor=actor.name, at=at, carrier=str(carrier))


def _move(version: PlanVersion, to: PlanState, **changes: object) -> None:
    """Guarded by the state that was read under the plan's lock: whoever changes versions holds it."""
    moved = PlanVersion.objects.filter(pk=version.pk, state=version.state).update(state=to, **changes)
    if moved != 1:
        raise Conflict(said("the version changed meanwhile"), code="PLAN_CHANGED")
    version.state = to
    for name, value in changes.items():
        setattr(version, name, value)


def _hand_over(
    before: PlanVersion | None, version: PlanVersion, *, actor: Actor, at: datetime, policy: SchedulePolicy
) -> None:
    """From the carrier of `before` to that of `version`: what is new first, then what is no longer wanted."""
    kept: Sequence[int] = []
    if version.carrier == ScheduleCarrier.VOKE:
        create_schedules(version, actor=actor, at=at, policy=policy)
    else:
        kept = make_runs(version, before, at=at, policy=policy)
    if before is None:
        return
    # One before `before` may stand at Voke still, waiting for a successor that has one of its own by now.
    withdraw_schedules(before, successor=version, actor=actor, at=at, policy=policy)
    if before.carrier == ScheduleCarrier.DISPATCHER:
        close_runs(before, keep=kept, actor=actor, at=at, policy=policy, takes_over=True)


def publish_many(
    *,
    organisation_id: int,
    version_ids: Sequence[int],
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    accept_warnings: bool = False,
    seen: Mapping[int, int] | None = None,
) -> list[Published]:
    """Publish many versions, each in a transaction of its own: one that is refused holds up none of the others.

    In the order asked for, each named once; `seen`: by version the mark of its plan that the person saw. A database
    that fails for one is told as its error (DATABASE_FAILED) and the next one is tried. Raises `Invalid`
    (TOO_MANY_PLANS).
    """
    wanted = list(dict.fromkeys(version_ids))
    if len(wanted) > MOST_AT_ONCE:
        raise Invalid(
            said("at most %(limit)s plans at once", limit=MOST_AT_ONCE),
            path="versions",
            code="TOO_MANY_PLANS",
        )
    answers = []
    for version_id in wanted:
        try:
            version = publish(
                organisation_id=organisation_id,
                version_id=version_id,
                actor=actor,
                at=at,
                policy=policy,
                accept_warnings=accept_warnings,
                seen=None if seen is None else seen.get(version_id, 0),
            )
        except DomainError as error:
            answers.append(Published(version_id=version_id, error=error))
        except DatabaseError as error:
            logger.warning(
                "plan not published", action="publish", version=version_id, error=type(error).__name__
            )
            failed = Conflict(said("the database failed; try again"), code="DATABASE_FAILED")
            answers.append(Published(version_id=version_id, error=failed))
        else:
            answers.append(Published(version_id=version_id, version=version))
    return answers


def republish(
    *,
    organisation_id: int,
    version_id: int,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    accept_warnings: bool = False,
) -> PlanVersion:
    """Hand the published version over to the plant's present carrier: its slots as the next version, published at once.

    Raises as `publish`, and `Conflict` (NOT_PUBLISHED, SAME_CARRIER, DRAFT_EXISTS: somebody edits this day).
    """
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        plan = version.plan
        if version.state != PlanState.PUBLISHED:
            raise Conflict(said("the version is %(state)s", state=version.state), code="NOT_PUBLISHED")
        if version.carrier == plan.plant.schedule_carrier:
            raise Conflict(
                said("it is carried by %(carrier)s already", carrier=version.carrier), code="SAME_CARRIER"
            )
        if plan.versions.filter(state__in=OPEN).exists():
            raise Conflict(said("somebody edits this day: publish or discard the draft"), code="DRAFT_EXISTS")
        draft = Draft(
            external_plant_id=plan.plant.external_plant_id,
            day=plan.day,
            slots=[planned(row) for row in version.slots.order_by("start_at")],
        )
        note = f"as version {version.number}, carried by {plan.plant.schedule_carrier}"
        (made,) = save_drafts(
            organisation_id=organisation_id,
            drafts=[draft],
            actor=actor,
            at=at,
            origin=Origin(version.origin),
            note=note,
        )
        problems = check_version(organisation_id=organisation_id, version_id=made.pk, actor=actor, at=at)
        errors = _errors_of(problems, made)
        if errors:
            raise Several(errors)
        return publish(
            organisation_id=organisation_id,
            version_id=made.pk,
            actor=actor,
            at=at,
            policy=policy,
            accept_warnings=accept_warnings,
        )


def cancel_plan(
    *,
    organisation_id: int,
    version_id: int,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
) -> PlanVersion:
    """End the published version without a successor: nothing more of it is sent, what holds is taken back.

    Raises `Invalid` (REASON_MISSING), `NotFound`, `Conflict` (NOT_PUBLISHED).
    """
    if not reason.strip():
        raise Invalid(said("say why"), path="reason", code="REASON_MISSING")
    with transaction.atomic():
        version = lock_version(organisation_id=organisation_id, version_id=version_id)
        _lock_plant(version.plan)
        if version.state != PlanState.PUBLISHED:
            raise Conflict(said("the version is %(state)s", state=version.state), code="NOT_PUBLISHED")
        _move(version, PlanState.CANCELLED, ended_at=at)
        withdraw_schedules(version, successor=None, actor=actor, at=at, policy=policy)
        if version.carrier == ScheduleCarrier.DISPATCHER:
            close_runs(version, keep=[], actor=actor, at=at, policy=policy, takes_over=False)
        note_event(version.plan, version, "CANCELLED", actor=actor.name, at=at, reason=reason[:500])
    return version
