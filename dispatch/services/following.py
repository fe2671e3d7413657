"""What takes a command back is followed until Voke has it: made anew when it came to nothing, while it is still wanted.

A base mode, a stop, 0 kW or a cancellation that was decided holds for people and plans: where its message is lost, the
site keeps the old target, or its emergency. So each `Retraction` is open (`follow_until`) until Voke has taken what was
sent for it, or what it was to end is over by itself. A release is one too: of its emergency.

Edge cases (the concurrency policy):
- Came to nothing: EXPIRED, RETURNED, REFUSED, REJECTED, FAILED, or handed over and never confirmed. All of them can be
  said twice without harm. What Voke has and did not answer (ACK_OVERDUE) is not repeated; the diagnosis explains it.
- Before it is made anew `dispatch.services.inverse` decides again, under the plant's lock: an emergency, a newer mode
  or a newer target may have made it needless, or have to go first.
- After a pause that grows, with jitter, `MOST_ATTEMPTS` in all; then an alarm stands until it is settled or over. The
  alarm of a release stands from the first one that came to nothing: people think that the emergency has ended.
- What could not be sent at once (a switch is off ...) said so to who asked, and is not made anew. What could not later
  on (the key of the next connection has no scope) came to nothing like the others.
- What a person took back, or an emergency stands above, is not made anew.
- Two ticks at once: rows are claimed with SKIP LOCKED; after a crash they are as before.
"""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from dispatch.models import Command, Kind, Retraction
from dispatch.pauses import pause_after
from dispatch.requests import Actor
from dispatch.services.undoing import ENDS_WITHIN, NEVER_CONFIRMED
from dispatch.states import NEVER_SENT, State
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from vcp.said import joined, said

NOT_DONE = "TAKING_BACK_NOT_DONE"
MOST_ATTEMPTS = 5
FOLLOW_BATCH = 200
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=60)
_DONE = [
    State.ACCEPTED, State.QUEUED_BY_VOKE, State.PARTIAL, State.EXECUTING, State.COMPLETED, State.DEVIATED,
]  # fmt: skip
_NOTHING = [State.EXPIRED, State.RETURNED, State.REFUSED, State.REJECTED, State.FAILED]


def follow_releases(base_modes: Mapping[int, Command], *, actor: Actor, reason: str, at: datetime) -> None:
    """Follow the base modes of releases, by the ids of the emergencies that they end."""
    Retraction.objects.bulk_create(
        [
            Retraction(
                command_id=emergency_id,
                how=Retraction.How.BASE_MODE,
                by_command=base_mode,
                follow_until=None if State(base_mode.state) in NEVER_SENT else at + ENDS_WITHIN,
                asked_at=at,
                asked_by=actor.user,
                asked_by_name=actor.name[:150],
                reason=reason[:500],
            )
            for emergency_id, base_mode in base_modes.items()
        ]
    )


def follow_up(*, at: datetime, limit: int = FOLLOW_BATCH, chance: Callable[[], float] = random.random) -> int:
    """Tick: settle what Voke has or what is over, and plan anew what came to nothing; how many rows were worked on.

    `chance` answers a number within [0, 1). Call again while it answers `limit`; `retracting.send_due` sends.
    """
    return max(_settle(at, limit), _plan_again(at, limit, chance))


def _open() -> QuerySet[Retraction]:
    rows = Retraction.objects.select_for_update(of=("self",), skip_locked=True)
    return rows.filter(follow_until__isnull=False, due_at__isnull=True)


@transaction.atomic
def _settle(at: datetime, limit: int) -> int:
    # Of a release only a mode: what a person asked for since does not end the emergency.
    ends = ~Q(command__kind=Kind.EMERGENCY) | Q(by_command__kind=Kind.MODE)
    by_a_person = Q(by_command__state=State.CANCELLED, by_command__cause=State.CANCELLED.value)
    dropped = Q(by_command__isnull=True) | Q(by_command__state=State.SUPERSEDED) | by_a_person
    over = Q(by_command__state__in=_DONE) & ends | dropped | Q(follow_until__lte=at)
    rows = list(_open().filter(over).select_related("command").order_by("pk")[:limit])
    for row in rows:
        if row.attempts:
            clear_platform_alarm(
                connection_id=row.command.connection_id, alarm_id=not_done_alarm_id(row.pk), at=at
            )
    Retraction.objects.filter(pk__in=[row.pk for row in rows]).update(follow_until=None)
    return len(rows)


@transaction.atomic
def _plan_again(at: datetime, limit: int, chance: Callable[[], float]) -> int:
    lost = (
        Q(by_command__state__in=_NOTHING)
        | Q(by_command__state=State.UNCONFIRMED, by_command__cause=NEVER_CONFIRMED)
        | Q(by_command__state=State.CANCELLED) & ~Q(by_command__cause=State.CANCELLED.value)
    )
    failed = _open().filter(lost, attempts__lt=MOST_ATTEMPTS, follow_until__gt=at)
    rows = list(failed.select_related("command__plant", "by_command").order_by("pk")[:limit])
    for row in rows:
        row.attempts += 1
        given_up = row.attempts >= MOST_ATTEMPTS
        row.due_at = None if given_up else at + _pause_after(row.attempts, chance())
        if given_up or row.command.kind == Kind.EMERGENCY:
            _raise_alarm(row, given_up=given_up, at=at)
    if rows:
        Retraction.objects.bulk_update(rows, ["attempts", "due_at"])
    return len(rows)


def _pause_after(attempts: int, chance: float) -> timedelta:
    return pause_after(attempts, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE, chance=chance)


def _raise_alarm(row: Retraction, *, given_up: bool, at: datetime) -> None:
    command, by = row.command, row.by_command
    done = said("released") if command.kind == Kind.EMERGENCY else said("taken back")
    end = said("it is tried again")
    if given_up:
        end = said("it is not tried again: check the plant on site")
    if by is not None:
        sent = said("#%(pk)s is %(state)s (%(cause)s)", pk=by.pk, state=by.state, cause=by.cause)
        end = joined("; ", [sent, end])
    raise_platform_alarm(
        connection_id=command.connection_id,
        plant_id=command.plant_id,
        alarm_id=not_done_alarm_id(row.pk),
        severity="CRITICAL",
        code=NOT_DONE,
        message=(
            said(
                "Command #%(pk)s of %(plant)s was %(done)s, but what ends it did not reach Voke: %(end)s.",
                pk=command.pk,
                plant=str(command.plant),
                done=done,
                end=end,
            )
        ),
        at=at,
    )


def not_done_alarm_id(command_id: int) -> str:
    """The id of the alarm that stands while what takes a command back has not reached Voke."""
    return f"taking-back:{command_id}"
