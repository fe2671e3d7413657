"""The balance bar: what flows in and what flows out, two bars of equal length.

Flows below SHARE_SHOWN of the larger side are left out of the bars, and told in words only. What the measurements do
not explain stands as a flow of its own, hatched: sources and sinks that differ are never stretched to fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.fleet.reading import Overview
from plants.words import decimal_text

SHARE_SHOWN = 0.02


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One flow: its class gives the colour; `x` and `width` in percent of the bar."""

    css: str
    name: str | Promise
    kw: float
    text: str
    x: float = 0.0
    width: float = 0.0

    @property
    def is_drawn(self) -> bool:
        """Whether it is large enough to be seen."""
        return self.width > 0


@dataclass(frozen=True, kw_only=True)
class Side:
    """All that flows in, or out."""

    flows: Sequence[Flow]
    kw: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Both sides, of equal length; all numbers are in one unit."""

    sources: Side
    sinks: Side
    unit: str

    @property
    def is_empty(self) -> bool:
        """Whether nothing flows at all."""
        return self.sources.kw == 0 and self.sinks.kw == 0


def balance_of(found: Overview) -> Balance:
    """Of the totals of all live plants."""
    sources = [
        ("pv", _("PV"), found.pv_kw),
        ("dis", _("Discharge"), found.discharge_kw),
        ("imp", _("Import"), found.import_kw),
    ]
    sinks = [
        ("load", _("Load"), found.load_kw),
        ("chg", _("Charge"), found.charge_kw),
        ("exp", _("Export"), found.export_kw),
    ]
    total_in, total_out = (sum(kw for *_names, kw in side) for side in (sources, sinks))
    whole = max(total_in, total_out)
    differs = total_in - total_out
    if abs(differs) > SHARE_SHOWN * whole:
        (sinks if differs > 0 else sources).append(("unex", _("Unexplained"), abs(differs)))
    unit = unit_of(whole)
    return Balance(
        sources=Side(flows=_laid_out(sources, whole, unit), kw=total_in, text=in_unit(whole, unit)),
        sinks=Side(flows=_laid_out(sinks, whole, unit), kw=total_out, text=in_unit(whole, unit)),
        unit=unit,
    )


def unit_of(largest_kw: float) -> str:
    """The one unit of numbers that are compared."""
    return "MW" if abs(largest_kw) >= 999.5 else "kW"


def in_unit(kw: float, unit: str) -> str:
    """An amount without its direction and unit."""
    size = abs(kw)
    if unit == "MW":
        return decimal_text(size / 1000, 2)
    return decimal_text(size, 1 if 0 < size < 9.95 else 0)


def _laid_out(flows: Sequence[tuple[str, str | Promise, float]], whole: float, unit: str) -> list[Flow]:
    """Side by side; what is left out of the bar leaves its room to the others."""
    shown = [one for one in flows if whole and one[2] > SHARE_SHOWN * whole]
    drawn = sum(kw for *_names, kw in shown)
    found, x = [], 0.0
    for css, name, kw in flows:
        if kw <= 0:
            continue
        width = 100 * kw / drawn if (css, name, kw) in shown else 0.0
        found.append(
            Flow(css=css, name=name, kw=kw, text=in_unit(kw, unit), x=round(x, 2), width=round(width, 2))
        )
        x += width
    return found
