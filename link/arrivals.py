"""What a consumer knows of arrivals and holds unstored, told with its health: our delay is no silence of Voke's.

A message has arrived when the worker is given it, whatever becomes of it then: the streams hear it before anything of
it is stored. What waits behind a batch that is being stored is not heard yet, so the worker vouches only for what
arrived until it took the batch that was heard last (`heard_until`). What the database refused and the broker will give
again counts as held all the time.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from link.health import Streams
from link.parsing import Parsed
from plants.selectors.link_health import stores_slowly
from plants.services.link_health import Holding


class _Taken(NamedTuple):
    """Deliveries that are held: since when, also by a clock that nobody sets, and how many."""

    at: datetime
    at_s: float
    number: int


class Arrivals:
    """One consumer's; a batch is heard in the thread that stores it, everything else is its worker's."""

    def __init__(self, *, streams: Streams) -> None:
        self._streams = streams
        self._heard_until: datetime | None = None
        self._held: deque[_Taken] = deque()
        self._refused: _Taken | None = None
        self._oldest: _Taken | None = None
        self._count = 0

    def taken(self, count: int, *, at: datetime) -> None:
        """So many came and are held from now on."""
        self._held.append(_Taken(at, monotonic(), count))
        self._tell()

    def nothing_waits(self, *, at: datetime) -> None:
        """The broker was asked and had nothing."""
        self._heard_until = at
        self.let_go()

    def hear(self, understood: Iterable[Parsed], *, at: datetime) -> None:
        """What was taken at `at` and could be read."""
        self._streams.hear(understood, at=at)
        self._heard_until = at

    def stored(self) -> None:
        """What was taken first is stored."""
        self._held.popleft()
        self._refused = None
        self._tell()

    def gave_back(self) -> None:
        """The broker has all of it again, because the database did not take it: it is held on."""
        if self._held:
            self._refused = (self._oldest or self._held[0])._replace(number=self._count)
            self._held.clear()
            self._tell()

    def let_go(self) -> None:
        """Nothing is held any more: it is stored, or the link is gone for a reason that is not the database's."""
        self._held.clear()
        self._refused = None
        self._tell()

    def _tell(self) -> None:
        """Other threads read these two: each is set at once."""
        self._count = sum(one.number for one in self._held)
        if not self._held and self._refused is not None:
            self._count = self._refused.number
        self._oldest = self._refused or (self._held[0] if self._held else None)

    def held(self) -> Holding:
        """What to tell of it."""
        return Holding(
            heard_until=self._heard_until,
            unstored_since=None if self._oldest is None else self._oldest.at,
            unstored_count=self._count,
        )

    def slow(self, *, at: datetime) -> bool:
        """Whether something is held for so long that the database is slow."""
        oldest = self._oldest
        return stores_slowly(None if oldest is None else oldest.at, at=at)

    def write(self, *, at: datetime) -> bool:
        """Write down what streams heard; False when the database did not take it."""
        return self._streams.write(at=at, hurry=True)

    def unstored_age_s(self) -> float:
        """For how long the oldest message is held; from any thread."""
        oldest = self._oldest
        return 0.0 if oldest is None else monotonic() - oldest.at_s

    def unstored_count(self) -> float:
        """How many are held; from any thread."""
        return float(self._count)
