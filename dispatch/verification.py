"""Verified by measurement, pure: when a target was in force, what is judged of it, and the verdict on the measurement.

Signs are the site's (docs/glossary.md): positive = import. With `include_consumption` a target is the grid's power,
without it the plant's own: battery minus PV.

- In force: from its `validFrom`, or from when it reached Voke if that was later, until its `validUntil` or the start of
  a target that beats it. Interpretation: Voke follows the target of the highest priority, among equals the one that
  starts last, then the one that was asked for last. Mode commands, emergencies and retractions end what began before.
- A POWER target is judged from the settling time on: the plant needs a while to ramp. What is left must last `least`.
- An ENERGY target is judged over its whole interval, or not at all: a part of it proves nothing. Only its last minute
  may be cut, since an interval is told in whole minutes; what is asked for is then judged in proportion.
- VERIFIED: the measured value lies within the tolerance. NO_DATA: less than `coverage_pct` of the time is covered.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from operator import attrgetter
from typing import Any

from vcp import Direction, Priority, SetpointType

_EPSILON = 1e-9
_MINUTE = timedelta(minutes=1)
_HOUR_S = 3600.0
LOOKS_AGAIN = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 120, 480, 1440, 4320, 10080))
"""How long after a verdict that late measurements may change somebody looks for them."""


@dataclass(frozen=True, kw_only=True)
class ProofRules:
    """What a verdict needs. The larger tolerance counts; `late`: how long late measurements are waited for.

    `grace`: after the end of what is judged its last measurements are still on their way.
    """

    settling: timedelta = timedelta(seconds=60)
    least: timedelta = timedelta(seconds=60)
    grace: timedelta = timedelta(seconds=90)
    late: timedelta = timedelta(hours=24)
    tolerance_kw: float = 0.5
    tolerance_pct: float = 5.0
    coverage_pct: float = 50.0

    def look_again_at(self, judged_at: datetime, looks: int) -> datetime | None:
        """When late measurements are looked for after so many looks; None = no more."""
        waits = [wait for wait in LOOKS_AGAIN if wait < self.late] + ([self.late] if self.late else [])
        return judged_at + waits[looks] if looks < len(waits) else None


class Rank(IntEnum):
    """How strong a target is: the priorities of setpoints and schedules."""

    NORMAL = 0
    HIGH = 1
    EMERGENCY = 2


_RANKS = {Priority.NORMAL: Rank.NORMAL, Priority.HIGH: Rank.HIGH, Priority.EMERGENCY: Rank.EMERGENCY}


def rank_of(priority: str) -> Rank:
    """The rank of a priority in its wire name."""
    return _RANKS[Priority(priority)]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What was asked for: `value` in kW, or in kWh over `interval` (ENERGY), in the sign of the site.

    `own`: measured at battery and PV; else at the grid.
    """

    value: float
    interval: timedelta | None
    own: bool

    @property
    def unit(self) -> str:
        return "kW" if self.interval is None else "kWh"

    def within(self, window: "Window") -> "Aim":
        """What of it falls to a window: an energy in proportion."""
        if self.interval is None:
            return self
        judged = window.to_at - window.from_at
        return replace(self, value=self.value * (judged / self.interval), interval=judged)


def aim_of(payload: Mapping[str, Any]) -> Aim:
    """The aim of a stored setpoint, in wire names."""
    sign = 1.0 if payload["direction"] == Direction.IMPORT.value else -1.0
    own = not payload["includeConsumption"]
    if payload["type"] == SetpointType.POWER.value:
        return Aim(value=sign * float(payload["targetValueKw"]), interval=None, own=own)
    minutes = timedelta(minutes=payload["intervalMinutes"])
    return Aim(value=sign * float(payload["targetValueKwh"]), interval=minutes, own=own)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that the site was to follow.

    `asked_at`: its `validFrom`, which decides among equals, then `order`. `begins_at`: from when it could be in force,
    not before it reached Voke; `ends_at` None = no end. `ends_all`: a mode, an emergency: it ends what began before it.
    """

    order: int
    rank: int
    asked_at: datetime
    begins_at: datetime
    ends_at: datetime | None
    ends_all: bool = False


@dataclass(frozen=True, kw_only=True)
class Window:
    """What is judged: [from_at, to_at)."""

    from_at: datetime
    to_at: datetime

    @property
    def seconds(self) -> float:
        return (self.to_at - self.from_at).total_seconds()


def in_force(mine: Target, others: Iterable[Target]) -> Window | None:
    """When a target was in force: until the first one that beats it began; None = never.

    One that was beaten from its beginning on is in force when the stronger ones have ended, by their time or by what
    ends all. Of two that came at the same instant the one that was asked for later came later.
    """
    begins_at, ends_at = mine.begins_at, mine.ends_at
    if ends_at is None:
        raise ValueError("a target without an end is not judged")
    known = list(others)
    enders = sorted((one.begins_at, one.order) for one in known if one.ends_all)
    ends_at = _end_of(mine, enders) or ends_at
    stronger = sorted((one for one in known if not one.ends_all and _beats(one, mine)), key=_BEGINS_AT)
    for other in stronger:
        until = _end_of(other, enders)
        if until is not None and until <= other.begins_at:  # it came when its time was over
            continue
        if other.begins_at > begins_at:
            ends_at = min(ends_at, other.begins_at)
        elif until is None:
            return None
        else:
            begins_at = max(begins_at, until)
    return Window(from_at=begins_at, to_at=ends_at) if begins_at < ends_at else None


_BEGINS_AT = attrgetter("begins_at")


def _beats(other: Target, mine: Target) -> bool:
    return (other.rank, other.asked_at, other.order) > (mine.rank, mine.asked_at, mine.order)


def _end_of(target: Target, enders: Sequence[tuple[datetime, int]]) -> datetime | None:
    """When a target ends; `enders`: what ends all that came before it, in order."""
    after = bisect_right(enders, (target.begins_at, target.order))
    if after == len(enders):
        return target.ends_at
    stopped_at = enders[after][0]
    return stopped_at if target.ends_at is None else min(target.ends_at, stopped_at)


def followed(targets: Iterable[Target], *, from_at: datetime, to_at: datetime) -> list[tuple[Window, Target]]:
    """What Voke followed when within [from_at, to_at), in order of time; between the windows nothing was in force.

    At each instant the strongest of those that have begun and not ended: one that was covered by a stronger one is
    followed again when that has ended. What ends all is followed by nobody.
    """
    known = list(targets)
    enders = sorted((one.begins_at, one.order) for one in known if one.ends_all)
    spans = []
    for one in known:
        until = _end_of(one, enders) or to_at
        begins_at, ends_at = max(one.begins_at, from_at), min(until, to_at)
        if not one.ends_all and begins_at < ends_at:
            spans.append((begins_at, ends_at, one))
    spans.sort(key=lambda span: span[0], reverse=True)
    edges = sorted({edge for span in spans for edge in span[:2]})
    found: list[tuple[Window, Target]] = []
    active: list[tuple[datetime, Target]] = []
    for low, high in pairwise(edges):
        while spans and spans[-1][0] <= low:
            _, ends_at, one = spans.pop()
            active.append((ends_at, one))
        active = [(ends_at, one) for ends_at, one in active if ends_at > low]
        if not active:
            continue
        winner = max((one for _, one in active), key=attrgetter("rank", "asked_at", "order"))
        if found and found[-1][1] is winner and found[-1][0].to_at == low:
            found[-1] = (replace(found[-1][0], to_at=high), winner)
        else:
            found.append((Window(from_at=low, to_at=high), winner))
    return found


def window_of(aim: Aim, asked_at: datetime, force: Window | None, rules: ProofRules) -> Window | None:
    """What is judged of a target that was in force then; None = too little of it.

    Interpretation: an ENERGY interval begins with `validFrom`; a little too late (the settling time) is still then.
    """
    if force is None:
        return None
    if aim.interval is None:
        begins_at = force.from_at + rules.settling
        if force.to_at - begins_at < rules.least:
            return None
        return Window(from_at=begins_at, to_at=force.to_at)
    late = force.from_at - asked_at > rules.settling
    begins_at = force.from_at if late else asked_at
    whole_until = begins_at + aim.interval
    ends_at = min(whole_until, force.to_at)
    if whole_until - ends_at >= _MINUTE or ends_at - begins_at < min(rules.least, aim.interval):
        return None
    return Window(from_at=begins_at, to_at=ends_at)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was measured within a window: the mean power over the `known_s` seconds for which it is known.

    Signs as the site's; `mean_kw` None = nothing is known.
    """

    mean_kw: float | None
    known_s: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The verdict and the numbers behind it, in the unit of the aim; None = not measured."""

    verdict: str
    measured: float | None
    off_by: float | None
    tolerance: float
    coverage_pct: float


def grade(aim: Aim, window: Window, found: Measurement, rules: ProofRules) -> Grade:
    """VERIFIED, OFF_TARGET or NO_DATA. An energy is the mean power times the interval."""
    hours = 1.0 if aim.interval is None else window.seconds / _HOUR_S
    tolerance = max(rules.tolerance_kw * hours, abs(aim.value) * rules.tolerance_pct / 100)
    coverage_pct = min(100.0, 100.0 * found.known_s / window.seconds)
    if found.mean_kw is None or coverage_pct < rules.coverage_pct - _EPSILON:
        return Grade(
            verdict="NO_DATA", measured=None, off_by=None, tolerance=tolerance, coverage_pct=coverage_pct
        )
    measured = found.mean_kw * hours
    off_by = measured - aim.value
    near = abs(off_by) <= tolerance + _EPSILON
    return Grade(
        verdict="VERIFIED" if near else "OFF_TARGET",
        measured=measured,
        off_by=off_by,
        tolerance=tolerance,
        coverage_pct=coverage_pct,
    )


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the telemetry tells beside the power, None = not known, and the bounds that the plant has.

    `soc_end_pct`: the charge at the end of what is judged.
    """

    grid_kw: float | None
    soc_end_pct: float | None
    soc_min_pct: float
    soc_max_pct: float
    max_import_kw: float | None
    max_export_kw: float | None
    fault_open: bool


_SOC_NEAR_PCT = 0.5


def hint(off_by: float, around: Around, rules: ProofRules) -> str:
    """Why a target was missed, '' where it is not certain.

    More import than asked (`off_by` > 0): the battery should have given more, or the grid been fed more; and the other
    way round. A battery that was at its bound in the end could not go on, whenever it came there.
    """
    if around.fault_open:
        return "DEVICE_FAULT"
    soc_pct = around.soc_end_pct
    if off_by > 0 and soc_pct is not None and soc_pct <= around.soc_min_pct + _SOC_NEAR_PCT:
        return "SOC_AT_BOUND"
    if off_by < 0 and soc_pct is not None and soc_pct >= around.soc_max_pct - _SOC_NEAR_PCT:
        return "SOC_AT_BOUND"
    limit = around.max_export_kw if off_by > 0 else around.max_import_kw
    if limit is None or around.grid_kw is None:
        return ""
    towards = -around.grid_kw if off_by > 0 else around.grid_kw
    near = max(rules.tolerance_kw, limit * rules.tolerance_pct / 100)
    return "LIMITED" if towards >= limit - near else ""
