"""A day of pulls as a picture: a lane for each endpoint, a tick for each ten minutes in which Voke asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log10
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from trading_api.paths import Endpoint
from trading_api.selectors_pulls import CELL, Cell

WIDTH, LANE_HEIGHT = 960, 26
_EDGE = 16
_DAY = timedelta(days=1)
_TALLEST = 18.0
SHOWN = (Endpoint.TOKEN, Endpoint.LIST, Endpoint.CONFIG, Endpoint.UPDATE)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One cell of a lane, in the units of the picture: higher = more pulls, by orders of magnitude."""

    x: float
    y: float
    width: float
    height: float
    refused: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One endpoint's day. `y` is its base line; `count` and `refused` are of the whole day."""

    endpoint: str
    y: int
    count: int
    refused: int
    ticks: Sequence[Tick]


@dataclass(frozen=True, kw_only=True)
class Hour:
    """A mark of the axis."""

    x: float
    text: str

    @property
    def anchor(self) -> str:
        """Which side of the text stands at `x`: one at the edge does not reach over it."""
        return "start" if self.x < _EDGE else "end" if self.x > WIDTH - _EDGE else "middle"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """All lanes and the axis, over the 24 hours before `at`."""

    lanes: Sequence[Lane]
    hours: Sequence[Hour]
    height: int


def picture(cells: Sequence[Cell], *, at: datetime, zone: str) -> Picture:
    """Where everything stands; the axis is the zone's wall clock."""
    lanes = [
        _lane(endpoint, [cell for cell in cells if cell.endpoint == endpoint], place, at=at, zone=zone)
        for place, endpoint in enumerate(SHOWN)
    ]
    return Picture(lanes=lanes, hours=_hours(at, zone), height=LANE_HEIGHT * len(SHOWN))


def _lane(endpoint: str, cells: Sequence[Cell], place: int, *, at: datetime, zone: str) -> Lane:
    base = LANE_HEIGHT * (place + 1) - 4
    return Lane(
        endpoint=endpoint,
        y=base,
        count=sum(cell.count for cell in cells),
        refused=sum(cell.refused for cell in cells),
        ticks=[_tick(cell, base, at=at, zone=zone) for cell in sorted(cells, key=lambda one: one.start_at)],
    )


def _tick(cell: Cell, base: int, *, at: datetime, zone: str) -> Tick:
    height = min(6.0 + 4.0 * log10(cell.count), _TALLEST)
    start = cell.start_at.astimezone(ZoneInfo(zone))
    text = f"{start:%H:%M}: {cell.count}"
    if cell.refused:
        text += f", {gettext('%(count)s refused') % {'count': cell.refused}}"
    return Tick(
        x=max(round(_x(cell.start_at, at), 1), 0.0),
        y=round(base - height, 1),
        width=round(CELL / _DAY * WIDTH - 1.5, 1),
        height=round(height, 1),
        refused=cell.refused > 0,
        text=text,
    )


def _x(moment: datetime, at: datetime) -> float:
    return (moment - (at - _DAY)) / _DAY * WIDTH


def _hours(at: datetime, zone: str) -> list[Hour]:
    """Every third hour of the wall clock."""
    found = []
    moment = (at - _DAY).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while moment <= at:
        local = moment.astimezone(ZoneInfo(zone))
        if local.hour % 3 == 0:
            found.append(Hour(x=round(_x(moment, at), 1), text=f"{local:%H:%M}"))
        moment += timedelta(hours=1)
    return found
