"""Time-config blocks before and after an update: two strips of a day, and what differs in words.

Who approves compares them: values of a span are told with the decimals that tell them apart, and exactly in a title.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from console.figures import exact, told_apart
from console.words import NARROW
from plants.time_config import MINUTES_PER_DAY, Block, Mark, SpanChange, minute_text, span_changes

WIDTH = 960
_PLACES = 1


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A block as it is drawn: `x` and `width` of WIDTH, the window of charge as `soc_y` and `soc_height` of 100."""

    x: float
    width: float
    soc_y: float
    soc_height: float
    text: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """One span of the day that an update would change: `mark` is added, removed or changed.

    `exactly_before` and `exactly_after`: every digit, '' where the text has them all.
    """

    mark: str
    span: str
    before: str
    after: str
    exactly_before: str
    exactly_after: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both days drawn, and the changes."""

    before: Sequence[Piece]
    after: Sequence[Piece]
    changes: Sequence[Change]


def compare(before: Sequence[Block], after: Sequence[Block]) -> Comparison:
    """What is in force and what is asked for, span by span."""
    found = span_changes(before, after)
    return Comparison(
        before=[_piece(one.before, changed=one.mark is not Mark.SAME) for one in found if one.before],
        after=[_piece(one.after, changed=one.mark is not Mark.SAME) for one in found if one.after],
        changes=[_change(one) for one in found if one.mark is not Mark.SAME],
    )


def _piece(block: Block, *, changed: bool) -> Piece:
    per_minute = WIDTH / MINUTES_PER_DAY
    return Piece(
        x=round(block.start_minute * per_minute + 0.5, 1),
        width=round((block.end_minute - block.start_minute) * per_minute - 1, 1),
        soc_y=round(100 - block.soc_max_pct, 1),
        soc_height=round(block.soc_max_pct - block.soc_min_pct, 1),
        text=f"{_span(block.start_minute, block.end_minute)}: {block_text(block)}",
        changed=changed,
    )


def _change(one: SpanChange) -> Change:
    both = [block for block in (one.before, one.after) if block is not None]
    numbers = _Numbers(both)
    before, after = (block_text(block, numbers) for block in (one.before, one.after))
    exactly_before, exactly_after = (block_text(block) for block in (one.before, one.after))
    return Change(
        mark=one.mark,
        span=_span(one.start_minute, one.end_minute),
        before=before,
        after=after,
        exactly_before="" if exactly_before == before else exactly_before,
        exactly_after="" if exactly_after == after else exactly_after,
    )


class _Numbers:
    """The texts of the numbers in some blocks that are compared."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        powers = [abs(kw) for one in blocks for kw in (one.p_bat_min_kw, one.p_bat_max_kw)]
        charges = [pct for one in blocks for pct in (one.soc_min_pct, one.soc_max_pct)]
        self._power = dict(zip(powers, told_apart(*powers, places=_PLACES), strict=True))
        self._charge = dict(zip(charges, told_apart(*charges, places=_PLACES), strict=True))

    def kw(self, power_kw: float) -> str:
        return self._power.get(power_kw) or exact(power_kw)

    def pct(self, charge_pct: float) -> str:
        return self._charge.get(charge_pct) or exact(charge_pct)


def _span(start_minute: int, end_minute: int) -> str:
    return f"{minute_text(start_minute)} {gettext('to')} {minute_text(end_minute)}"


def block_text(block: Block | None, numbers: _Numbers | None = None) -> str:
    """What the battery may do: charging and discharging in words, the window of its charge; exact without `numbers`."""
    if block is None:
        return gettext("nothing")
    asked = numbers or _Numbers([])
    return gettext("%(power)s, SoC %(low)s to %(high)s %%") % {
        "power": _power_text(block.p_bat_min_kw, block.p_bat_max_kw, asked),
        "low": asked.pct(block.soc_min_pct),
        "high": asked.pct(block.soc_max_pct),
    }


def _power_text(low_kw: float, high_kw: float, numbers: _Numbers) -> str:
    """+ is charging: the lower bound is how much may be discharged when it is below zero."""
    discharge, charge = max(-low_kw, 0.0), max(high_kw, 0.0)
    if low_kw <= 0 <= high_kw:
        return gettext("discharge up to %(discharge)s, charge up to %(charge)s") % {
            "discharge": _kw(discharge, numbers),
            "charge": _kw(charge, numbers),
        }
    if low_kw > 0:
        return gettext("charge %(low)s to %(high)s") % {
            "low": _kw(low_kw, numbers),
            "high": _kw(high_kw, numbers),
        }
    return gettext("discharge %(low)s to %(high)s") % {
        "low": _kw(-high_kw, numbers),
        "high": _kw(-low_kw, numbers),
    }


def _kw(power_kw: float, numbers: _Numbers) -> str:
    return f"{numbers.kw(power_kw)}{NARROW}kW"
