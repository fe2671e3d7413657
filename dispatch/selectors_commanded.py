"""What a plant was commanded when: the course of its targets at Voke, for charts and lists.

A command counts from when it reached Voke, and only where it was in force there (`dispatch.verification`): what was
asked for and never sent is not in it. Powers in the sign of the site: positive = import.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from dispatch.models import Command, Kind, Verification
from dispatch.targets import WITHOUT_EFFECT, targets_of
from dispatch.verification import Aim, Rank, Target, aim_of, followed
from vcp import parse_timestamp

_LONGEST = timedelta(days=2)
"""An ordinary setpoint that began earlier and still holds is not looked for: none holds longer than a day by itself."""


@dataclass(frozen=True, kw_only=True)
class CommandedStep:
    """[from_at, to_at) in which one target was in force; an energy is told as its mean power.

    `own`: the plant's own power (battery minus PV) was asked for, not the grid's.
    """

    from_at: datetime
    to_at: datetime
    power_kw: float
    own: bool
    command_id: int
    automatic: bool
    rank: Rank


@dataclass(frozen=True, kw_only=True)
class CommandedMark:
    """A mode or an emergency that reached Voke, which ended what was in force; `payload` in wire names."""

    at: datetime
    command_id: int
    kind: Kind
    payload: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Commanded:
    """Both in the order of time."""

    steps: Sequence[CommandedStep]
    marks: Sequence[CommandedMark]


class _Asked:
    """A command as it was asked for."""

    def __init__(self, kind: str, payload: Mapping[str, Any], automatic: bool) -> None:
        self.kind, self.payload, self.automatic = Kind(kind), payload, automatic
        slots = payload["slots"] if self.kind is Kind.SCHEDULE_CREATE else ()
        self._slots = {parse_timestamp(slot["from"]): slot for slot in slots}

    def aim(self, target: Target) -> Aim:
        """What the target asks for: the setpoint, or the schedule's slot that begins then."""
        if self.kind is not Kind.SCHEDULE_CREATE:
            return aim_of(self.payload)
        slot = self._slots[target.asked_at]
        minutes = (parse_timestamp(slot["to"]) - target.asked_at) / timedelta(minutes=1)
        return aim_of({"intervalMinutes": minutes, **slot})


def commanded(*, plant_id: int, from_at: datetime, to_at: datetime) -> Commanded:
    """What was in force when within [from_at, to_at), also what is in force beyond the present; eight statements."""
    low = _begin_of_the_first(plant_id, from_at)
    targets = targets_of(plant_ids=[plant_id], low=low, high=to_at).get(plant_id, [])
    course = followed(targets, from_at=from_at, to_at=to_at)
    ended = [one for one in targets if one.ends_all and from_at <= one.begins_at < to_at]
    asked = _asked({one.order for one in [*(target for _, target in course), *ended]})
    steps = []
    for window, target in course:
        command = asked[target.order]
        aim = command.aim(target)
        hours = 1.0 if aim.interval is None else aim.interval / timedelta(hours=1)
        steps.append(
            CommandedStep(
                from_at=window.from_at,
                to_at=window.to_at,
                power_kw=aim.value / hours,
                own=aim.own,
                command_id=target.order,
                automatic=command.automatic,
                rank=Rank(target.rank),
            )
        )
    marks = [
        CommandedMark(
            at=one.begins_at,
            command_id=one.order,
            kind=asked[one.order].kind,
            payload=asked[one.order].payload,
        )
        for one in sorted(ended, key=lambda one: (one.begins_at, one.order))
    ]
    return Commanded(steps=steps, marks=marks)


def _begin_of_the_first(plant_id: int, from_at: datetime) -> datetime:
    """Where the ordinary setpoints begin that still hold at `from_at`."""
    rows = Verification.objects.filter(
        plant_id=plant_id, begins_at__gt=from_at - _LONGEST, begins_at__lt=from_at, ends_at__gt=from_at
    )
    first: datetime | None = rows.exclude(command__state__in=WITHOUT_EFFECT).aggregate(
        first=Min("begins_at")
    )["first"]
    return first or from_at


def _asked(command_ids: Iterable[int]) -> dict[int, _Asked]:
    rows = Command.objects.filter(pk__in=sorted(command_ids)).order_by()
    return {
        pk: _Asked(kind, payload, automatic)
        for pk, kind, payload, automatic in rows.values_list("pk", "kind", "payload", "automatic")
    }
