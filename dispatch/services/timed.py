"""Device commands with an end: a start, and an explicit stop that goes out whatever happens meanwhile.

The stop is no delayed message: it is made, checked and signed when it is due. Until it is accepted the row stays open;
a stop that came to nothing (EXPIRED, RETURNED, REFUSED, REJECTED, FAILED, CANCELLED because it could not be sent, or
never confirmed by the broker) is made again after a pause that grows, with jitter, a bounded number of times. From the
third on an alarm is raised, and it stays until the device is stopped, commanded anew or taken by an emergency.

Edge cases (the concurrency policy):
- Plant, row, start are locked in this order: of two ticks, or a tick and a cancel, the second finds the stop of the
  first.
- After a crash or a long halt the stop goes out late, and both commands say by how much.
- Nothing is stopped when the start never left; an unsent start is taken back when its stop is due. A start that was
  attempted but not confirmed is stopped, and not handed out again.
- A device that was commanded anew since is left alone: its stop would end somebody else's order. None left: REPLACED.
- A stop whose sender was killed is sent as the same bytes while its time lasts, and made again after it: nobody knows
  whether it left; a second stop does no harm, and without one the device runs on.
- Silence after a stop that the broker confirmed is not answered by another one (Voke may have it): the alarm tells it.
- Under a STOP the emergency has stopped the devices: EMERGENCY. A HOLD freezes them as they are: the stop waits for the
  release, whose base mode ends them; where that was not sent, the stop is.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Least

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, Kind, TimedCommand
from dispatch.policy import Policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import Submitted, check, lock_plant, submit
from dispatch.services.life import Note, append_notes
from dispatch.services.not_stopped import not_stopped_alarm_id, not_taken, raise_not_stopped
from dispatch.services.undoing import (
    IN_FORCE,
    NEVER_CONFIRMED,
    give_up_attempts,
    may_have_arrived,
    newer_than,
    newer_there,
    store_or_record,
    take_back_unsent,
)
from dispatch.states import NEVER_SENT, State
from dispatch.stops import devices_in, stop_of, without_stop
from dispatch.timed_policy import TimedPolicy
from plants.errors import Conflict, Invalid
from plants.models import Plant
from plants.services.alarms import clear_platform_alarm
from vcp import DeviceBatch, DeviceCommand, Family, parse_payload, to_wire
from vcp.said import said

TIMER = Actor(name="timer")
STOPPED, NOTHING_SENT, REPLACED, EMERGENCY = "STOPPED", "NOTHING_SENT", "REPLACED", "EMERGENCY"
STOP_BATCH = 200
_LATE_AFTER = timedelta(seconds=5)
_ALARM_AFTER = 3
_LOOK_AGAIN = timedelta(seconds=60)
_DONE = [State.ACCEPTED, State.EXECUTING, State.COMPLETED, State.DEVIATED]
_NOTHING = [
    State.PARTIAL, State.REJECTED, State.RETURNED, State.REFUSED, State.EXPIRED, State.FAILED, State.CANCELLED,
    State.SUPERSEDED,
]  # fmt: skip


def submit_timed(
    *,
    organisation_id: int,
    request: CommandRequest,
    actor: Actor,
    at: datetime,
    policy: Policy,
    timed: TimedPolicy,
    stop_at: datetime | None = None,
    duration: timedelta | None = None,
    new_id: NewId = uuid.uuid4,
) -> Submitted:
    """Store a device command with its end: at `stop_at`, or `duration` after it is due.

    Raises as `submit` does, and `Invalid` (no end, an end before the start or too far off) or `Conflict` (STOP_UNKNOWN:
    a device of the batch has no stop; IDEMPOTENCY_KEY_REUSED: the key's command has another end).
    """
    stop = _stop_for(request)
    starts_at = max(request.due_at or at, at)
    with transaction.atomic():
        done = submit(
            organisation_id=organisation_id,
            request=request,
            actor=actor,
            at=at,
            policy=policy,
            new_id=new_id,
        )
        if not done.created:
            _require_same_end(done.command, stop_at, duration)
            return done
        ends_at = _end_of(starts_at, stop_at, duration, timed)
        TimedCommand.objects.create(start=done.command, stop_payload=to_wire(stop), stop_at=ends_at)
    return done


def check_timed(
    *,
    organisation_id: int,
    request: CommandRequest,
    at: datetime,
    policy: Policy,
    timed: TimedPolicy,
    stop_at: datetime | None = None,
    duration: timedelta | None = None,
) -> datetime:
    """A dry run of `submit_timed`: raises what it would raise, stores nothing; answers when the stop would be due."""
    _stop_for(request)
    check(organisation_id=organisation_id, request=request, at=at, policy=policy)
    return _end_of(max(request.due_at or at, at), stop_at, duration, timed)


def _stop_for(request: CommandRequest) -> DeviceBatch:
    if not isinstance(request.payload, DeviceBatch):
        raise Invalid(said("only device commands have a stop"), path="payload", code="STOP_UNKNOWN")
    asked = request.payload.commands
    unknown, stop = without_stop(request.payload), stop_of(request.payload)
    if unknown or stop is None:
        named = ", ".join(sorted({asked[place].device_id for place in unknown}))
        path = f"payload.commands[{unknown[0]}].command" if unknown else "payload"
        text = said("no stop is known for %(named)s", named=named or said("nothing"))
        raise Conflict(text, path=path, code="STOP_UNKNOWN")
    return stop


def _end_of(
    starts_at: datetime, stop_at: datetime | None, duration: timedelta | None, timed: TimedPolicy
) -> datetime:
    if (stop_at is None) == (duration is None):
        raise Invalid(said("give an end or a duration"), path="stopAt", code="END_REQUIRED")
    ends_at = stop_at if stop_at is not None else starts_at + (duration or timedelta(0))
    if ends_at.utcoffset() is None:
        raise Invalid(said("needs a time zone"), path="stopAt")
    if ends_at <= starts_at:
        raise Invalid(said("is not after the start"), path="stopAt", code="END_BEFORE_START")
    if ends_at > starts_at + timed.longest:
        hours = timed.longest.total_seconds() / 3600
        text = said("more than %(hours)s h after the start", hours=hours)
        raise Invalid(text, path="stopAt", code="TOO_LONG")
    return ends_at


def _require_same_end(command: Command, stop_at: datetime | None, duration: timedelta | None) -> None:
    known = TimedCommand.objects.filter(start=command).first()
    asked = stop_at if duration is None else command.due_at + duration
    if known is not None and (known.ended_at or known.stop_id):
        return  # its end may have been brought forward since
    if known is None or known.stop_at != asked:
        raise Conflict(
            said("the key was used for another request"), path="idempotencyKey", code="IDEMPOTENCY_KEY_REUSED"
        )


# --- the tick -----------------------------------------------------------------------------------------------------


def run_timed(
    *,
    at: datetime,
    policy: Policy,
    timed: TimedPolicy,
    limit: int = STOP_BATCH,
    new_id: NewId = uuid.uuid4,
    chance: Callable[[], float] = random.random,
) -> int:
    """Tick: stop what is due, follow the stops that were made; answers how many rows were worked on.

    `chance` answers a number within [0, 1). Call again while it answers `limit`.
    """
    ended = _end_stopped(at, limit)
    failed = _plan_again(at, timed, limit, chance)
    due = list(_open(at).filter(stop__isnull=True).order_by("stop_at").values_list("pk", flat=True)[:limit])
    for start_id in due:
        _stop_one(start_id, at=at, policy=policy, new_id=new_id)
    return max(ended, failed, len(due))


def _open(at: datetime) -> QuerySet[TimedCommand]:
    """Rows whose end has come and that may be looked at again."""
    return TimedCommand.objects.filter(
        Q(retry_at__isnull=True) | Q(retry_at__lte=at), ended_at__isnull=True, stop_at__lte=at
    )


@transaction.atomic
def _end_stopped(at: datetime, limit: int) -> int:
    """Stops that Voke accepted: one read and, where there are any, one update and one row of history each."""
    rows = TimedCommand.objects.select_for_update(of=("self",), skip_locked=True).filter(
        ended_at__isnull=True, stop__state__in=_DONE
    )
    done = list(rows.select_related("start").order_by("pk")[:limit])
    if done:
        _end_all(done, cause=STOPPED, at=at)
    return len(done)


def _end_all(rows: Sequence[TimedCommand], *, cause: str, at: datetime) -> None:
    TimedCommand.objects.filter(pk__in=[row.pk for row in rows]).update(
        ended_at=at, end_cause=cause, retry_at=None
    )
    notes = [
        Note(command_id=row.pk, word="TIMED_END", cause=f"TIMED_{cause}", actor=TIMER.name) for row in rows
    ]
    append_notes(notes=notes, at=at)
    for row in rows:
        if row.attempts or row.retry_at is not None:
            clear_platform_alarm(
                connection_id=row.start.connection_id, alarm_id=not_stopped_alarm_id(row.pk), at=at
            )


@transaction.atomic
def _plan_again(at: datetime, timed: TimedPolicy, limit: int, chance: Callable[[], float]) -> int:
    """Stops that came to nothing are counted and made again later; silence and the last of them raise the alarm."""
    rows = (
        TimedCommand.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(
            Q(retry_at__isnull=True) | Q(retry_at__lte=at),
            ended_at__isnull=True,
            stop__state__in=[*_NOTHING, State.UNCONFIRMED],
        )
        .select_related("stop", "start__plant")
        .order_by("pk")
    )
    found = list(rows[:limit])
    for row in found:
        if (stop := row.stop) is None:
            continue
        if stop.state == State.UNCONFIRMED and stop.cause != NEVER_CONFIRMED:
            row.retry_at = at + _LOOK_AGAIN
            raise_not_stopped(row, said("its stop #%(pk)s was not answered", pk=stop.pk), at)
            continue
        row.attempts += 1
        given_up = row.attempts >= timed.most_attempts
        if given_up and not _is_still_to_stop(row, at):
            row.stop, row.attempts, row.retry_at = None, timed.most_attempts, None  # ended by the next step
            continue
        row.retry_at = at + (_LOOK_AGAIN if given_up else timed.pause_after(row.attempts, chance()))
        row.stop = stop if given_up else None
        row.attempts = min(row.attempts, timed.most_attempts)
        if row.attempts >= min(_ALARM_AFTER, timed.most_attempts):
            raise_not_stopped(row, not_taken(stop, given_up=given_up), at)
    if found:
        TimedCommand.objects.bulk_update(found, ["attempts", "retry_at", "stop"])
    return len(found)


def _is_still_to_stop(row: TimedCommand, at: datetime) -> bool:
    """Of one that is left to people: nobody has commanded its devices anew, and no emergency came."""
    plant, start = row.start.plant, row.start
    return bool(_left_to_stop(row, start, at)) and not _ended_by_emergency(plant, start)


@transaction.atomic
def _stop_one(start_id: int, *, at: datetime, policy: Policy, new_id: NewId) -> None:
    plant, row = _locked(start_id)
    due = row is not None and row.ended_at is None and row.stop_id is None and row.stop_at <= at
    if row is None or not due:  # another tick, or a cancel, was first
        return
    start = Command.objects.select_for_update(of=("self",)).get(pk=start_id)
    if take_back_unsent(start, actor=TIMER, reason="its end came before it was sent", at=at):
        _end_all([row], cause=NOTHING_SENT, at=at)
        return
    if _never_began(start):
        _end_all([row], cause=NOTHING_SENT, at=at)
        return
    if _is_held(plant):
        TimedCommand.objects.filter(pk=row.pk).update(retry_at=at + timedelta(seconds=1))
        return
    if _ended_by_emergency(plant, start):
        _end_all([row], cause=EMERGENCY, at=at)
        return
    left = _left_to_stop(row, start, at)
    if not left:
        _end_all([row], cause=REPLACED, at=at)
        return
    give_up_attempts(start, actor=TIMER, at=at)
    stop = store_or_record(
        plant=plant,
        request=CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=DeviceBatch(commands=left),
            reason=f"End of #{start.pk}",
            automatic=True,
            batch_ref=end_ref(start.pk),
        ),
        last_connection_id=start.connection_id,
        actor=TIMER,
        at=at,
        policy=policy,
        new_id=new_id,
    )
    adopt_stop(start, stop, at=at)


def _locked(start_id: int) -> tuple[Plant, TimedCommand | None]:
    found = Command.objects.values_list("organisation_id", "plant__external_plant_id").get(pk=start_id)
    plant = lock_plant(organisation_id=found[0], external_plant_id=found[1])
    rows = TimedCommand.objects.select_for_update(of=("self",)).select_related("start")
    return plant, rows.filter(pk=start_id).first()


def end_ref(start_id: int) -> str:
    """The batch reference of the stops of one command."""
    return f"end:{start_id}"


def _left_to_stop(row: TimedCommand, start: Command, at: datetime) -> tuple[DeviceCommand, ...]:
    """The stops of the devices that nobody commanded anew by now, as far as we know that it arrived."""
    newer = newer_there(start).filter(kind=Kind.DEVICE, due_at__lte=at).exclude(batch_ref=end_ref(start.pk))
    taken = devices_in(newer.values_list("payload", flat=True)[:200])
    return tuple(one for one in _batch(row.stop_payload).commands if one.device_id not in taken)


def _batch(payload: dict[str, object]) -> DeviceBatch:
    parsed = parse_payload(Family.COMMAND_DEVICE, payload)
    if not isinstance(parsed, DeviceBatch):
        raise TypeError("a stop is a device batch")
    return parsed


def _never_began(start: Command) -> bool:
    state = State(start.state)
    if state in (State.RETURNED, State.REFUSED):
        return not may_have_arrived(start)
    return state in NEVER_SENT or state is State.REJECTED


def _is_held(plant: Plant) -> bool:
    """Whether a HOLD is in force: nothing else is sent, and it does not stop what runs."""
    return EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True, type="HOLD").exists()


def _ended_by_emergency(plant: Plant, start: Command) -> bool:
    """Whether a STOP has stopped the devices, or the base mode of a release has ended their orders."""
    latches = EmergencyLatch.objects.filter(plant=plant, set_at__gte=start.requested_at)
    in_force = [state.value for state in IN_FORCE]
    if EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True).exists():
        return True
    if latches.filter(type="STOP", command__state__in=in_force).exists():
        return True
    return latches.exists() and newer_than(start).filter(kind=Kind.MODE).exists()


# --- for who takes a start back -----------------------------------------------------------------------------------


def adopt_stop(start: Command, stop: Command, *, at: datetime) -> None:
    """A stop of a timed command was made: it is followed from here on. Nothing happens to a command without an end."""
    row = TimedCommand.objects.filter(pk=start.pk, ended_at__isnull=True).first()
    if row is None:
        return
    late = at - row.stop_at
    TimedCommand.objects.filter(pk=row.pk).update(stop=stop, stop_at=min(row.stop_at, at), retry_at=None)
    told = {"lateS": round(late.total_seconds())} if late > _LATE_AFTER else {}
    word = "STOP_LATE" if told else "STOP_SENT"
    mine = Note(command_id=start.pk, word=word, cause=word, actor=TIMER.name, detail=told | {"by": stop.pk})
    its = Note(
        command_id=stop.pk, word="STOPS", cause="STOPS", actor=TIMER.name, detail=told | {"stops": start.pk}
    )
    append_notes(notes=[mine, its], at=at)


def end_timed(start: Command, *, cause: str, at: datetime) -> None:
    """There is nothing to stop any more: nothing of the start was sent."""
    found = list(TimedCommand.objects.select_related("start").filter(pk=start.pk, ended_at__isnull=True))
    if found:
        _end_all(found, cause=cause, at=at)


def hasten_stop(start: Command, *, at: datetime) -> None:
    """The start was taken back while something else stands above it: the tick decides now, not at its end."""
    TimedCommand.objects.filter(pk=start.pk, ended_at__isnull=True).update(stop_at=Least(F("stop_at"), at))
