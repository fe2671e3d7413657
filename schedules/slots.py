"""Slots of a day plan as pure values: the grid of a local day, what a slot asks for, how its time is written.

A slot is a half-open span of instants. The grid of a day follows the plant's wall clock: slots begin at multiples of
the slot length after midnight, a day with a clock change has as many as it has quarters (92 or 100), and where the
clock leaps within a slot it is cut there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from metering.days import LocalDay, local_day
from vcp import Direction, Priority, SetpointType

SLOT_MINUTES = (5, 10, 15, 20, 30, 60)
"""The lengths that divide an hour, 5 minutes at least."""
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)
"""Days that can be planned: nobody means another one, and at the calendar's ends no zone has a whole day."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Span:
    """[start_at, end_at) as UTC instants."""

    start_at: datetime
    end_at: datetime

    @property
    def hours(self) -> float:
        return (self.end_at - self.start_at).total_seconds() / 3600


@dataclass(frozen=True, kw_only=True)
class PlannedSlot(Span):
    """What the site shall do within a span: `value` in kW (POWER) or kWh over the whole slot (ENERGY), never negative.

    With `include_consumption` the value is the grid's, without it the plant's own (battery and PV).
    """

    type: SetpointType
    value: float
    direction: Direction
    include_consumption: bool = True
    priority: Priority = Priority.NORMAL

    @property
    def power_kw(self) -> float:
        """The mean power, without its direction."""
        return self.value if self.type is SetpointType.POWER else self.value / self.hours

    @property
    def asks(self) -> tuple[object, ...]:
        """What it asks for, whenever it does."""
        return (self.type, self.value, self.direction, self.include_consumption, self.priority)


@lru_cache(maxsize=4096)
def grid_of_day(day: date, *, zone: str, minutes: int) -> tuple[Span, ...]:
    """The slots of a local day in the order of time; `minutes` is one of `SLOT_MINUTES`."""
    if minutes not in SLOT_MINUTES:
        raise ValueError(f"a slot lasts one of {SLOT_MINUTES} minutes")
    bounds, wall = local_day(day, zone=zone), ZoneInfo(zone)
    if _keeps_its_offset(bounds, wall):
        step = timedelta(minutes=minutes)
        starts = [bounds.start_at + step * number for number in range(24 * 60 // minutes)]
        return tuple(Span(start_at=start, end_at=start + step) for start in starts)
    edges, at, before = [bounds.start_at], bounds.start_at, bounds.start_at.astimezone(wall)
    while (at := at + _MINUTE) < bounds.end_at:
        local = at.astimezone(wall)
        if local.utcoffset() != before.utcoffset() or (local.hour * 60 + local.minute) % minutes == 0:
            edges.append(at)
        before = local
    edges.append(bounds.end_at)
    return tuple(Span(start_at=start, end_at=end) for start, end in pairwise(edges) if start < end)


def _keeps_its_offset(bounds: LocalDay, wall: ZoneInfo) -> bool:
    """Whether the clock runs through the whole day: 24 hours at one offset, looked at every hour."""
    if bounds.end_at - bounds.start_at != timedelta(days=1):
        return False
    hours = (bounds.start_at + timedelta(hours=number) for number in range(25))
    return len({at.astimezone(wall).utcoffset() for at in hours}) == 1


def current_slot(slots: Sequence[PlannedSlot], at: datetime) -> PlannedSlot | None:
    """The slot that runs at the instant; None in a gap. `slots` are in the order of time."""
    return next((slot for slot in slots if slot.start_at <= at < slot.end_at), None)


def local_text(at: datetime, *, zone: str) -> str:
    """`HH:MM` on the plant's wall clock; in the hour that comes twice with the name of the offset: `02:15 CEST`."""
    local = at.astimezone(ZoneInfo(zone))
    text = f"{local:%H:%M}"
    twin = local.replace(fold=1 - local.fold)
    return f"{text} {local.tzname()}" if twin.utcoffset() != local.utcoffset() else text


def span_text(span: Span, *, zone: str) -> str:
    """`14:00-14:15`; a slot that ends with the day ends at 24:00."""
    end = span.end_at.astimezone(ZoneInfo(zone))
    ends_day = (end.hour, end.minute) == (0, 0)
    last = "24:00" if ends_day else local_text(span.end_at, zone=zone)
    return f"{local_text(span.start_at, zone=zone)}-{last}"


def number_text(value: float) -> str:
    """A power or an energy for people: as many decimals as it has, four at most, never with an exponent."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def exact_text(value: float) -> str:
    """The shortest text that is read back as the same number."""
    return repr(value).removesuffix(".0")
