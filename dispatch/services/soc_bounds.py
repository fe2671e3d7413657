"""Between which charges a plant's battery may work at a time: its own bounds, narrowed by the time config then."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dispatch.services.bulk import Among
from plants.models import TimeConfigBlock

_DAY = timedelta(days=1)


class SocBounds(NamedTuple):
    """In percent."""

    low: float
    high: float


class SocWanted(NamedTuple):
    """Whose bounds are asked for, and when: `own` those of the plant, `time_config_id` its time config's version."""

    key: int
    own: SocBounds
    time_config_id: int | None
    zone: str
    from_at: datetime
    to_at: datetime


class _Block(NamedTuple):
    start_minute: int
    end_minute: int
    low: float
    high: float
    made_at: datetime


def soc_bounds(wanted: Sequence[SocWanted]) -> dict[int, SocBounds]:
    """By key; one query for any number. A time config that was made later says nothing about the time before it.

    Blocks are of local minutes. Where several are in force within the time, the narrowest bounds count.
    """
    blocks = _blocks({one.time_config_id for one in wanted if one.time_config_id is not None})
    found = {}
    for one in wanted:
        low, high = one.own
        for block in blocks.get(one.time_config_id, ()):
            if block.made_at <= one.from_at and _is_within(block, one):
                low, high = max(low, block.low), min(high, block.high)
        found[one.key] = SocBounds(low, max(low, high))
    return found


def _blocks(version_ids: set[int]) -> Mapping[int | None, Sequence[_Block]]:
    found: dict[int | None, list[_Block]] = defaultdict(list)
    if not version_ids:
        return found
    rows = TimeConfigBlock.objects.filter(Among(version_ids, of="version_id")).order_by()
    for version_id, start, end, low, high, made_at in rows.values_list(
        "version_id", "start_minute", "end_minute", "soc_min_pct", "soc_max_pct", "version__made_at"
    ):
        found[version_id].append(_Block(start, end, low, high, made_at))
    return found


def _is_within(block: _Block, one: SocWanted) -> bool:
    """By the clock on the wall: a block of the hour that is there twice is in force twice."""
    zone = ZoneInfo(one.zone)
    low, high = (at.astimezone(zone).replace(tzinfo=None) for at in (one.from_at, one.to_at))
    return any(start < max(low, high) and min(low, high) < end for start, end in _times(block, low, high))


def _times(block: _Block, low: datetime, high: datetime) -> Iterator[tuple[datetime, datetime]]:
    midnight = datetime.combine(min(low, high), time())
    while midnight <= max(low, high):
        yield midnight + timedelta(minutes=block.start_minute), midnight + timedelta(minutes=block.end_minute)
        midnight += _DAY
