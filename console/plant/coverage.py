"""How much of the last weeks is known, hour by hour, as a picture: a column for each day, a row for each hour.

Rows are hours on the plant's clock. On the day that an hour comes twice its row holds the worse of the two; on the day
that one is left out its cell is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.dates import day_text
from metering.days import LocalDay, local_day, local_day_of
from metering.selectors.gaps import coverage_by_hour
from plants.models import Plant

DAYS = 35
HOURS = 24
PITCH_PX, CELL_PX = 11, 9
"""A row's height, and how much of it is filled."""
WHOLE = 4
_ROLLED_UP_AFTER = timedelta(hours=2)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One hour of one day; `step`: 0 nothing is known, 4 all of it; None = not told yet, or no such hour."""

    y: int
    step: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Hour:
    """The name of a row."""

    y: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """A day; `pct` None = nothing was rolled up for it."""

    day: date
    x_pct: float
    pct: float | None
    cells: Sequence[Cell]
    is_marked: bool

    @property
    def markup(self) -> SafeString:
        """Its cells as SVG: a template would take a millisecond for every ten of the 840. Whole hours have no title."""
        whole = '<rect class="cell" x="{}%" y="{}" width="2.5%" height="{}" rx="1.5"/>'
        part = '<rect class="cell cell-{}" x="{}%" y="{}" width="2.5%" height="{}" rx="1.5"><title>{}</title></rect>'
        return format_html_join(
            "",
            "{}",
            (
                (
                    format_html(whole, self.x_pct, cell.y, CELL_PX)
                    if cell.step == WHOLE
                    else format_html(part, cell.step, self.x_pct, cell.y, CELL_PX, cell.title),
                )
                for cell in self.cells
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The picture, and the days as numbers for the table."""

    columns: Sequence[Column]
    from_at: datetime
    known_pct: float | None

    @property
    def hours(self) -> list[Hour]:
        """The names of the rows."""
        return [Hour(y=hour * PITCH_PX + CELL_PX, text=f"{hour:02d}:00") for hour in range(0, HOURS, 6)]

    @property
    def sentence(self) -> str:
        """The picture in words."""
        if self.known_pct is None:
            return gettext("Nothing was measured in the last %(days)d days.") % {"days": DAYS}
        whole = sum(column.pct is not None and column.pct >= 99.5 for column in self.columns)
        return gettext("%(pct)s %% of the last %(days)d days is known; %(whole)d days are complete.") % {
            "pct": f"{self.known_pct:.0f}",
            "days": DAYS,
            "whole": whole,
        }


def coverage_of(plant: Plant, *, at: datetime) -> Coverage:
    """The last weeks until the present: one query. Before its first measurement a plant has no cells."""
    today = local_day_of(at, zone=plant.time_zone)
    days = [
        local_day(today.day - timedelta(days=back), zone=plant.time_zone) for back in range(DAYS - 1, -1, -1)
    ]
    known = coverage_by_hour(plant_id=plant.pk, from_at=days[0].start_at, to_at=today.end_at)
    begins_at = min(known, default=at)
    told_until = at - _ROLLED_UP_AFTER
    columns = [
        _column(number, day, known, begins_at, told_until, ZoneInfo(plant.time_zone))
        for number, day in enumerate(days)
    ]
    shares = [column.pct for column in columns if column.pct is not None]
    return Coverage(
        columns=columns,
        from_at=days[0].start_at,
        known_pct=sum(shares) / len(shares) if shares else None,
    )


def _column(
    number: int,
    day: LocalDay,
    known: dict[datetime, float],
    begins_at: datetime,
    told_until: datetime,
    wall: ZoneInfo,
) -> Column:
    x = round(100 * number / DAYS, 3)
    worst: dict[int, float] = {}
    at = day.start_at
    while at < day.end_at:
        # Hours are rolled up by UTC; a zone that is offset by a part of an hour has cells that begin with it.
        whole = at.replace(minute=0, second=0, microsecond=0)
        if begins_at <= whole and (whole in known or whole + _HOUR <= told_until):
            hour = at.astimezone(wall).hour
            worst[hour] = min(known.get(whole, 0.0), worst.get(hour, 100.0))
        at += _HOUR
    return Column(
        day=day.day,
        x_pct=x,
        pct=sum(worst.values()) / len(worst) if worst else None,
        cells=[
            Cell(
                y=hour * PITCH_PX,
                step=_step(pct),
                title=f"{day_text(day.day, 'weekday')} {hour:02d}:00, {pct:.0f}\u202f%",
            )
            for hour, pct in sorted(worst.items())
        ],
        is_marked=day.day.weekday() == 0 and number < DAYS - 3,
    )


def _step(pct: float) -> int:
    """0 nothing, 1 and 2 less than half and most, 3 nearly all, 4 all of it."""
    return sum((pct > 0, pct >= 50, pct >= 90, pct >= 99.5))
