"""The picture of a planned day as SVG: slots as steps (export up, import down), limits, verdicts, charge. Pure.

All numbers are told in the table below it as well: the picture is `role="img"` with one sentence. Colours are those of
`plants/admin.css`, so that both themes hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from metering.days import LocalDay
from plants.words import power_text
from schedules.slots import PlannedSlot, local_text, number_text
from vcp import Direction

WIDTH, POWER_HEIGHT, SOC_HEIGHT = 960, 200, 72
_LEFT, _RIGHT, _TOP, _AXIS = 52, 8, 10, 18
_TICK_HOURS = 3


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What the picture shows. `marks`: (index of the slot, css word of its verdict); `soc`: % at the end of a slot.

    `soc_start_pct` is the charge at `soc_from`, None = when the first slot begins; nothing is drawn before.
    """

    day: LocalDay
    zone: str
    slots: Sequence[PlannedSlot]
    max_import_kw: float | None = None
    max_export_kw: float | None = None
    soc: Sequence[float] = ()
    soc_start_pct: float | None = None
    soc_from: datetime | None = None
    soc_window: tuple[float, float] = (0.0, 100.0)
    marks: Sequence[tuple[int, str]] = ()
    now: datetime | None = None


class _Scale:
    """From instants and powers to places in the picture."""

    def __init__(self, drawn: Drawn) -> None:
        self._begin = drawn.day.start_at
        self._whole_s = (drawn.day.end_at - drawn.day.start_at).total_seconds()
        powers = [abs(slot.power_kw) for slot in drawn.slots]
        known = [limit for limit in (drawn.max_import_kw, drawn.max_export_kw) if limit is not None]
        highest = max([*powers, 1.0])
        # A limit far beyond what is planned would flatten the plan: it is drawn where it is near.
        self.top_kw = max([highest, *(limit for limit in known if limit <= 2 * highest)]) * 1.08

    def x(self, at: datetime) -> float:
        share = (at - self._begin).total_seconds() / self._whole_s
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, kw_export: float) -> float:
        middle = _TOP + (POWER_HEIGHT - _TOP - _AXIS) / 2
        return round(middle - kw_export / self.top_kw * (POWER_HEIGHT - _TOP - _AXIS) / 2, 1)

    @staticmethod
    def soc_y(pct: float) -> float:
        return round(POWER_HEIGHT + SOC_HEIGHT - 6 - pct / 100 * (SOC_HEIGHT - 18), 1)


def day_chart(drawn: Drawn) -> SafeString:
    """The whole picture."""
    scale = _Scale(drawn)
    height = POWER_HEIGHT + (SOC_HEIGHT if drawn.soc else 0)
    parts: list[SafeString] = [
        *_axes(drawn, scale),
        *_limits(drawn, scale),
        *_bars(drawn, scale),
        *_soc(drawn, scale),
        *_now(drawn, scale, height),
    ]
    return format_html(
        '<div class="scroller day-chart" tabindex="0">'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></div>',
        WIDTH,
        height,
        sentence(drawn),
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def sentence(drawn: Drawn) -> str:
    """What the picture says, in words."""
    if not drawn.slots:
        return "Nothing is planned on this day."
    taken = sum(slot.power_kw * slot.hours for slot in drawn.slots if slot.direction is Direction.IMPORT)
    given = sum(slot.power_kw * slot.hours for slot in drawn.slots if slot.direction is Direction.EXPORT)
    first, last = drawn.slots[0].start_at, drawn.slots[-1].end_at
    return (
        f"{len(drawn.slots)} slots from {local_text(first, zone=drawn.zone)} to {local_text(last, zone=drawn.zone)}: "
        f"{taken:.1f} kWh of import and {given:.1f} kWh of export are planned."
    )


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> SafeString:
    return format_html('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>', css, x1, y1, x2, y2)


def _text(css: str, x: float, y: float, words: str) -> SafeString:
    return format_html('<text class="{}" x="{}" y="{}">{}</text>', css, x, y, words)


def _axes(drawn: Drawn, scale: _Scale) -> Iterator[SafeString]:
    for at in _hours(drawn.day, drawn.zone):
        x = scale.x(at)
        yield _line("grid", x, _TOP, x, POWER_HEIGHT - _AXIS)
        yield _text("hour", x, POWER_HEIGHT - 4, local_text(at, zone=drawn.zone))
    yield _line("zero", _LEFT, scale.y(0), WIDTH - _RIGHT, scale.y(0))
    yield _text("side", _LEFT - 6, scale.y(scale.top_kw) + 9, power_text(scale.top_kw))
    yield _text("side", _LEFT - 6, scale.y(scale.top_kw) + 22, "export")
    yield _text("side", _LEFT - 6, scale.y(-scale.top_kw) - 2, "import")


def _hours(day: LocalDay, zone: str) -> Iterator[datetime]:
    """Every third hour on the clock, where it is: on a day of 23 or 25 hours two of them are nearer or farther."""
    wall, at = ZoneInfo(zone), day.start_at
    while at < day.end_at:
        if at == day.start_at or at.astimezone(wall).hour % _TICK_HOURS == 0:
            yield at
        at += timedelta(hours=1)


def _limits(drawn: Drawn, scale: _Scale) -> Iterator[SafeString]:
    for limit, sign, name in ((drawn.max_export_kw, 1, "export"), (drawn.max_import_kw, -1, "import")):
        if limit is None or limit > scale.top_kw:
            continue
        y = scale.y(sign * limit)
        yield _line("limit", _LEFT, y, WIDTH - _RIGHT, y)
        yield _text("limit-name", WIDTH - _RIGHT, y - 3, f"{name} limit {number_text(limit)} kW")


def _bars(drawn: Drawn, scale: _Scale) -> Iterator[SafeString]:
    marks = dict(drawn.marks)
    for index, slot in enumerate(drawn.slots):
        sign = 1 if slot.direction is Direction.EXPORT else -1
        x, wide = scale.x(slot.start_at), scale.x(slot.end_at) - scale.x(slot.start_at)
        ends = sorted((scale.y(0), scale.y(sign * slot.power_kw)))
        tall = max(1.0, round(ends[1] - ends[0], 1))
        css = "exp" if sign > 0 else "imp"
        begins = local_text(slot.start_at, zone=drawn.zone)
        title = f"{begins} {slot.direction.value.lower()} {number_text(slot.power_kw)} kW"
        yield format_html(
            '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            css,
            x,
            ends[0],
            max(0.5, round(wide - 0.6, 1)),
            tall,
            title,
        )
        if index in marks:
            middle = round(x + wide / 2, 1)
            yield format_html(
                '<circle class="mark mark-{}" cx="{}" cy="{}" r="2.4"/>', marks[index], middle, _TOP - 4
            )


def _soc(drawn: Drawn, scale: _Scale) -> Iterator[SafeString]:
    if not drawn.soc:
        return
    low, high = drawn.soc_window
    top, bottom = scale.soc_y(high), scale.soc_y(low)
    yield format_html(
        '<rect class="soc-window" x="{}" y="{}" width="{}" height="{}"/>',
        _LEFT,
        top,
        WIDTH - _LEFT - _RIGHT,
        round(bottom - top, 1),
    )
    yield _text("side", _LEFT - 6, scale.soc_y(high) + 4, f"{high:g} %")
    yield _text("side", _LEFT - 6, scale.soc_y(low) + 4, f"{low:g} %")
    yield format_html('<polyline class="soc" points="{}"/>', _points(_soc_points(drawn, scale)))


def _soc_points(drawn: Drawn, scale: _Scale) -> Iterator[tuple[float, float]]:
    pct = drawn.soc_start_pct if drawn.soc_start_pct is not None else drawn.soc[0]
    since = drawn.soc_from or drawn.day.start_at
    for slot, reached in zip(drawn.slots, drawn.soc, strict=False):
        if slot.end_at <= since:
            continue
        yield scale.x(max(slot.start_at, since)), scale.soc_y(pct)
        yield scale.x(slot.end_at), scale.soc_y(reached)
        pct = reached


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _now(drawn: Drawn, scale: _Scale, height: int) -> Iterator[SafeString]:
    if drawn.now is not None and drawn.day.start_at <= drawn.now < drawn.day.end_at:
        x = scale.x(drawn.now)
        yield _line("now", x, _TOP - 6, x, height - 6)
