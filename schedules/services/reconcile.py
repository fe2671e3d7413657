"""Compares what Voke says it runs at a plant with what we believe, and mends the difference: not blindly, not twice.

What we know stands in tables, so a restart of the platform needs nothing. Voke may have lost a schedule, or have kept
one that we cancelled; `GET /vcp/sites/{id}/config` tells by its member `activeSchedule`, and this is what follows:

| Voke runs | we believe | what happens |
| --- | --- | --- |
| one of ours | it should run | seen; one whose creation met silence is accepted by that |
| one of ours | it was cancelled, replaced or lost | it is cancelled (again) |
| one that is not ours | - | an alarm tells it; it is not touched |
| nothing | one of ours should run | at the second look: it is lost, and made anew with the slots left and a new id |
| nothing | nothing should run | - |

Interpretation: an absent member tells nothing, null tells that no schedule runs. Only a schedule whose slot runs since
GRACE can be missed, since nobody says what is shown between slots. Another schedule there tells nothing about ours,
which may stand beneath it, and neither does a null while an emergency or an override stands above the plan.

What our dispatcher carries is not asked for: its state is in our tables.

Edge cases (the concurrency policy):
- A report that was asked for before something happened tells nothing about it: what changed within GRACE is left.
- Two reports at once are judged one after the other, under the locks of plan and plant. A lost schedule is replaced
  once (its successor's row names it, which is unique).
- A schedule that is lost again is made anew again, `most_turns` times at most.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, SiteReport
from dispatch.services.life import advance
from dispatch.services.voke_words import VOKE
from dispatch.states import State
from plants.models import Plant
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from schedules.models import Override, VokeSchedule
from schedules.policy import SchedulePolicy, current_schedule_policy
from schedules.services.drafts import note_event
from schedules.services.told import AFTER_END
from schedules.services.voke_turns import Chance, Turn, lock_around, make_anew
from vcp import ProtocolError, parse_timestamp
from vcp.said import said

RECONCILED = "RECONCILED"
LOST, SEEN = "LOST_AT_VOKE", "SEEN_AT_VOKE"
FOREIGN = "FOREIGN_SCHEDULE"
GRACE = timedelta(seconds=30)
"""So long a slot must have run, and a change be known, before a report tells about it."""
LOOKS_APART = timedelta(seconds=45)
_IN_DOUBT = frozenset({State.SENT, State.UNCONFIRMED})


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a report says of schedules. `schedule_id` "" = none runs."""

    schedule_id: str

    @property
    def as_uuid(self) -> uuid.UUID | None:
        """As our ids are; None = it can't be ours."""
        try:
            return uuid.UUID(self.schedule_id)
        except ValueError:
            return None


def shown_by(payload: object) -> Shown | None:
    """What an answer says; None = nothing about schedules, or nothing that we understand."""
    if not isinstance(payload, Mapping) or "activeSchedule" not in payload:
        return None
    active = payload["activeSchedule"]
    if active is None:
        return Shown(schedule_id="")
    named = active.get("scheduleId") if isinstance(active, Mapping) else None
    return Shown(schedule_id=named) if isinstance(named, str) and named else None


def compare(
    plant: Plant,
    report: SiteReport,
    at: datetime,
    *,
    policy: SchedulePolicy | None = None,
    new_id: NewId = uuid.uuid4,
    chance: Chance = random.random,
) -> None:
    """Compare a plant's newest report with its schedules, and do what follows; called once with each report."""
    shown = shown_by(report.payload)
    if shown is None or report.error_code:
        return
    looked_at = report.asked_at
    live = VokeSchedule.objects.filter(plant=plant, gone_at__isnull=True)
    named = VokeSchedule.objects.filter(plant=plant, schedule_id=shown.as_uuid) if shown.as_uuid else None
    seen_id = None if named is None else named.values_list("pk", flat=True).first()
    _tell_foreign(plant, shown, is_ours=seen_id is not None, at=at)
    turn = Turn(at=at, policy=policy or current_schedule_policy(), new_id=new_id, chance=chance)
    if seen_id is not None:
        _note_seen(seen_id, looked_at, at)
    for pk in live.filter(unwanted_at__isnull=True, starts_at__lte=looked_at).values_list("pk", flat=True):
        if pk != seen_id:
            _note_not_seen(pk, plant, nothing_runs=not shown.schedule_id, looked_at=looked_at, turn=turn)


def _tell_foreign(plant: Plant, shown: Shown, *, is_ours: bool, at: datetime) -> None:
    alarm_id = f"foreign-schedule:{plant.pk}"
    if is_ours or not shown.schedule_id:
        clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=at)
        return
    raise_platform_alarm(
        connection_id=None,
        plant_id=plant.pk,
        alarm_id=alarm_id,
        severity="WARNING",
        code=FOREIGN,
        message=said(
            "Voke runs schedule %(schedule_id)s, which is not one of ours.",
            schedule_id=shown.schedule_id[:64],
        ),
        at=at,
    )


# --- one that Voke runs -----------------------------------------------------------------------------------------------


@transaction.atomic
def _note_seen(pk: int, looked_at: datetime, at: datetime) -> None:
    rows = lock_around(pk)
    row = next((one for one in rows if one.pk == pk), None)
    if row is None:
        _withdraw_again(pk, looked_at, at)
        return
    row.seen_at, row.missing_at = looked_at, None
    if row.unwanted_at is not None:
        _cancel_if_given_up(row, looked_at, at)
    elif row.accepted_at is None:
        _accept(row, at)
    row.save(update_fields=["seen_at", "missing_at", "due_at", "accepted_at"])


def _accept(row: VokeSchedule, at: datetime) -> None:
    row.accepted_at, row.due_at = at, row.ends_at + AFTER_END
    if row.create_command is not None:
        advance(command_id=row.create_command.pk, to=State.EXECUTING, at=at, cause=SEEN, actor=VOKE)
    _note(row, "runs", at)


def _cancel_if_given_up(row: VokeSchedule, looked_at: datetime, at: datetime) -> None:
    """A cancellation that is still tried goes on by itself; one that was given up is tried once more for each sight."""
    last = row.cancel_command
    if last is None or State(last.state) in _IN_DOUBT - {State.UNCONFIRMED} or row.due_at is None:
        return
    if looked_at >= last.state_at + GRACE and row.due_at > at:
        row.due_at = at


def _withdraw_again(pk: int, looked_at: datetime, at: datetime) -> None:
    """Ours and thought to be gone. Nothing else changes such a row: the update names what it found."""
    row = VokeSchedule.objects.select_related("version__plan").get(pk=pk)
    if row.gone_at is None or row.gone_at > looked_at - GRACE or row.ends_at <= at:
        return
    changed = VokeSchedule.objects.filter(pk=pk, gone_at=row.gone_at).update(
        gone_at=None,
        unwanted_at=at,
        successor=None,
        cancel_command=None,
        due_at=at,
        seen_at=looked_at,
    )
    if changed:
        _note(row, "still there: it is cancelled again", at)


# --- one that it does not run -----------------------------------------------------------------------------------------


@transaction.atomic
def _note_not_seen(pk: int, plant: Plant, *, nothing_runs: bool, looked_at: datetime, turn: Turn) -> None:
    rows = lock_around(pk)
    row = next((one for one in rows if one.pk == pk), None)
    if row is None or row.unwanted_at is not None:
        return
    should = nothing_runs and _should_run(row, looked_at) and not _something_stronger(plant, looked_at)
    if not should or row.missing_at is None:
        missing_at = looked_at if should else None
        if row.missing_at != missing_at:
            row.missing_at = missing_at
            row.save(update_fields=["missing_at"])
    elif looked_at >= row.missing_at + LOOKS_APART:
        _make_lost_anew(row, rows, turn)


def _make_lost_anew(row: VokeSchedule, rows: Sequence[VokeSchedule], turn: Turn) -> None:
    if row.create_command is not None:
        advance(command_id=row.create_command.pk, to=State.FAILED, at=turn.at, cause=LOST, actor=VOKE)
    make_anew(row, rows, cause=LOST, turn=turn, word=RECONCILED)


def _should_run(row: VokeSchedule, looked_at: datetime) -> bool:
    """Whether Voke was asked for it, long enough ago, and one of its slots runs since a while."""
    command = row.create_command
    if command is None:
        return False
    known_since = row.accepted_at
    if known_since is None:
        if State(command.state) is not State.UNCONFIRMED:
            return False
        known_since = command.state_at
    if known_since > looked_at - GRACE:
        return False
    return any(
        start <= looked_at - GRACE and looked_at < end
        for start, end in _spans(command.payload.get("slots", []))
    )


def _spans(slots: Sequence[Mapping[str, Any]]) -> list[tuple[datetime, datetime]]:
    """What we asked for, as our own command keeps it."""
    try:
        return [(parse_timestamp(slot["from"]), parse_timestamp(slot["to"])) for slot in slots]
    except (ProtocolError, KeyError) as error:
        raise ValueError("a stored command is not as it was stored") from error


def _something_stronger(plant: Plant, looked_at: datetime) -> bool:
    latched = EmergencyLatch.objects.filter(plant=plant).filter(
        Q(released_at__isnull=True) | Q(released_at__gt=looked_at - GRACE)
    )
    overridden = Override.objects.filter(plant=plant).filter(
        Q(ended_at__isnull=True) | Q(ended_at__gt=looked_at - GRACE)
    )
    return latched.exists() or overridden.exists()


def _note(row: VokeSchedule, what: str, at: datetime) -> None:
    plan = row.version.plan
    note_event(plan, row.version, RECONCILED, actor=VOKE, at=at, schedule=str(row.schedule_id), what=what)


# --- whom to ask ------------------------------------------------------------------------------------------------------


def plants_to_look_at(*, at: datetime, every: timedelta, limit: int) -> list[int]:
    """Plants whose schedules at Voke should be looked at, those in doubt first.

    In doubt: missed at the last look, or created into silence; then those that run and were not seen for `every`.
    """
    silent = Command.objects.filter(pk=OuterRef("create_command"), state=State.UNCONFIRMED)
    rows = (
        VokeSchedule.objects.filter(gone_at__isnull=True, starts_at__lte=at - GRACE, ends_at__gt=at)
        .annotate(in_doubt=Q(missing_at__isnull=False) | Exists(silent))
        .filter(Q(in_doubt=True) | Q(seen_at__isnull=True) | Q(seen_at__lte=at - every))
        .order_by("-in_doubt", F("seen_at").asc(nulls_first=True), "pk")
    )
    return list(dict.fromkeys(rows.values_list("plant_id", flat=True)[:limit]))
