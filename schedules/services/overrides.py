"""Overrides: a person's setpoint above the plan, with an end, in force at once.

While an override is open the plan's slots are PREEMPTED; when it ends, the slot that is current then has a new turn
(`schedules.services.turns`). It is sent as HIGH, valid until its end: should the platform fall silent, Voke lets go of
it by itself.

Edge cases (the concurrency policy):
- The plant is locked first, as by everybody who commands it: of two that begin at once the second replaces the first,
  and an emergency either refuses it (PLANT_LATCHED) or ends it.
- A setpoint of the plan that is on its way when the override begins is taken back while nothing of it was sent. Sent
  ones are covered, being NORMAL; HIGH ones of slots that begin under the override would win by their later beginning,
  so the override is said once more for their beginning.
- Ended or replaced before its time: first the plan's slot (or the successor) is commanded in the same transaction, as
  HIGH (`standing.strong_until`), then what Voke holds of the old one is taken back: at once where nothing takes its
  place, else when what does is over. One that ends by its time needs no message.
- An emergency ends it: releasing the emergency brings back the plan, not the override.
- A base mode that takes something else back ends it at Voke: it is said again (`override_turns`).
- Its command was refused by the broker, rejected by Voke or came to nothing unsent: it ends as REFUSED and the plan
  goes on. Silence (UNCONFIRMED) does not end it: it may be in force.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch
from dispatch.requests import Actor, CommandRequest
from dispatch.services.bulk import Among
from dispatch.services.commands import lock_plant, submit
from dispatch.services.life import Move, advance_many
from dispatch.services.outbox import withdraw_unattempted
from dispatch.services.retracting import retract
from dispatch.services.undoing import take_back_unsent
from dispatch.states import BEFORE_SENT, NEVER_SENT, State
from plants.errors import NotFound
from plants.models import Plant
from schedules.models import Override, OverrideEnd, RunState, SlotRun
from schedules.policy import SchedulePolicy
from schedules.services.carried_by_us import carry_on
from schedules.services.override_checks import (
    as_override,
    asked_of,
    begun_under,
    require_end,
    require_open,
    require_reason,
)
from schedules.services.runs import Turned, lock_free_plants, write_runs
from schedules.services.standing import LONGEST_SLOT, OVERRIDDEN, override_text
from schedules.telling import tell_override, tell_overrides
from vcp import Priority, SiteSetpoint, to_wire
from vcp.said import said

BATCH = 500
_CAME_TO_NOTHING = NEVER_SENT | {State.REJECTED, State.RETURNED, State.REFUSED}


def begin_override(
    *,
    organisation_id: int,
    external_plant_id: str,
    payload: SiteSetpoint,
    until_at: datetime,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
    idempotency_key: str | None = None,
    new_id: NewId = uuid.uuid4,
) -> Override:
    """Put a setpoint above the plan from now until `until_at`; one that is open is replaced.

    The payload's priority and times are the override's own. A known `idempotency_key` answers what it began.

    Raises `Invalid` (REASON_MISSING, BAD_END, TOO_LONG), `NotFound`, and whatever a command of the plant is refused
    with (`Conflict`: PLANT_LATCHED, DISPATCH_OFF ...; `Several`: limits).
    """
    require_reason(reason)
    key = idempotency_key
    with transaction.atomic():
        plant = lock_plant(organisation_id=organisation_id, external_plant_id=external_plant_id)
        begun = begun_under(
            key, organisation_id=organisation_id, plant_id=plant.pk, payload=payload, until_at=until_at
        )
        if begun is not None:
            return begun
        require_end(until_at, at=at, policy=policy)
        now = as_override(payload, at=at, until_at=until_at)
        command = _send(plant, now, actor=actor, reason=reason, at=at, policy=policy, new_id=new_id, key=key)
        before = Override.objects.filter(plant=plant, ended_at__isnull=True).first()
        if before is not None:
            _end(before, OverrideEnd.REPLACED, actor=actor, at=at)
        override = Override.objects.create(
            organisation_id=organisation_id,
            plant=plant,
            payload=to_wire(now),
            command=command,
            begun_at=at,
            until_at=until_at,
            by=actor.user,
            by_name=actor.name[:150],
            reason=reason[:500],
        )
        tell_override(override, at=at)
        _stand_above(override, at=at, from_at=at, until_at=until_at)
        _say_again_where_beaten(override, now, actor=actor, at=at, policy=policy, new_id=new_id)
        if before is not None:
            _take_back(before, actor=actor, reason=f"replaced: {reason}", at=at, policy=policy, new_id=new_id)
    return override


def _send(
    plant: Plant,
    payload: SiteSetpoint,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId,
    batch_ref: str = "",
    key: str | None = None,
) -> Command:
    request = CommandRequest(
        external_plant_id=plant.external_plant_id,
        payload=payload,
        reason=reason,
        batch_ref=batch_ref,
        idempotency_key=key,
    )
    return submit(
        organisation_id=plant.organisation_id,
        request=request,
        actor=actor,
        at=at,
        policy=policy.dispatch,
        new_id=new_id,
    ).command


def _stand_above(override: Override, *, at: datetime, from_at: datetime, until_at: datetime) -> None:
    """The plan's commands of slots within [from_at, until_at) are covered from now on; unsent ones are taken back."""
    runs = list(
        SlotRun.objects.filter(
            plant_id=override.plant_id,
            state=RunState.COMMANDED,
            due_at__gt=at - LONGEST_SLOT,
            slot__end_at__gt=from_at,
            slot__start_at__lt=until_at,
        ).select_related("command")
    )
    _take_back_unsent([run.command for run in runs if run.command is not None], override, at=at)
    write_runs(
        [
            Turned(
                pk=run.pk,
                state=RunState.PREEMPTED,
                due_at=run.due_at,
                cause=OVERRIDDEN,
                winner=override_text(override),
                command_id=run.command_id,
                decided_at=at,
            )
            for run in runs
        ]
    )


def _take_back_unsent(commands: Sequence[Command], override: Override, *, at: datetime) -> None:
    ids = sorted(command.pk for command in commands if State(command.state) in BEFORE_SENT)
    locked = Command.objects.select_for_update(of=("self",)).filter(Among(ids)).order_by("pk")
    unsent = [pk for pk, state in locked.values_list("pk", "state") if State(state) in BEFORE_SENT]
    free = withdraw_unattempted(command_ids=unsent, why=f"override {override.pk}", at=at)
    detail = {"override": override.pk, "winner": override_text(override)}
    moves = [Move(command_id=pk, to=State.SUPERSEDED, cause=OVERRIDDEN, detail=detail) for pk in sorted(free)]
    advance_many(moves=moves, at=at)


def _say_again_where_beaten(
    override: Override,
    payload: SiteSetpoint,
    *,
    actor: Actor,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId,
) -> None:
    """Among HIGH targets the one that begins later wins at Voke: slots that were sent ahead would take over."""
    beaten = SlotRun.objects.filter(
        plant_id=override.plant_id,
        state=RunState.PREEMPTED,
        due_at__gt=at - LONGEST_SLOT,
        slot__start_at__gt=at,
        slot__start_at__lt=override.until_at,
        command__payload__priority=Priority.HIGH.value,
    ).exclude(command__state__in=[state.value for state in _CAME_TO_NOTHING])
    for starts_at in sorted(set(beaten.values_list("slot__start_at", flat=True))):
        again = msgspec.structs.replace(payload, valid_from=starts_at)
        _send(
            override.plant,
            again,
            actor=actor,
            reason=override.reason,
            at=at,
            policy=policy,
            new_id=new_id,
            batch_ref=ref_of(override),
        )


def ref_of(override: Override) -> str:
    """The batch reference of the commands that say an override again."""
    return f"override:{override.pk}"


def extend_override(
    *,
    organisation_id: int,
    override_id: int,
    until_at: datetime,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
    idempotency_key: str | None = None,
    new_id: NewId = uuid.uuid4,
) -> Override:
    """Let an open override last until another instant, earlier or later: the same ask, begun anew.

    Its length counts from now. Raises as `begin_override`, and `Conflict` (NOT_OPEN).
    """
    with transaction.atomic():
        override = _lock(organisation_id, override_id)
        begun = begun_under(
            idempotency_key,
            organisation_id=organisation_id,
            plant_id=override.plant_id,
            payload=asked_of(override),
            until_at=until_at,
        )
        if begun is not None:
            return begun
        require_open(override)
        return begin_override(
            organisation_id=organisation_id,
            external_plant_id=override.plant.external_plant_id,
            payload=asked_of(override),
            until_at=until_at,
            actor=actor,
            reason=reason,
            at=at,
            policy=policy,
            idempotency_key=idempotency_key,
            new_id=new_id,
        )


def end_override(
    *,
    organisation_id: int,
    override_id: int,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId = uuid.uuid4,
) -> Override:
    """End an open override before its time; the plan goes on with the slot that is current now.

    Raises `NotFound`, `Conflict` (NOT_OPEN), `Invalid` (REASON_MISSING).
    """
    require_reason(reason)
    with transaction.atomic():
        override = _lock(organisation_id, override_id)
        require_open(override)
        _end(override, OverrideEnd.ENDED, actor=actor, at=at)
        # What never left needs no strong successor.
        _cancel_unsent(override, actor=actor, reason=reason, at=at)
        carry_on(override.plant_id, at=at, policy=policy, new_id=new_id)
        _take_back(override, actor=actor, reason=reason, at=at, policy=policy, new_id=new_id)
    return override


def _lock(organisation_id: int, override_id: int) -> Override:
    """The override with its plant locked; the plant before it, as everywhere."""
    rows = Override.objects.filter(organisation_id=organisation_id, pk=override_id)
    if (found := rows.values_list("plant__external_plant_id", flat=True).first()) is None:
        raise NotFound(said("no such override"), path="override", code="OVERRIDE_NOT_FOUND")
    lock_plant(organisation_id=organisation_id, external_plant_id=found)
    return rows.select_related("plant").get()


def _end(override: Override, cause: OverrideEnd, *, actor: Actor, at: datetime) -> None:
    override.ended_at, override.end_cause, override.ended_by_name = at, cause, actor.name[:150]
    override.save(update_fields=["ended_at", "end_cause", "ended_by_name"])
    tell_override(override, at=at)


def _take_back(
    override: Override,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: SchedulePolicy,
    new_id: NewId,
) -> None:
    """Whatever Voke may hold of an override that ended; what takes its place has been commanded already."""
    for command_id in commands_of(override).values_list("pk", flat=True):
        retract(
            command_id=command_id,
            actor=actor,
            reason=reason,
            at=at,
            policy=policy.dispatch,
            new_id=new_id,
        )


def _cancel_unsent(override: Override, *, actor: Actor, reason: str, at: datetime) -> None:
    for command in commands_of(override).select_for_update(of=("self",)):
        take_back_unsent(command, actor=actor, reason=reason, at=at)


def commands_of(override: Override) -> QuerySet[Command]:
    """Its command, and those that said it again."""
    mine = Q(pk=override.command_id) | Q(batch_ref=ref_of(override), pk__gt=override.command_id or 0)
    return Command.objects.filter(mine, plant_id=override.plant_id).order_by("pk")


# --- the tick ---------------------------------------------------------------------------------------------------------


def expire_overrides(*, at: datetime, limit: int = BATCH) -> int:
    """Tick: end what is over: by its time, by an emergency, because its command came to nothing or was taken back.

    Answers how many ended; call again while it answers `limit`. A constant number of statements.
    """
    found = list(_over(at).values_list("pk", "plant_id")[:limit])
    if not found:
        return 0
    with transaction.atomic():
        free = lock_free_plants([plant_id for _, plant_id in found])
        rows = list(
            _over(at)
            .filter(Among([pk for pk, _ in found]), Among(free, of="plant_id"))
            .annotate(stopped=_emergency_after())
            .values_list(
                "pk", "stopped", "until_at", "command__state", "command__cause", "plant_id", "organisation_id"
            )
        )
        by_cause: dict[OverrideEnd, list[int]] = defaultdict(list)
        for pk, stopped, until_at, state, cause, *_ in rows:
            by_cause[_cause_of(stopped, until_at, state, cause, at)].append(pk)
        tell_overrides([(row[0], row[5], row[6], "OVER") for row in rows], at=at)
        for cause_of_end, ids in by_cause.items():
            ended_at = F("until_at") if cause_of_end is OverrideEnd.EXPIRED else at
            Override.objects.filter(Among(ids)).update(ended_at=ended_at, end_cause=cause_of_end)
    return len(rows)


def _over(at: datetime) -> QuerySet[Override]:
    """Open overrides that nothing holds any more."""
    came_to_nothing = Q(command__state__in=[state.value for state in _CAME_TO_NOTHING])
    return (
        Override.objects.filter(ended_at__isnull=True)
        .filter(
            Q(until_at__lte=at)
            | Q(_emergency_after())
            | came_to_nothing
            | Q(command__retraction__isnull=False)
        )
        .order_by("until_at", "pk")
    )


def _emergency_after() -> Exists:
    # By the ids of the commands: both were made under the plant's lock, so the later one has the higher id.
    return Exists(
        EmergencyLatch.objects.filter(plant_id=OuterRef("plant_id"), command_id__gt=OuterRef("command_id"))
    )


def _cause_of(
    stopped: bool, until_at: datetime, state: str | None, cause: str | None, at: datetime
) -> OverrideEnd:
    if stopped:
        return OverrideEnd.EMERGENCY
    if until_at <= at:
        return OverrideEnd.EXPIRED
    if state == State.CANCELLED and cause == "CANCELLED":  # a person took its command back, not the override
        return OverrideEnd.ENDED
    nothing = state is not None and State(state) in _CAME_TO_NOTHING
    return OverrideEnd.REFUSED if nothing else OverrideEnd.ENDED
