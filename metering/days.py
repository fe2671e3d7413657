"""Local days of a plant: from its own midnight to the next, 23, 24 or 25 hours, or what its zone has.

Where midnight comes twice the day begins at the first; where the clock leaps over it the day begins with the leap.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True, order=True)
class LocalDay:
    """[start_at, end_at) in UTC of one calendar day."""

    day: date
    start_at: datetime
    end_at: datetime

    @property
    def length_s(self) -> float:
        return (self.end_at - self.start_at).total_seconds()


def local_day_of(moment: datetime, *, zone: str) -> LocalDay:
    """The local day that holds `moment`."""
    day = moment.astimezone(ZoneInfo(zone)).date()
    return local_day(day, zone=zone)


@lru_cache(maxsize=20_000)
def local_day(day: date, *, zone: str) -> LocalDay:
    """The bounds of a calendar day; the zone is an IANA name."""
    return LocalDay(day=day, start_at=_midnight(day, zone), end_at=_midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: str) -> datetime:
    # fold=0: the first of two midnights; a midnight that does not exist is read by the offset before the leap.
    return datetime.combine(day, time(0), tzinfo=ZoneInfo(zone)).astimezone(UTC)
