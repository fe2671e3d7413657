"""Time-config blocks as pure rules: half-open local minutes of a day, and what they mean on a real calendar day.

A block covers [start_minute, end_minute) of the plant's wall clock, every day. Blocks of a set do not overlap, do not
cross midnight and leave no gap unless the plant allows it. On a day with a clock change the wall clock decides: in the
skipped hour a block does not exist, in the repeated hour it applies twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from zoneinfo import ZoneInfo

from plants.errors import DomainError, Invalid
from vcp.said import said

MINUTES_PER_DAY = 1440
MAX_BLOCKS = 96


@dataclass(frozen=True, kw_only=True)
class Block:
    """What the battery may do within [start_minute, end_minute): powers in kW, + = charging."""

    start_minute: int
    end_minute: int
    p_bat_min_kw: float
    p_bat_max_kw: float
    soc_min_pct: float
    soc_max_pct: float


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """What a plant's battery can do; None = not known, not checked."""

    charge_kw: float | None = None
    discharge_kw: float | None = None
    soc_min_pct: float | None = None
    soc_max_pct: float | None = None


@dataclass(frozen=True, kw_only=True)
class Window:
    """A block on one calendar day: [start_at, end_at) as UTC instants."""

    start_at: datetime
    end_at: datetime
    block: Block


def minute_text(minute: int) -> str:
    """`HH:MM`; 1440 is 24:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def check_blocks(blocks: Sequence[Block], *, ratings: Ratings, gaps_allowed: bool) -> list[DomainError]:
    """Every broken rule with the path `timeConfigs[i].field`; an empty list means the set is sound."""
    if len(blocks) > MAX_BLOCKS:
        return [
            Invalid(
                said("at most %(limit)s blocks, got %(count)s", limit=MAX_BLOCKS, count=len(blocks)),
                path="timeConfigs",
            )
        ]
    problems: list[DomainError] = []
    for index, block in enumerate(blocks):
        problems += _check_block(block, f"timeConfigs[{index}]", ratings)
    return problems or _check_cover(blocks, gaps_allowed=gaps_allowed)


def _check_block(block: Block, path: str, ratings: Ratings) -> Iterable[DomainError]:
    if not 0 <= block.start_minute < MINUTES_PER_DAY:
        yield Invalid(said("must lie within 00:00 and 23:59"), path=f"{path}.from")
    elif block.end_minute > MINUTES_PER_DAY or block.end_minute <= block.start_minute:
        yield Invalid(said("must end after it starts and must not cross midnight"), path=f"{path}.to")
    powers = (("pBatMin", block.p_bat_min_kw), ("pBatMax", block.p_bat_max_kw))
    for name, power_kw in powers:
        if not isfinite(power_kw):  # NaN passes every comparison below
            yield Invalid(said("must be a finite number"), path=f"{path}.{name}")
    if block.p_bat_min_kw > block.p_bat_max_kw:
        yield Invalid(said("pBatMin must not exceed pBatMax"), path=f"{path}.pBatMin")
    if not 0 <= block.soc_min_pct <= 100:
        yield Invalid(said("must lie within 0 and 100 %"), path=f"{path}.socMin")
    if not 0 <= block.soc_max_pct <= 100:
        yield Invalid(said("must lie within 0 and 100 %"), path=f"{path}.socMax")
    if block.soc_min_pct > block.soc_max_pct:
        yield Invalid(said("socMin must not exceed socMax"), path=f"{path}.socMin")
    yield from _check_ratings(block, path, ratings)


def _check_ratings(block: Block, path: str, ratings: Ratings) -> Iterable[DomainError]:
    if ratings.charge_kw is not None and block.p_bat_max_kw > ratings.charge_kw:
        yield Invalid(
            said("the battery charges with at most %(charge_kw)s kW", charge_kw=ratings.charge_kw),
            path=f"{path}.pBatMax",
        )
    if ratings.discharge_kw is not None and block.p_bat_min_kw < -ratings.discharge_kw:
        yield Invalid(
            said(
                "the battery discharges with at most %(discharge_kw)s kW", discharge_kw=ratings.discharge_kw
            ),
            path=f"{path}.pBatMin",
        )
    if ratings.soc_min_pct is not None and block.soc_min_pct < ratings.soc_min_pct:
        yield Invalid(
            said("the plant's lowest SoC is %(soc_min_pct)s %%", soc_min_pct=ratings.soc_min_pct),
            path=f"{path}.socMin",
        )
    if ratings.soc_max_pct is not None and block.soc_max_pct > ratings.soc_max_pct:
        yield Invalid(
            said("the plant's highest SoC is %(soc_max_pct)s %%", soc_max_pct=ratings.soc_max_pct),
            path=f"{path}.socMax",
        )


def _check_cover(blocks: Sequence[Block], *, gaps_allowed: bool) -> list[DomainError]:
    order = sorted(range(len(blocks)), key=lambda index: blocks[index].start_minute)
    problems: list[DomainError] = []
    longest = None  # of the blocks so far, the one that ends last
    for index in order:
        block = blocks[index]
        if longest is not None and block.start_minute < longest.end_minute:
            text = said(
                "overlaps the block from %(start_minute)s", start_minute=minute_text(longest.start_minute)
            )
            problems.append(Invalid(text, path=f"timeConfigs[{index}].from"))
        if longest is None or block.end_minute > longest.end_minute:
            longest = block
    if problems or gaps_allowed:
        return problems
    edge = 0
    for index in order:
        if blocks[index].start_minute > edge:
            gap = f"{minute_text(edge)} to {minute_text(blocks[index].start_minute)}"
            problems.append(
                Invalid(said("nothing covers %(gap)s", gap=gap), path=f"timeConfigs[{index}].from")
            )
        edge = blocks[index].end_minute
    if edge < MINUTES_PER_DAY:
        problems.append(
            Invalid(said("nothing covers %(edge)s to 24:00", edge=minute_text(edge)), path="timeConfigs")
        )
    return problems


def block_at(blocks: Sequence[Block], *, at: datetime, zone: ZoneInfo) -> Block | None:
    """The block in force at the instant `at` on the plant's wall clock; None in an allowed gap."""
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return next((block for block in blocks if block.start_minute <= minute < block.end_minute), None)


def windows_of_day(blocks: Sequence[Block], *, day: date, zone: ZoneInfo) -> list[Window]:
    """The blocks of a local day as UTC windows in time order; a 23-hour day loses, a 25-hour day repeats an hour."""
    windows: list[Window] = []
    for start, end in _spans_of_constant_offset(day, zone):
        midnight = start - timedelta(minutes=_wall_minute(start, zone))  # where 00:00 would be at this offset
        for block in sorted(blocks, key=lambda one: one.start_minute):
            opens = max(start, midnight + timedelta(minutes=block.start_minute))
            closes = min(end, midnight + timedelta(minutes=block.end_minute))
            if opens < closes:
                windows.append(Window(start_at=opens, end_at=closes, block=block))
    return windows


def _wall_minute(at: datetime, zone: ZoneInfo) -> float:
    local = at.astimezone(zone)
    return local.hour * 60 + local.minute + local.second / 60


@lru_cache(maxsize=1024)
def _spans_of_constant_offset(day: date, zone: ZoneInfo) -> tuple[tuple[datetime, datetime], ...]:
    """[start, end) UTC spans that together are the local day, cut where the zone's offset changes.

    Kept: a page asks for the same day again and again, and a day is looked at minute by minute.
    """
    spans: list[tuple[datetime, datetime]] = []
    at = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    begin = at
    while at < end:
        step = min(at + timedelta(minutes=1), end)
        if step < end and step.astimezone(zone).utcoffset() != at.astimezone(zone).utcoffset():
            spans.append((begin, step))
            begin = step
        at = step
    return (*spans, (begin, end))


class Mark(StrEnum):
    """What became of a span of the day."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True)
class SpanChange:
    """What two sets say of one span of the day, [start_minute, end_minute); None = no block covers just that."""

    start_minute: int
    end_minute: int
    before: Block | None
    after: Block | None

    @property
    def mark(self) -> Mark:
        """What became of it."""
        if self.before is None:
            return Mark.ADDED
        if self.after is None:
            return Mark.REMOVED
        return Mark.SAME if self.before == self.after else Mark.CHANGED


def span_changes(before: Sequence[Block], after: Sequence[Block]) -> list[SpanChange]:
    """Two sets span by span, in the order of the day; what stays the same too."""
    old = {(block.start_minute, block.end_minute): block for block in before}
    new = {(block.start_minute, block.end_minute): block for block in after}
    return [
        SpanChange(start_minute=key[0], end_minute=key[1], before=old.get(key), after=new.get(key))
        for key in sorted(old.keys() | new.keys())
    ]


def describe_changes(before: Sequence[Block], after: Sequence[Block]) -> list[str]:
    """What differs between two sets, a line each, for the history of versions: removed, added, changed."""
    found = span_changes(before, after)
    lines = [f"removed {_describe(one.before)}" for one in found if one.before and not one.after]
    lines += [f"added {_describe(one.after)}" for one in found if one.after and not one.before]
    return lines + [
        f"changed {_describe(one.before)} to {_describe(one.after)}"
        for one in found
        if one.before and one.after and one.mark is Mark.CHANGED
    ]


def _describe(block: Block) -> str:
    return (
        f"{minute_text(block.start_minute)}-{minute_text(block.end_minute)} "
        f"battery {block.p_bat_min_kw:g}..{block.p_bat_max_kw:g} kW, "
        f"SoC {block.soc_min_pct:g}..{block.soc_max_pct:g} %"
    )
