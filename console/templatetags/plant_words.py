"""Words of the plant's tabs: causes, wall-clock minutes, limits of a battery, values of a payload."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop

from console import words
from console.plant.words import gap_cause
from console.templatetags.console import moment
from plants.time_config import minute_text
from plants.words import age_text, label_text, local_number
from vcp import Family

register = template.Library()
_LONGEST = 120
_FAMILIES: Mapping[str, str] = {
    Family.CONFIG_TOPOLOGY: gettext_noop("Topology"),
    Family.CONFIG_CONSTRAINTS: gettext_noop("Limits"),
    Family.CONFIG_FALLBACK: gettext_noop("Fallback"),
}


@register.filter
def word(code: str) -> str:
    """A wire word for people."""
    return label_text(code)


@register.filter(name="words")
def several(codes: tuple[str, ...]) -> str:
    """Wire words, joined."""
    return ", ".join(label_text(code).lower() for code in codes)


@register.filter
def family_word(family: str) -> str:
    """What a family of the site config is about."""
    return gettext(_FAMILIES[family]) if family in _FAMILIES else label_text(str(family))


@register.filter
def why(cause: str) -> str:
    """Why there is a hole."""
    return gap_cause(cause) or gettext("Not known")


@register.filter
def wall(minute: int) -> str:
    """A minute of the local day: `06:00`."""
    return minute_text(minute)


@register.filter
def battery_limit(power_kw: float, way: str) -> SafeString | str:
    """What a block allows in one direction; blocks write discharging as negative."""
    allowed = power_kw if way == "charge" else -power_kw
    return gettext("not at all") if allowed <= 0 else words.amount(allowed)


@register.filter
def told(value: Any) -> str:
    """A value of a payload, short."""
    if value is None:
        return gettext("nothing")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, float):
        return local_number(f"{value:g}")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"


@register.filter
def before(day: date) -> str:
    """The day before, for an address."""
    return (day - timedelta(days=1)).isoformat()


@register.filter
def after(day: date) -> str:
    """The day after, for an address."""
    return (day + timedelta(days=1)).isoformat()


@register.simple_tag
def lasted(begin: datetime, end: datetime) -> str:
    """How long something was."""
    return age_text(end - begin)


@register.simple_tag
def drift_since(row: Mapping[str, Any], zone: str) -> SafeString:
    """Since when a difference is known; older rows do not tell."""
    since = row.get("since")
    if not isinstance(since, str):
        return words.missing()
    return format_html("{}", moment(datetime.fromisoformat(since), zone, "full"))
