"""Tags of the console's pages: icons, amounts, ages, moments, chips."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.utils.html import conditional_escape, escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console import tag_nodes, words
from console.dates import day_text
from esm import clock
from plants.words import Freshness, age_text, freshness, local_text

register = template.Library()
register.filter("local", local_text)
_FRESH = {
    Freshness.LIVE: "",
    Freshness.RECENT: "late",
    Freshness.OLD: "stale",
    Freshness.NEVER: "never",
}
_CLOCKS = {
    "short": "%H:%M",
    "seconds": "%H:%M:%S",
}


@lru_cache(maxsize=512)
def icon(name: str, size: str = "") -> SafeString:
    """An icon of the sprite; `size`: s = 14, l = 20, else 16 px. Decorative: words stand beside it."""
    return format_html(
        '<svg class="i {}" aria-hidden="true"><use href="{}#{}"/></svg>',
        size,
        static("vendor/lucide/sprite.svg"),
        name,
    )


register.tag("icon", tag_nodes.icon_tag(icon))
register.tag("url", tag_nodes.url)
register.tag("translate", tag_nodes.translate)


@register.filter
def power(value: float | None) -> SafeString:
    """An amount of kW without its direction; the word beside it carries that."""
    return words.missing() if value is None else words.amount(value)


@register.filter
def kwh(value: float | None) -> SafeString:
    """An amount of energy."""
    return words.missing() if value is None else words.amount(value, "kWh")


@register.filter
def soc(value: float | None) -> SafeString:
    """A state of charge in whole percent."""
    if value is None:
        return words.missing()
    return format_html('{}<span class="u">%</span>', f"{value:.0f}")


@register.filter
def grid_word(value: float | None) -> str:
    """What a power at the grid means."""
    return words.grid_word(value)


@register.filter
def battery_word(value: float | None) -> str:
    """What a battery's power means."""
    return words.battery_word(value)


@register.filter
def codes(text: str) -> SafeString:
    """A sentence in which what is typed stands between backticks: that part in the letters of code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # a lone one is a character like others
        return format_html("{}", text)
    told = (format_html("<code>{}</code>", part) if at % 2 else part for at, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in told))


@register.simple_tag
def chip(state: str, text: str | SafeString = "", extra: str = "") -> SafeString:
    """A state as icon and word on its tint; `text` overrides the word, `extra` adds classes."""
    look = words.look_of(str(state))
    return mark_safe(  # noqa: S308 - what is not ours is escaped
        f'<span class="chip {look.family} {escape(extra)}" data-state="{escape(state)}">{icon(look.icon)}'
        f"<span>{conditional_escape(text or look.word)}</span></span>"
    )


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """An age that goes on ticking in the page."""
    if moment is None:
        return words.missing()
    age = escape(age_text(clock.now() - moment))
    return mark_safe(f'<time data-age datetime="{_iso(moment)}">{age}</time>')  # noqa: S308 - escaped


@register.simple_tag
def fresh(measured_at: datetime | None) -> SafeString:
    """A dot and the age of the newest sample; both go on ticking."""
    state = _FRESH[freshness(measured_at, at=clock.now())]
    if measured_at is None:
        return format_html('<span class="fresh never">{}</span>', words.missing())
    return format_html(
        '<span class="fresh {}" data-fresh><time data-age datetime="{}">{}</time></span>',
        state,
        _iso(measured_at),
        age_text(clock.now() - measured_at),
    )


@register.simple_tag
def moment(at: datetime | None, zone: str, form: str = "seconds") -> SafeString:
    """A moment on the zone's wall clock, UTC and the zone on hover and focus.

    `form`: short, seconds, ms, date, day, full.
    """
    if at is None:
        return words.missing()
    local = at.astimezone(ZoneInfo(zone))
    if form == "ms":
        text = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    elif form in _CLOCKS:
        text = f"{local:{_CLOCKS[form]}}"
    else:
        text = day_text(local, form)
    # The second of two equal hours of the day on which clocks go back.
    if local.fold and form not in {"date", "day"}:
        text += " B"
    iso = _iso(at)
    return mark_safe(f'<time datetime="{iso}" title="{iso} · {escape(zone)}">{escape(text)}</time>')  # noqa: S308


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
