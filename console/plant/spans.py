"""Which time a chart shows: a local day of the plant, or a span within reach of it, with the hours of its axis."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from metering.days import LocalDay, local_day, local_day_of
from metering.tiers import EPOCH, floor, to_ms
from plants.errors import Invalid
from plants.texts import number_of
from schedules.slots import FIRST_DAY, LAST_DAY
from vcp.said import said

LONGEST = timedelta(hours=26)
SHORTEST = timedelta(minutes=2)
_QUARTER = timedelta(minutes=15)
# A span longer than the first has ticks as far apart as the second, in minutes.
_TICKS = (
    (timedelta(hours=8), 60),
    (timedelta(hours=3), 30),
    (timedelta(hours=1, minutes=30), 15),
    (timedelta(minutes=30), 5),
    (timedelta(0), 1),
)


@dataclass(frozen=True, kw_only=True)
class Span:
    """[from_at, to_at) of a plant's clock; `day`: the calendar day that it is, or that it begins in."""

    zone: str
    day: date
    from_at: datetime
    to_at: datetime

    @property
    def days(self) -> list[LocalDay]:
        """The local days that it touches: one or two."""
        first = local_day(self.day, zone=self.zone)
        if self.to_at <= first.end_at:
            return [first]
        return [first, local_day(self.day + timedelta(days=1), zone=self.zone)]


def clock_change(span: Span) -> tuple[datetime, bool] | None:
    """When the clock changes within the span, and whether it goes back; None = it does not."""
    wall = ZoneInfo(span.zone)
    first, at = span.from_at.astimezone(wall).utcoffset(), span.from_at
    if first is None or first == span.to_at.astimezone(wall).utcoffset():
        return None
    while (offset := at.astimezone(wall).utcoffset()) == first or offset is None:
        at += _QUARTER
    at = floor(at, _QUARTER)
    return at, offset < first


def day_span(text: str, *, zone: str, at: datetime) -> Span:
    """The day that `text` names (YYYY-MM-DD), '' = today. Raises Invalid."""
    day = parse_day(text) if text else local_day_of(at, zone=zone).day
    bounds = local_day(day, zone=zone)
    return Span(zone=zone, day=day, from_at=bounds.start_at, to_at=bounds.end_at)


def parse_day(text: str) -> date:
    """A calendar day of an address. Raises Invalid."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid(
            said("%(text)s is no day like 2026-07-14", text=f"{text!r:.40}"),
            path="day",
            code="DAY_UNREADABLE",
        ) from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise Invalid(said("nobody means that day"), path="day", code="DAY_OUT_OF_REACH")
    return day


def free_span(from_text: str, to_text: str, *, zone: str) -> Span:
    """A span given in milliseconds since 1970. Raises Invalid."""
    from_at, to_at = _moment(from_text, "from"), _moment(to_text, "to")
    if not SHORTEST <= to_at - from_at <= LONGEST:
        raise Invalid(said("2 minutes to 26 hours may be shown"), path="to", code="SPAN_OUT_OF_REACH")
    return Span(zone=zone, day=local_day_of(from_at, zone=zone).day, from_at=from_at, to_at=to_at)


def _moment(text: str, path: str) -> datetime:
    number_ms = number_of(text, most_digits=14)
    if number_ms is None:
        raise Invalid(said("milliseconds since 1970 are needed"), path=path, code="MOMENT_UNREADABLE")
    found = EPOCH + timedelta(milliseconds=number_ms)
    if not FIRST_DAY <= found.date() <= LAST_DAY:
        raise Invalid(said("nobody means that day"), path=path, code="DAY_OUT_OF_REACH")
    return found


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """Round times of the axis. `numbers`: count them from the local midnight; -1 = the second time that an hour comes.

    `fold_ms`: [from, to) of the hour that comes again, None = no such hour.
    """

    at_ms: list[int]
    texts: list[str]
    numbers: list[int]
    fold_ms: list[int] | None


def ticks_of(span: Span) -> Ticks:
    """The ticks of a span, so many that a wide chart may choose from them."""
    wall = ZoneInfo(span.zone)
    minutes = next(step for longer, step in _TICKS if span.to_at - span.from_at > longer)
    # Looked at every quarter of an hour at least: some zones are offset by 30 or 45 minutes.
    pace = min(timedelta(minutes=minutes), _QUARTER)
    at = floor(span.from_at, pace)
    found = Ticks(at_ms=[], texts=[], numbers=[], fold_ms=None)
    fold: list[int] = []
    while at <= span.to_at:
        local = at.astimezone(wall)
        if local.fold:
            fold += [to_ms(at), to_ms(at + pace)]
        minute = local.hour * 60 + local.minute
        if at >= span.from_at and minute % minutes == 0:
            last = at == span.to_at and minute == 0
            found.at_ms.append(to_ms(at))
            found.texts.append("24:00" if last else f"{local:%H:%M}" + (" B" if local.fold else ""))
            found.numbers.append(-1 if local.fold else 24 * 60 // minutes if last else minute // minutes)
        at = (at + pace).astimezone(UTC)
    return Ticks(
        at_ms=found.at_ms,
        texts=found.texts,
        numbers=found.numbers,
        fold_ms=[min(fold), max(fold)] if fold else None,
    )
