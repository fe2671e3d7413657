"""Numbers and ages in the words that people use: no markup; every screen says the same thing the same way.

Signs never reach a screen: + grid is "Importing", + battery is "Charging". Missing is "No data", never 0 or a dash.
Words and the decimal separator are those of the page's language; outside of pages that is English.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils.formats import get_format
from django.utils.translation import gettext, ngettext

from plants.labels import LABELS
from vcp.said import Said, unpacked

IDLE_BELOW_KW = 0.5
LIVE_WITHIN = timedelta(seconds=10)
RECENT_WITHIN = timedelta(seconds=60)
_NNBSP = "\u202f"


class Freshness(StrEnum):
    """How far a measurement may be trusted to be the present."""

    LIVE = "LIVE"
    RECENT = "RECENT"
    OLD = "OLD"
    NEVER = "NEVER"


def decimal_text(value: float, places: int) -> str:
    """A number with so many places after the separator of the page's language, nothing between thousands."""
    text = f"{value:.{places}f}"
    return local_number(text) if places else text


def local_number(text: str) -> str:
    """A number as Python writes it, with the separator of the page's language."""
    return text.replace(".", str(get_format("DECIMAL_SEPARATOR")))


class _PageLanguage:
    """The language of the page that is being made."""

    def one(self, pattern: str) -> str:
        return gettext(pattern)

    def counted(self, one: str, many: str, count: int) -> str:
        return ngettext(one, many, count)

    def number(self, text: str) -> str:
        return local_number(text)


_PAGE = _PageLanguage()


def local_text(text: str) -> str:
    """A sentence in the page's language where it remembers what it was made from; any other text as it is."""
    return text.local(_PAGE) if isinstance(text, Said) else text


def local_packed(kept: object) -> str:
    """A sentence that was packed into JSON, in the page's language; a plain text as it is."""
    return local_text(unpacked(kept)) if isinstance(kept, dict) else str(kept or "")


def local_stored(row: Mapping[str, Any], *, text: str = "text") -> str:
    """The sentence that a stored row keeps in `said`, in the page's language; a row without has only its `text`."""
    return local_packed(row.get("said") or row.get(text))


def power_text(power_kw: float) -> str:
    """The amount without its direction: `8.2 kW`, `275 kW`, `3.42 MW`."""
    amount = abs(power_kw)
    if amount >= 999.5:
        return f"{decimal_text(amount / 1000, 2)}{_NNBSP}MW"
    return f"{decimal_text(amount, 1 if amount < 9.95 else 0)}{_NNBSP}kW"


def energy_text(energy_kwh: float) -> str:
    """`8.2 kWh`, `275 kWh`, `3.42 MWh`."""
    return f"{power_text(energy_kwh)}h"


def limit_text(power_kw: float | None) -> str:
    """A limit; None = no limit."""
    return gettext("no limit") if power_kw is None else power_text(power_kw)


def percent_text(share_pct: float | None) -> str:
    """A whole percentage."""
    return gettext("No data") if share_pct is None else f"{share_pct:.0f}{_NNBSP}%"


def grid_text(power_kw: float | None) -> str:
    """What the site does at the grid; + = import."""
    return _directed(power_kw, positive=gettext("Importing"), negative=gettext("Exporting"))


def battery_text(power_kw: float | None) -> str:
    """What the battery does; + = charging."""
    return _directed(power_kw, positive=gettext("Charging"), negative=gettext("Discharging"))


def production_text(power_kw: float | None) -> str:
    """What PV does."""
    return _directed(power_kw, positive=gettext("Producing"), negative=gettext("Drawing"))


def consumption_text(power_kw: float | None) -> str:
    """What the load takes."""
    return _directed(power_kw, positive=gettext("Using"), negative=gettext("Giving"))


def _directed(power_kw: float | None, *, positive: str, negative: str) -> str:
    if power_kw is None:
        return gettext("No data")
    if abs(power_kw) < IDLE_BELOW_KW:
        return gettext("Idle")
    return f"{positive if power_kw > 0 else negative} {power_text(power_kw)}"


def span_text(span: timedelta) -> str:
    """A length of time as people say it: `412 ms`, `8.4 s`, `14 min`, `2 h 5 min`, `3 d 4 h`."""
    seconds = abs(span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f}{_NNBSP}ms"
    if seconds < 60:
        return f"{decimal_text(seconds, 1)}{_NNBSP}s"
    return age_text(span)


def age_text(age: timedelta) -> str:
    """An age in whole units; what lies in the future by a clock's error is `0 s`."""
    seconds = max(int(age.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 60:
        return f"{seconds}{_NNBSP}s"
    if minutes < 60:
        return f"{minutes}{_NNBSP}min"
    if hours < 48:
        rest = minutes % 60
        return f"{hours}{_NNBSP}h {rest}{_NNBSP}min" if rest else f"{hours}{_NNBSP}h"
    rest = hours % 24
    return f"{days}{_NNBSP}d {rest}{_NNBSP}h" if rest and days < 14 else f"{days}{_NNBSP}d"


def offset_text(span: timedelta) -> str:
    """An offset from the start of something: `+ 4 ms`, `+ 8.4 s`, `+ 14 min`; before it: `- 2.0 s`."""
    sign = "\u2212" if span < timedelta() else "+"
    return f"{sign} {span_text(span)}"


def freshness(measured_at: datetime | None, *, at: datetime) -> Freshness:
    """How old a measurement is, in the three steps that screens distinguish."""
    if measured_at is None:
        return Freshness.NEVER
    age = at - measured_at
    if age < LIVE_WITHIN:
        return Freshness.LIVE
    return Freshness.RECENT if age < RECENT_WITHIN else Freshness.OLD


def freshness_text(measured_at: datetime | None, *, at: datetime) -> str:
    """`live, 3 s`, `25 s ago`, `no data for 14 min`, `No data`."""
    if measured_at is None:
        return gettext("No data")
    age = age_text(at - measured_at)
    match freshness(measured_at, at=at):
        case Freshness.LIVE:
            return gettext("live, %(age)s") % {"age": age}
        case Freshness.RECENT:
            return gettext("%(age)s ago") % {"age": age}
        case _:
            return gettext("no data for %(age)s") % {"age": age}


def label_text(word: str) -> str:
    """A wire word for people: `PEAK_SHAVING` -> `Peak shaving`; words that are not all capitals stay."""
    label = stored_label(word)
    return gettext(label) if label in LABELS else label


def stored_label(word: str) -> str:
    """The same in English whoever looks: for what is written down."""
    return word.replace("_", " ").capitalize() if word.isupper() else word
