"""Small pieces of markup that all admin pages share: state chips, times, ids, bytes. Styled by `plants/admin.css`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from plants.words import Freshness, age_text, freshness, freshness_text

NO_DATA = format_html('<span class="missing">{}</span>', "No data")
EMPTY = SafeString("")
NOTHING = format_html('<span class="missing">{}</span>', "none")


class Family(StrEnum):
    """What a chip means at first sight; each has one colour in both themes, always beside an icon and a word."""

    WAIT = "wait"
    MOVE = "move"
    OK = "ok"
    DOUBT = "doubt"
    FAIL = "fail"
    CRIT = "crit"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one state is drawn: a Material Symbols name, a word, a family."""

    icon: str
    word: str
    family: Family


def chip(look: Look, *, title: str = "") -> SafeString:
    """A state chip; `title` says since when or why."""
    return format_html(
        '<span class="chip chip-{}"{}>{}{}</span>',
        look.family.value,
        format_html(' title="{}"', title) if title else "",
        icon(look.icon),
        look.word,
    )


def icon(name: str) -> SafeString:
    """A symbol that repeats what a word beside it says."""
    return format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', name)


def chips(parts: Iterable[SafeString]) -> SafeString:
    """Several chips in one cell."""
    return format_html(
        '<span class="chips">{}</span>', format_html_join(" ", "{}", ((part,) for part in parts))
    )


def zone_of(name: str | None) -> tzinfo:
    """A plant's zone; UTC where no plant is at hand (or its zone has left the tz database)."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def zone_name(name: str | None) -> str:
    """The name of a plant's zone; "UTC" where `zone_of` answers UTC."""
    place = zone_of(name)
    return place.key if isinstance(place, ZoneInfo) else "UTC"


def moment(at: datetime | None, *, zone: str | None = None, precise: bool = False) -> SafeString:
    """An instant on the plant's wall clock; the title tells it in UTC. `precise` adds milliseconds."""
    if at is None:
        return NOTHING
    local, place = _on_wall_clock(at, zone)
    text = f"{local:%a} {local.day} {local:%b %H:%M:%S}"
    if precise:
        text += f".{local.microsecond // 1000:03d}"
    if place is UTC:
        text += " UTC"
    elif local.fold:
        text += " B"  # the second time that this hour is on the clock
    return _time(at, text, zone)


def _on_wall_clock(at: datetime, zone: str | None) -> tuple[datetime, tzinfo]:
    """The instant in the zone. Voke may say 9999-12-31T23:59:59Z for "for ever": east of UTC there is no such date."""
    place = zone_of(zone)
    try:
        return at.astimezone(place), place
    except OverflowError:
        return at.astimezone(UTC), UTC


def ago(at: datetime | None, *, now: datetime, zone: str | None = None) -> SafeString:
    """`14 min ago`; the title tells the instant."""
    if at is None:
        return NOTHING
    text = f"{age_text(now - at)} ago" if at <= now else f"in {age_text(at - now)}"
    return _time(at, text, zone)


def age_span(since: datetime, *, now: datetime) -> SafeString:
    """How long something has lasted: `14 min`; the title tells since when."""
    return _time(since, age_text(now - since), None)


def _time(at: datetime, text: str, zone: str | None) -> SafeString:
    utc = at.astimezone(UTC)
    title = f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"
    if zone:
        title += f", shown in {zone}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', utc.isoformat(timespec="milliseconds"), title, text
    )


def fresh(measured_at: datetime | None, *, now: datetime) -> SafeString:
    """The freshness badge: dot and age in words."""
    step = freshness(measured_at, at=now)
    if step is Freshness.NEVER:
        return NO_DATA
    return format_html(
        '<span class="fresh fresh-{}"><span class="dot" aria-hidden="true"></span>{}</span>',
        step.value.lower(),
        freshness_text(measured_at, at=now),
    )


def mono(text: object) -> SafeString:
    """An id, key or path."""
    return format_html('<code class="mono">{}</code>', text) if text else NOTHING


def copyable(text: str) -> SafeString:
    """Text with a button that copies it."""
    return format_html(
        '<span class="copyable"><code class="mono">{}</code>'
        '<button type="button" class="copy" data-copy="{}" aria-label="Copy">{}</button></span>',
        text,
        text,
        icon("content_copy"),
    )


def stack(first: object, second: object = "") -> SafeString:
    """Two lines in one cell: what it is, and what identifies it."""
    if not second:
        return format_html('<span class="stack"><strong>{}</strong></span>', first)
    return format_html('<span class="stack"><strong>{}</strong><small>{}</small></span>', first, second)


def plain(first: object, second: object = "") -> SafeString:
    """Two lines in one cell, neither of which is the row's name."""
    if not second:
        return format_html("<span>{}</span>", first)
    return format_html('<span class="stack plain"><strong>{}</strong><small>{}</small></span>', first, second)


def muted(text: object) -> SafeString:
    """Secondary text."""
    return format_html('<span class="muted">{}</span>', text)


def change_url(row: Model) -> str:
    """The admin page of a row."""
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def link(row: Model | None, text: object = None) -> SafeString:
    """A link to a row's admin page."""
    if row is None:
        return NOTHING
    return format_html(
        '<a class="text-link" href="{}">{}</a>', change_url(row), text if text is not None else row
    )


def anchor(url: str, text: object) -> SafeString:
    """A link to any page."""
    return format_html('<a class="text-link" href="{}">{}</a>', url, text)


def lines(items: Iterable[object]) -> SafeString:
    """A bare list, one item a line."""
    found: list[tuple[Any, ...]] = [(item,) for item in items]
    return (
        format_html('<ul class="lines">{}</ul>', format_html_join("", "<li>{}</li>", found))
        if found
        else NOTHING
    )
