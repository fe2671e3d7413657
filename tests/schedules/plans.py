"""Slots of one winter day in Prague, for tests."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schedules.slots import PlannedSlot
from vcp import Direction, SetpointType

ZONE = "Europe/Prague"
DAY = date(2026, 1, 2)
EVE = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""The noon before: nothing of the day has begun."""


def at(text: str, *, day: date = DAY) -> datetime:
    """`HH:MM` of the day on the wall clock, as an instant."""
    return datetime.combine(day, time.fromisoformat(text), ZoneInfo(ZONE)).astimezone(UTC)


def slot(
    start: str, value: float, direction: str = "IMPORT", *, minutes: int = 15, **changes: Any
) -> PlannedSlot:
    """A POWER slot with consumption, unless `changes` say otherwise."""
    facts: dict[str, Any] = {
        "start_at": at(start),
        "end_at": at(start) + timedelta(minutes=minutes),
        "type": SetpointType.POWER,
        "value": float(value),
        "direction": Direction(direction),
    }
    return PlannedSlot(**(facts | changes))
