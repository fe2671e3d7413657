"""A row of the list as markup: written here and not in a template, because a page has fifty with a dozen live cells.

A template takes a millisecond for each row, this takes a twentieth of it. Everything that a person or Voke named is
escaped; the rest are numbers and words of ours. `console/templates/console/fleet/_rows.html` puts the rows together,
`fleet.js` writes live values into what has `data-f`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from django.urls import reverse
from django.utils.html import escape, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from console import words
from console.fleet.looks import Bar, Gauge, Mark, PlantLook
from console.templatetags.console import icon
from plants.words import Freshness, age_text, decimal_text, freshness

_FRESH = {Freshness.LIVE: "", Freshness.RECENT: " late", Freshness.OLD: " stale"}


@lru_cache(maxsize=256)
def icon_html(name: str, size: str = "") -> str:
    """An icon; a list has hundreds of them and few different ones."""
    return str(icon(name, size))


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Words and addresses that all rows share, looked up once."""

    select: str
    no_data: str
    pv: str
    battery: str
    load: str
    soc: str
    alarms: str
    plant_url: tuple[str, str]


def texts() -> Texts:
    """In the language of the request."""
    before, _, after = reverse("console:plant:page", args=[0]).rpartition("0")
    return Texts(
        select=escape(gettext("Select")),
        no_data=escape(gettext("No data")),
        pv=escape(gettext("PV")),
        battery=escape(gettext("Battery")),
        load=escape(gettext("Load")),
        soc=escape(gettext("SoC")),
        alarms=escape(gettext("open alarms")),
        plant_url=(before, after),
    )


def rows_html(looks: Sequence[PlantLook]) -> list[SafeString]:
    """Each row as `<tr>`; its cells are those of the table's head."""
    shared = texts()
    return [mark_safe("".join(_row(one, shared))) for one in looks]  # noqa: S308 - escaped where it is not ours


def _row(one: PlantLook, shared: Texts) -> Iterator[str]:
    facts, name = one.facts, escape(one.facts.name)
    before, after = shared.plant_url
    mode = escape(one.mode)
    yield (
        f'<tr role="row" id="p{facts.id}" class="pr{"" if facts.live else " old"}" data-id="{facts.id}"'
        f' data-grid="{one.grid_size:.1f}" data-battery="{one.battery_size:.1f}">'
        f'<td role="cell" class="pick"><input type="checkbox" name="plant" value="{facts.id}" form="fleet-pick"'
        f' aria-label="{shared.select} {name}"></td>'
        f'<td role="cell" class="sev">{_sign(one.mark)}</td>'
        f'<td role="cell" class="pl"><a href="{before}{facts.id}{after}"><b>{name}</b>'
        f"<small>{escape(facts.external_plant_id)}</small></a></td>"
        f'<td role="cell" class="c-mo mid" data-f="mode" title="{mode}">{mode}</td>'
    )
    yield from _powers(one, shared)
    yield f'<td role="cell" class="c-sp">{_spark(one)}</td><td role="cell" class="c-pc">'
    yield from (chip_html(mark) for mark in one.marks)
    if one.plan_text:
        yield f'<span class="mid plain-plan">{escape(one.plan_text)}</span>'
    yield f'</td><td role="cell" class="c-al">{_alarm(one.alarm, shared)}</td>'
    quality = f' title="{escape(one.quality)}"' if one.quality else ""
    yield f'<td role="cell" class="r c-fr"{quality}>{_fresh(facts.measured_at, one.at, shared)}</td></tr>'


def _powers(one: PlantLook, shared: Texts) -> Iterator[str]:
    facts = one.facts
    grid = f'<span class="dim">{shared.no_data}</span>'
    if facts.grid_power_kw is not None:
        grid = _directed("grid", words.grid_word(facts.grid_power_kw), facts.grid_power_kw, one.grid_bar)
    battery = _missing(one, shared.battery) if one.has.battery else ""
    if facts.battery_power_kw is not None:
        word = words.battery_word(facts.battery_power_kw)
        battery = _directed("battery", word, facts.battery_power_kw, one.battery_bar)
    yield f'<td role="cell" class="c-gr">{grid}</td>'
    yield f'<td role="cell" class="r c-pv">{_plain(one, "pv", shared.pv, facts.fve_power_kw)}</td>'
    yield f'<td role="cell" class="c-ba">{battery}</td>'
    yield f'<td role="cell" class="r c-ld">{_plain(one, "load", shared.load, facts.consumption_power_kw)}</td>'
    gauge = one.gauge
    charge = _missing(one, shared.soc) if one.has.battery else ""
    if gauge is not None and facts.soc_pct is not None:
        charge = (
            f'<span class="w">{shared.soc}</span><span class="num" data-f="soc">{facts.soc_pct:.0f}'
            f'<span class="u">%</span></span>{_gauge(gauge, escape(one.window_text))}'
        )
    yield f'<td role="cell" class="c-so">{charge}</td>'


def amount_html(kw: float) -> str:
    """As `console.words.amount`."""
    size = abs(kw)
    if size >= 999.5:
        return f'{decimal_text(size / 1000, 2)}<span class="u">MW</span>'
    return f'{decimal_text(size, 1 if 0 < size < 9.95 else 0)}<span class="u">kW</span>'


def _directed(field: str, word: str, kw: float, bar: Bar) -> str:
    return (
        f'<span class="two"><span class="w" data-f="{field}-word">{escape(word)}</span>'
        f'<span class="num" data-f="{field}">{amount_html(kw)}</span></span>'
        '<svg class="dvb" width="100%" height="8" aria-hidden="true">'
        '<rect class="way" y="2" width="100%" height="4" rx="2"/>'
        f'<rect class="bar {bar.css}" data-f="{field}-bar" x="{bar.x}%" y="2" width="{bar.width}%" height="4" rx="1"/>'
        '<rect class="mid-line" x="50%" width="1" height="8"/></svg>'
    )


def _plain(one: PlantLook, field: str, word: str, kw: float | None) -> str:
    if kw is None:
        return _missing(one, word) if getattr(one.has, field) else ""
    return f'<span class="w">{word}</span><span class="num" data-f="{field}">{amount_html(kw)}</span>'


def _missing(one: PlantLook, word: str) -> str:
    """The plant has it and nothing is known of it; what a plant has not leaves its cell empty."""
    why = escape(one.missing_text)
    return (
        f'<span class="w">{word}</span>'
        f'<span class="num dim" role="img" aria-label="{why}" title="{why}">\N{EN DASH}</span>'
    )


def _gauge(gauge: Gauge, window: str) -> str:
    return (
        f'<svg class="socb" width="100%" height="6" role="img" aria-label="{window}"><title>{window}</title>'
        '<rect class="way" width="100%" height="6"/>'
        f'<rect class="charge" data-f="soc-bar" width="{gauge.charge}%" height="6" rx="3"/>'
        f'<rect class="barred" width="{gauge.low}%" height="6"/>'
        f'<rect class="barred" x="{gauge.high}%" width="{gauge.above}%" height="6"/></svg>'
    )


def _spark(one: PlantLook) -> str:
    spark = one.spark
    if not spark.actual and not spark.planned:
        return ""
    return (
        f'<svg class="spark {one.spark_family}" viewBox="0 0 72 24" width="72" height="24" aria-hidden="true">'
        f'<path class="planned" d="{spark.planned}"/><path class="actual" d="{spark.actual}"/></svg>'
    )


def _sign(mark: Mark | None) -> str:
    if mark is None:
        return ""
    text = escape(strip_tags(mark.text))
    return f'<span class="{mark.family} tone" title="{text}">{icon_html(mark.icon)}</span>'


def chip_html(mark: Mark) -> str:
    """Icon and words on their tint; a link where there is a proof."""
    inner = f"{icon_html(mark.icon)}<span>{_text(mark.text)}</span>"
    if mark.url:
        return f'<a class="chip {mark.family}" href="{escape(mark.url)}">{inner}</a>'
    return f'<span class="chip {mark.family}">{inner}</span>'


def _text(text: str) -> str:
    """Markup of ours stays, anything else is escaped."""
    return str(text) if isinstance(text, SafeString) else escape(text)


def _alarm(alarm: Mark | None, shared: Texts) -> str:
    if alarm is None:
        return ""
    return (
        f'<a class="alarms {alarm.family} tone" href="{escape(alarm.url)}"'
        f' aria-label="{_text(alarm.text)} {shared.alarms}">{icon_html(alarm.icon, "s")}{_text(alarm.text)}</a>'
    )


def _fresh(measured_at: datetime | None, at: datetime, shared: Texts) -> str:
    """As the tag `fresh`."""
    if measured_at is None:
        return f'<span class="fresh never"><span class="dim">{shared.no_data}</span></span>'
    utc = measured_at.astimezone(UTC)
    moment = f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
    return (
        f'<span class="fresh{_FRESH[freshness(measured_at, at=at)]}" data-fresh>'
        f'<time data-age datetime="{moment}">{age_text(at - measured_at)}</time></span>'
    )
