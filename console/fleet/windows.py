"""Which charge each plant's battery may have now: from the time-config block that holds its local minute."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from console.fleet.reading import PlantFacts
from plants.models import TimeConfigBlock

Window = tuple[float | None, float | None]


def windows_of(plants: Sequence[PlantFacts], *, at: datetime) -> dict[int, Window]:
    """{plant id: (lowest, highest) charge in %}, None = no limit; one statement for any number of plants.

    Outside of every block, and without any, the plant's own limits count.
    """
    versions = {one.time_config_id for one in plants if one.time_config_id is not None}
    blocks: dict[int, list[tuple[int, int, float, float]]] = defaultdict(list)
    rows = TimeConfigBlock.objects.filter(version_id__in=versions).order_by("start_minute")
    columns = ("version_id", "start_minute", "end_minute", "soc_min_pct", "soc_max_pct")
    for version_id, *block in rows.values_list(*columns) if versions else ():
        blocks[version_id].append((block[0], block[1], block[2], block[3]))
    return {one.id: _window(one, blocks.get(one.time_config_id or 0, []), at) for one in plants}


def _window(plant: PlantFacts, blocks: Sequence[tuple[int, int, float, float]], at: datetime) -> Window:
    local = at.astimezone(ZoneInfo(plant.time_zone))
    minute = local.hour * 60 + local.minute
    for start, end, low, high in blocks:
        if start <= minute < end:
            return low, high
    return plant.soc_min_pct, plant.soc_max_pct
