"""What Voke says of schedules, attached to commands and plans: events by correlationId or scheduleId, missed slots.

Interpretation: the events' meaning is not public. ACCEPTED or REJECTED answers the create; ACTIVE when its first slot
begins, COMPLETED after its last; CANCELLED ends it. A create that was cancelled because we asked ends as COMPLETED (it
did what was still wanted of it, cause SCHEDULE_CANCELLED), one that Voke cancelled by itself as FAILED (cause
CANCELLED_BY_VOKE): the state CANCELLED promises that nothing was sent, and stays for that. The cancellation is
COMPLETED by CANCELLED and REJECTED by REJECTED, which says that Voke knows of no such schedule.

Edge cases (the concurrency policy):
- Commands are locked before schedules, and each in order of their ids; plants and plans are not locked here. What has
  to follow (a refused plan, the next cancellation) is left to the tick of `schedules.services.voke_turns`.
- An event may come late, twice or before our own bookkeeping: the newest by Voke's clock is what `told` says, and an
  end stays an end.
- A REJECTED without a correlation of ours speaks of the cancellation when the schedule was accepted before.
- Events of schedules that are not ours change nothing here; their notices are kept (`dispatch.models.ScheduleNotice`).
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from dispatch.models import Command, Kind, OutboundMessage
from dispatch.services.life import Move
from dispatch.services.schedule_life import expect_until
from dispatch.services.voke_words import VOKE, ScheduleTold, messages_by_correlation
from dispatch.states import State
from plants.models import Disposition
from schedules.models import PlanEvent, VokeSchedule
from vcp import ScheduleStatus, Unknown, known

AFTER_END = timedelta(minutes=5)
"""So long after its last slot Voke may still tell how a schedule ended."""
CANCELLED_BY_VOKE, REFUSED, CANCELLED = "CANCELLED_BY_VOKE", "REFUSED_BY_VOKE", "SCHEDULE_CANCELLED"
_S = ScheduleStatus
_CREATE_STATES: Mapping[ScheduleStatus, State] = {
    _S.ACCEPTED: State.ACCEPTED,
    _S.ACTIVE: State.EXECUTING,
    _S.COMPLETED: State.COMPLETED,
    _S.REJECTED: State.REJECTED,
    _S.CANCELLED: State.FAILED,
}
_CANCEL_STATES: Mapping[ScheduleStatus, State] = {
    _S.ACCEPTED: State.ACCEPTED,
    _S.REJECTED: State.REJECTED,
    _S.CANCELLED: State.COMPLETED,
}


@dataclass(frozen=True, kw_only=True)
class MissedSlot:
    """Voke's alarm that a slot of a schedule was not reached; `slot`: its index in what we created, None = not told."""

    plant_id: int
    schedule_id: str
    slot: int | None
    alarm_id: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class About:
    """What an event speaks of: our schedule, and the commands that it moves, with their messages."""

    told: ScheduleTold
    schedule: int | None
    of_cancel: bool
    asked: bool
    moves: tuple[Move, ...]

    @property
    def status(self) -> ScheduleStatus | None:
        """Voke's word; None = one that we do not know."""
        word = known(ScheduleStatus, self.told.event.status)
        return None if isinstance(word, Unknown) else word


def understand(*, connection_id: int, told: Sequence[ScheduleTold]) -> list[About]:
    """What each event speaks of, in the order of Voke's clock; nothing is locked or changed."""
    if not told:
        return []
    ordered = sorted(told, key=lambda one: (one.told_at, one.inbound_id))
    messages = messages_by_correlation(connection_id, {one.correlation_id for one in ordered})
    ids = {command_id for _, command_id in messages.values() if command_id is not None}
    kinds = dict(
        Command.objects.filter(pk__in=ids, kind__in=[Kind.SCHEDULE_CREATE, Kind.SCHEDULE_CANCEL]).values_list(
            "pk", "kind"
        )
    )
    rows = _schedules(ordered, kinds)
    newest = _newest_messages(rows)
    found = []
    for one in ordered:
        outbound_id, command_id = messages.get(one.correlation_id, (None, None))
        kind = None if command_id is None else kinds.get(command_id)
        row = _match(one, rows, command_id if kind is not None else None)
        sent = {command_id: outbound_id} if kind is not None and command_id is not None else {}
        found.append(_about(one, row, kind, command_id, newest | sent))
    return found


def _schedules(told: Iterable[ScheduleTold], kinds: Mapping[int, str]) -> list[VokeSchedule]:
    by_id = Q()
    for one in told:
        schedule_id = _as_uuid(one.event.schedule_id)
        if schedule_id is not None:
            by_id |= Q(plant_id=one.plant_id, schedule_id=schedule_id)
    of_commands = Q(create_command__in=list(kinds)) | Q(cancel_command__in=list(kinds))
    condition = (by_id | of_commands) if kinds else by_id
    return list(VokeSchedule.objects.filter(condition).order_by("pk")) if condition else []


def _match(one: ScheduleTold, rows: Sequence[VokeSchedule], command_id: int | None) -> VokeSchedule | None:
    """The correlation says more than the schedule's name; the name counts within its plant only."""
    if command_id is not None:
        for row in rows:
            if command_id in (row.create_command_id, row.cancel_command_id):
                return row
    named = _as_uuid(one.event.schedule_id)
    return next((row for row in rows if row.plant_id == one.plant_id and row.schedule_id == named), None)


def _newest_messages(rows: Sequence[VokeSchedule]) -> dict[int, int | None]:
    """The newest message of each command of these schedules."""
    ids = {pk for row in rows for pk in (row.create_command_id, row.cancel_command_id) if pk is not None}
    pairs = OutboundMessage.objects.filter(command_id__in=ids).order_by("pk").values_list("command_id", "pk")
    return {command_id: pk for command_id, pk in pairs if command_id is not None}


def _about(
    one: ScheduleTold,
    row: VokeSchedule | None,
    kind: str | None,
    command_id: int | None,
    sent: Mapping[int, int | None],
) -> About:
    create = row.create_command_id if row is not None else None
    cancel = row.cancel_command_id if row is not None else None
    if kind == Kind.SCHEDULE_CREATE:
        create = command_id
    elif kind == Kind.SCHEDULE_CANCEL:
        cancel = command_id
    accepted_before = row is not None and row.accepted_at is not None
    of_cancel = kind == Kind.SCHEDULE_CANCEL or (kind is None and cancel is not None and accepted_before)
    asked = kind == Kind.SCHEDULE_CANCEL or (row is not None and row.unwanted_at is not None)
    word = known(ScheduleStatus, one.event.status)
    moves = []
    if not isinstance(word, Unknown):
        says_of_cancel = of_cancel if word is _S.REJECTED else kind == Kind.SCHEDULE_CANCEL
        if create is not None and (word is _S.CANCELLED or not says_of_cancel):
            moves.append(_create_move(one, word, create, sent.get(create), asked=asked))
        if cancel is not None and (word is _S.CANCELLED or says_of_cancel) and word in _CANCEL_STATES:
            moves.append(_move(one, _CANCEL_STATES[word], cancel, sent.get(cancel), f"SCHEDULE_{word}"))
    return About(
        told=one,
        schedule=None if row is None else row.pk,
        of_cancel=of_cancel,
        asked=asked,
        moves=tuple(moves),
    )


def _create_move(
    one: ScheduleTold, word: ScheduleStatus, command_id: int, outbound_id: int | None, *, asked: bool
) -> Move:
    if word is _S.CANCELLED:
        to, cause = (State.COMPLETED, CANCELLED) if asked else (State.FAILED, CANCELLED_BY_VOKE)
        return _move(one, to, command_id, outbound_id, cause)
    return _move(one, _CREATE_STATES[word], command_id, outbound_id, f"SCHEDULE_{word}")


def _move(one: ScheduleTold, to: State, command_id: int, outbound_id: int | None, cause: str) -> Move:
    reason = {"reason": one.event.reason} if one.event.reason else {}
    return Move(
        command_id=command_id,
        to=to,
        cause=cause,
        actor=VOKE,
        told_at=one.told_at,
        detail={"status": one.event.status, "scheduleId": one.event.schedule_id} | reason,
        outbound_id=outbound_id,
        inbound_id=one.inbound_id,
    )


def keep(*, about: Sequence[About], dispositions: Mapping[int, Disposition], at: datetime) -> None:
    """Write what was told to schedules and plans; call after the commands were moved (`dispositions` says which)."""
    ids = {one.schedule for one in about if one.schedule is not None}
    if not ids:
        return
    rows = VokeSchedule.objects.select_for_update(of=("self",)).filter(pk__in=ids).select_related("version")
    locked = {row.pk: row for row in rows.order_by("pk")}
    events = []
    for one in about:
        row = locked.get(one.schedule) if one.schedule is not None else None
        if row is None:
            continue
        _apply(row, one, at)
        began = one.status is _S.ACTIVE and dispositions.get(one.told.inbound_id) is Disposition.APPLIED
        if began and row.create_command_id is not None:
            expect_until(command_id=row.create_command_id, later_by=row.ends_at - row.starts_at)
        events.append(_event(row, one, at))
    VokeSchedule.objects.bulk_update(locked.values(), _WRITTEN)
    PlanEvent.objects.bulk_create(events)


_WRITTEN = ("told", "told_at", "reason", "accepted_at", "gone_at", "due_at", "cause", "missing_at")


def _apply(row: VokeSchedule, one: About, at: datetime) -> None:
    told = one.told
    if row.told_at is None or told.told_at >= row.told_at:
        row.told, row.told_at = told.event.status[:64], told.told_at
        row.reason = (told.event.reason or "")[:500]
    if row.gone_at is not None:
        return
    match one.status:
        case _S.ACCEPTED | _S.ACTIVE if not (one.of_cancel and one.status is _S.ACCEPTED and one.asked):
            row.accepted_at = row.accepted_at or told.told_at
            if row.unwanted_at is None:
                row.due_at, row.cause = row.ends_at + AFTER_END, ""
        case _S.COMPLETED:
            _end(row, "COMPLETED", at)
        case _S.CANCELLED if one.asked:
            _end(row, CANCELLED, at)
        case _S.REJECTED if one.of_cancel:
            _end(row, "CANCEL_REJECTED", at)
        case _S.CANCELLED:
            row.cause, row.due_at = CANCELLED_BY_VOKE, at
        case _S.REJECTED:
            row.cause, row.due_at = REFUSED, at


def _end(row: VokeSchedule, cause: str, at: datetime) -> None:
    row.gone_at, row.cause, row.due_at, row.missing_at = at, cause, None, None


def _event(row: VokeSchedule, one: About, at: datetime) -> PlanEvent:
    reason = {"reason": one.told.event.reason} if one.told.event.reason else {}
    return PlanEvent(
        plan_id=row.version.plan_id,
        version_id=row.version_id,
        at=at,
        word=f"VOKE_{one.told.event.status}"[:24],
        actor=VOKE,
        detail={"schedule": str(row.schedule_id), "priority": row.priority} | reason,
    )


def keep_missed_slots(*, missed: Sequence[MissedSlot], at: datetime) -> None:
    """Attach Voke's alarms of missed slots to the plans whose schedules they name; others are nobody's."""
    if not missed:
        return
    condition = Q()
    for one in missed:
        schedule_id = _as_uuid(one.schedule_id)
        if schedule_id is not None:
            condition |= Q(plant_id=one.plant_id, schedule_id=schedule_id)
    if not condition:
        return
    rows = {
        (row.plant_id, row.schedule_id): row
        for row in VokeSchedule.objects.filter(condition).select_related("version", "create_command")
    }
    events = []
    for one in missed:
        row = rows.get((one.plant_id, _as_uuid(one.schedule_id) or uuid.UUID(int=0)))
        if row is not None:
            events.append(_missed_event(row, one, at))
    PlanEvent.objects.bulk_create(events)


def _missed_event(row: VokeSchedule, one: MissedSlot, at: datetime) -> PlanEvent:
    slots = [] if row.create_command is None else row.create_command.payload.get("slots", [])
    named = {} if one.slot is None or not 0 <= one.slot < len(slots) else {"slot": slots[one.slot]["from"]}
    detail = {"schedule": str(row.schedule_id), "alarm": one.alarm_id} | named
    return PlanEvent(
        plan_id=row.version.plan_id,
        version_id=row.version_id,
        at=at,
        word="SLOT_MISSED",
        actor=VOKE,
        detail=detail,
    )


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
