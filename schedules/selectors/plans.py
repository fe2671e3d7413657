"""Plans as lists and pages show them: each query answers for a whole page, every list is bounded.

A plan's row tells of the version that is in force (published, else done) and of the open one beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypedDict

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from dispatch.models import Proof
from dispatch.models.proof import Graded
from plants.errors import NotFound
from schedules.mapping import planned
from schedules.models import (
    IN_FORCE,
    OPEN,
    DayPlan,
    PlanEvent,
    PlanSlot,
    PlanState,
    PlanVersion,
    SlotRun,
    VokeSchedule,
)
from schedules.selectors.marks import mark_of
from schedules.selectors.proof import strongest
from schedules.slots import PlannedSlot
from vcp.said import said

MOST_LISTED = 200
MOST_EVENTS = 500
_AHEAD = timedelta(hours=36)
_WIDEST_OFFSET = timedelta(hours=14)
_MOST_AHEAD = 4
"""More than can run at once and one that follows."""


class _Graded(TypedDict):
    verdict: str
    off_by: float | None
    unit: str


def plans_of(
    *,
    organisation_id: int,
    external_plant_id: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    state: PlanState | None = None,
) -> "QuerySet[DayPlan]":
    """The organisation's plans, newest day first, with plant; filters are joined by "and". Callers page.

    Annotated: `in_force_id`, `in_force_state`, `in_force_number` of the version that is published or was carried out,
    `open_id`, `open_state`, `open_number` of the one that is edited; None where there is none. `state` keeps plans that
    have a version in that state.
    """
    rows = DayPlan.objects.filter(organisation_id=organisation_id).select_related("plant")
    if external_plant_id is not None:
        rows = rows.filter(plant__external_plant_id=external_plant_id)
    if first_day is not None:
        rows = rows.filter(day__gte=first_day)
    if last_day is not None:
        rows = rows.filter(day__lte=last_day)
    if state is not None:
        rows = rows.filter(pk__in=PlanVersion.objects.filter(state=state).order_by().values("plan_id"))
    in_force = PlanVersion.objects.filter(plan=OuterRef("pk"), state__in=IN_FORCE).order_by("-number")
    edited = PlanVersion.objects.filter(plan=OuterRef("pk"), state__in=OPEN)
    columns = {"id": "pk", "state": "state", "number": "number"}
    found = {f"in_force_{name}": Subquery(in_force.values(of)[:1]) for name, of in columns.items()}
    found |= {f"open_{name}": Subquery(edited.values(of)[:1]) for name, of in columns.items()}
    return rows.annotate(**found).order_by("-day", "plant__external_plant_id", "pk")


def history(*, organisation_id: int, plan_id: int, limit: int = MOST_EVENTS) -> Sequence[PlanEvent]:
    """What happened to a plan and who did it, newest first, each with its version."""
    rows = PlanEvent.objects.filter(plan_id=plan_id, plan__organisation_id=organisation_id)
    return list(rows.select_related("version").order_by("-pk")[:limit])


def history_of_plant(*, plant_id: int, since: date, limit: int = 40) -> Sequence[PlanEvent]:
    """What happened to the plans of a plant's days from `since` on, newest first, each with its plan and version."""
    rows = PlanEvent.objects.filter(plan__plant_id=plant_id, plan__day__gte=since)
    return list(rows.select_related("version", "plan").order_by("-pk")[:limit])


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What a plant's published plans say for now, and the next slot after that; None = nothing.

    `number`: of the plan's version that they belong to.
    """

    current: PlannedSlot | None
    following: PlannedSlot | None
    number: int | None = None


def slots_ahead(*, plant_id: int, at: datetime) -> Ahead:
    """The slot that runs and the one that begins next, within _AHEAD; one statement.

    Where the plans of two days overlap (the plant's zone changed between them) the later day speaks.
    """
    rows = (
        PlanSlot.objects.filter(
            version__plan__plant_id=plant_id,
            # Days of any zone that may hold such a slot, so that plans are found by their day.
            version__plan__day__range=((at - _WIDEST_OFFSET).date(), (at + _AHEAD + _WIDEST_OFFSET).date()),
            version__state=PlanState.PUBLISHED,
            start_at__lt=at + _AHEAD,
            end_at__gt=at,
        )
        .select_related("version__plan")
        .order_by("start_at")[:_MOST_AHEAD]
    )
    running = [row for row in rows if row.start_at <= at]
    newest = max(running, key=lambda row: row.version.plan.day, default=None)
    following = next((row for row in rows if row.start_at > at), None)
    told = newest or following
    return Ahead(
        current=None if newest is None else planned(newest),
        following=None if following is None else planned(following),
        number=None if told is None else told.version.number,
    )


@dataclass(frozen=True, kw_only=True)
class SlotOutcome:
    """One slot of a day: what was planned, and what became of it.

    `run_state` "" = no run of ours (Voke carries it, or it is not published); `turn` counts its turns. `winner` names
    what was in force instead. `verdict` is the measured proof, of our commands (the `strongest` of all turns) or of the
    slot that Voke carries; "" = none yet.
    """

    slot: PlannedSlot
    run_state: str = ""
    turn: int = 0
    cause: str = ""
    winner: str = ""
    command_id: int | None = None
    command_state: str = ""
    verdict: str = ""
    off_by: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class DayView:
    """A version with its slots and what became of each; `schedules`: those at Voke, when it carries the plan."""

    plan: DayPlan
    version: PlanVersion
    outcomes: Sequence[SlotOutcome]
    schedules: Sequence[VokeSchedule]
    mark: int

    @property
    def counts(self) -> dict[str, int]:
        """How many slots ended how: by verdict where there is one, else by what became of the run."""
        found: dict[str, int] = {}
        for one in self.outcomes:
            word = one.verdict or one.run_state or "PLANNED"
            found[word] = found.get(word, 0) + 1
        return found


def plan_of_day(
    *, organisation_id: int, external_plant_id: str, day: date, version_id: int | None = None
) -> DayView:
    """A plant's day, slot by slot; a bounded number of statements whatever the number of slots and turns.

    Without `version_id` of the version in force, else of the open one, else of the newest. Raises `NotFound`.
    """
    # First, so that a change while we read makes the mark too old, never too new.
    mark = mark_of(organisation_id=organisation_id, external_plant_id=external_plant_id, day=day)
    versions = PlanVersion.objects.select_related("plan__plant").filter(
        plan__organisation_id=organisation_id, plan__plant__external_plant_id=external_plant_id, plan__day=day
    )
    found = list(versions.order_by("-number")[:MOST_LISTED])
    version = _wanted(found, version_id)
    if version is None:
        raise NotFound(
            said("nothing is planned for %(day)s", day=day.isoformat()), path="day", code="PLAN_NOT_FOUND"
        )
    turns = SlotRun.objects.select_related("command__verification").order_by("turn")
    slots = version.slots.select_related("proof").order_by("start_at")
    slots = slots.prefetch_related(Prefetch("runs", queryset=turns))
    return DayView(
        plan=version.plan,
        version=version,
        outcomes=[_outcome(slot) for slot in slots],
        schedules=list(
            VokeSchedule.objects.filter(version=version).select_related("create_command", "cancel_command")
        ),
        mark=mark,
    )


def _wanted(found: Sequence[PlanVersion], version_id: int | None) -> PlanVersion | None:
    if version_id is not None:
        return next((one for one in found if one.pk == version_id), None)
    for states in ((PlanState.PUBLISHED,), (PlanState.DONE,), OPEN):
        for one in found:
            if one.state in states:
                return one
    return found[0] if found else None


def _outcome(row: PlanSlot) -> SlotOutcome:
    runs = list(row.runs.all())
    if not runs:
        return SlotOutcome(slot=planned(row), **_graded(getattr(row, "proof", None)))
    run = runs[-1]
    # A turn that waits or was given up may follow one whose command says more.
    spoken = next((one for one in reversed(runs) if one.command is not None), run)
    command = run.command or spoken.command
    proofs = [
        one.command.verification for one in runs if one.command and hasattr(one.command, "verification")
    ]
    return SlotOutcome(
        slot=planned(row),
        run_state=run.state,
        turn=run.turn,
        cause=run.cause,
        winner=run.winner,
        command_id=None if command is None else command.pk,
        command_state="" if command is None else command.state,
        **_graded(strongest(proofs)),
    )


def _graded(proof: Graded | None) -> _Graded:
    """The measured proof, which is read along; neither a command nor a slot need have one."""
    if proof is None or proof.verdict == Proof.PENDING:
        return {"verdict": "", "off_by": None, "unit": ""}
    return {"verdict": proof.verdict, "off_by": proof.off_by, "unit": proof.unit}
