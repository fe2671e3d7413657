"""What a rollup works on: intervals of plants, and what it needs from a database."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

NO_HOLD = timedelta(0)


class Interval(NamedTuple):
    """[start_at, end_at) of a plant; `hold` of its samples for a quarter-hour, `day` for a local day."""

    plant_id: int
    start_at: datetime
    end_at: datetime
    hold: timedelta = NO_HOLD
    day: date | None = None


class RollupStore(Protocol):
    """Computes intervals, each once and at least one, and stores them; one that holds nothing has no row afterwards.

    Call within a transaction.
    """

    def quarters(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        """From the readings."""

    def hours(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        """From their quarter-hours."""

    def days(self, intervals: Sequence[Interval], *, at: datetime) -> None:
        """From their hours where both begin on a full hour of UTC, else from their quarter-hours."""


def begins_on_hours(interval: Interval) -> bool:
    """Whether the interval consists of whole hours of UTC."""
    return not (interval.start_at.minute or interval.end_at.minute)
