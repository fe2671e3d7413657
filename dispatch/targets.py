"""What plants were to follow within a time, read for many plants at once: setpoints, modes, emergencies, schedules.

Only what can have reached Voke counts: a command that was never attempted, or that Voke rejected, ends nobody's target.
It counts from when it reached Voke: when the broker had taken it, else when it was handed over.

Interpretation: Voke carries a schedule's slots among the setpoints of the schedule's priority; a cancelled one ends
when its cancellation reached Voke. A target that was taken back ends when that was asked for, unless it was left to run
out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, When

from dispatch.models import Command, Kind, OutboundMessage, Outcome, Retraction, Verification
from dispatch.services.bulk import Among
from dispatch.states import NEVER_SENT, State
from dispatch.verification import Rank, Target, rank_of
from vcp import parse_timestamp

_LATE = timedelta(hours=48)
"""So long an emergency may wait until it reaches Voke, and still end what it finds there."""
WITHOUT_EFFECT = frozenset(
    {*NEVER_SENT, State.SCHEDULED, State.RETURNED, State.REFUSED, State.REJECTED, State.QUEUED_BY_VOKE}
)
"""States in which a command changes nothing at the site: it did not reach Voke, was refused, or still waits there."""
_ENDERS = (Kind.EMERGENCY, Kind.MODE)
_NO_END = (Retraction.How.EXPIRE, Retraction.How.OVER)


def targets_of(*, plant_ids: Collection[int], low: datetime, high: datetime) -> dict[int, list[Target]]:
    """By plant, all that began before `high` and could be in force, or end a target, after `low`: six queries.

    `order` is the command's id. Of ordinary setpoints that began before `low` none is told: they beat nobody.
    """
    setpoints = _setpoints(plant_ids, low, high)
    created = _created(plant_ids, low, high)
    # What ended a stronger one, or cancelled a schedule, may have come long before `low`.
    since = min([low, *(row[3] for row in setpoints), *(row[4] for row in created)])
    others = [row[:4] for row in created] + _enders(plant_ids, since - _LATE, high)
    reached = reached_at([*(row[0] for row in setpoints), *(row[0] for row in others)])
    taken_back = taken_back_at([row[0] for row in setpoints])
    found: dict[int, list[Target]] = defaultdict(list)
    for pk, plant_id, rank, begins_at, ends_at in setpoints:
        if pk in reached:
            found[plant_id].append(
                Target(
                    order=pk,
                    rank=rank,
                    asked_at=begins_at,
                    begins_at=max(begins_at, reached[pk]),
                    ends_at=min(ends_at, taken_back.get(pk, ends_at)),
                )
            )
    cancelled = {
        row[3].get("scheduleId"): reached[row[0]]
        for row in others
        if row[2] == Kind.SCHEDULE_CANCEL and row[0] in reached
    }
    for pk, plant_id, kind, payload in others:
        if pk in reached:
            found[plant_id] += _of_other(pk, kind, payload, reached[pk], cancelled)
    return found


_Setpoint = tuple[int, int, int, datetime, datetime]
_Other = tuple[int, int, str, dict[str, Any]]


def _setpoints(plant_ids: Collection[int], low: datetime, high: datetime) -> list[_Setpoint]:
    rows = Verification.objects.filter(Among(plant_ids, of="plant_id"), begins_at__lt=high).exclude(
        command__state__in=WITHOUT_EFFECT
    )
    columns = ("command_id", "plant_id", "rank", "begins_at", "ends_at")
    ordinary = rows.filter(begins_at__gte=low).order_by()
    stronger = rows.filter(rank__gt=Rank.NORMAL, begins_at__lt=low, ends_at__gt=low).order_by()
    return [*ordinary.values_list(*columns), *stronger.values_list(*columns)]


def _created(plant_ids: Collection[int], low: datetime, high: datetime) -> list[tuple[*_Other, datetime]]:
    """Schedules that are not over at `low`, however long ago they were made known: they may be sent until their end."""
    rows = Command.objects.filter(
        Among(plant_ids, of="plant_id"), kind=Kind.SCHEDULE_CREATE, deliver_by_at__gt=low, due_at__lt=high
    ).exclude(state__in=WITHOUT_EFFECT)
    return list(rows.order_by().values_list("pk", "plant_id", "kind", "payload", "due_at"))


def _enders(plant_ids: Collection[int], since: datetime, high: datetime) -> list[_Other]:
    rows = Command.objects.filter(
        Among(plant_ids, of="plant_id"),
        kind__in=[*_ENDERS, Kind.SCHEDULE_CANCEL],
        due_at__gte=since,
        due_at__lt=high,
    ).exclude(state__in=WITHOUT_EFFECT)
    return list(rows.order_by().values_list("pk", "plant_id", "kind", "payload"))


def _of_other(
    pk: int,
    kind: str,
    payload: Mapping[str, Any],
    reached: datetime,
    cancelled: Mapping[str | None, datetime],
) -> Iterator[Target]:
    if kind in _ENDERS:
        yield Target(
            order=pk,
            rank=Rank.EMERGENCY,
            asked_at=reached,
            begins_at=reached,
            ends_at=None,
            ends_all=True,
        )
    elif kind == Kind.SCHEDULE_CREATE:
        gone_at = cancelled.get(payload.get("scheduleId"))
        for slot in payload["slots"]:
            starts_at, ends_at = parse_timestamp(slot["from"]), parse_timestamp(slot["to"])
            begins_at = max(starts_at, reached)
            ends_at = ends_at if gone_at is None else min(ends_at, gone_at)
            if begins_at < ends_at:
                yield Target(
                    order=pk,
                    rank=rank_of(payload["priority"]),
                    asked_at=starts_at,
                    begins_at=begins_at,
                    ends_at=ends_at,
                )


def reached_at(command_ids: Collection[int]) -> dict[int, datetime]:
    """When each command first reached Voke; those that were never handed over are not in it. One query."""
    found: dict[int, datetime] = {}
    rows = OutboundMessage.objects.filter(
        Among(command_ids, of="command_id"), attempted_at__isnull=False
    ).order_by()
    arrived = Case(When(outcome=Outcome.CONFIRMED, then=F("outcome_at")), default=F("attempted_at"))
    for pk, at in rows.annotate(arrived=arrived).values_list("command_id", "arrived"):
        if pk is not None:
            found[pk] = min(at, found.get(pk, at))
    return found


def taken_back_at(command_ids: Collection[int]) -> dict[int, datetime]:
    """When each command was taken back after it was sent; one that was left to run out is not in it. One query."""
    rows = Retraction.objects.filter(Among(command_ids, of="command_id")).exclude(how__in=_NO_END)
    return dict(rows.values_list("command_id", "asked_at"))
