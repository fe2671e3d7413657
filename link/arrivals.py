"""What a consumer knows of arrivals and holds unstored, told with its health: our delay is no silence of Voke's.

A message has arrived when the worker is given it, whatever becomes of it then: the streams hear it before anything is
stored. While a batch lasts the worker takes nothing further, so it vouches only for what arrived until it took that
batch (`heard_until`). What the database refused and the broker will give again counts as held all the time.
"""

from collections.abc import Iterable
from datetime import datetime
from time import monotonic

from link.health import Streams
from link.parsing import Parsed
from plants.selectors.link_health import stores_slowly
from plants.services.link_health import Holding


class Arrivals:
    """One consumer's; a batch is heard in the thread that stores it, everything else is its worker's."""

    def __init__(self, *, streams: Streams) -> None:
        self._streams = streams
        self._heard_until: datetime | None = None
        self._unstored_since: datetime | None = None
        self._unstored_count = 0
        self._taken_at_s = 0.0

    def taken(self, count: int, *, at: datetime) -> None:
        """The broker was asked: so many came and are held from now on; 0 = nothing waits."""
        if not count:
            self._heard_until = at
            self.let_go()
            return
        if self._unstored_since is None:
            self._unstored_since, self._taken_at_s = at, monotonic()
        self._unstored_count = count

    def hear(self, understood: Iterable[Parsed], *, at: datetime) -> None:
        """What was taken at `at` and could be read."""
        self._streams.hear(understood, at=at)
        self._heard_until = at

    def let_go(self) -> None:
        """Nothing is held any more: it is stored, or the link is gone for a reason that is not the database's."""
        self._unstored_since, self._unstored_count = None, 0

    def held(self) -> Holding:
        """What to tell of it."""
        return Holding(
            heard_until=self._heard_until,
            unstored_since=self._unstored_since,
            unstored_count=self._unstored_count,
        )

    def slow(self, *, at: datetime) -> bool:
        """Whether something is held for so long that the database is slow."""
        return stores_slowly(self._unstored_since, at=at)

    def write(self, *, at: datetime) -> bool:
        """Write down what streams heard; False when the database did not take it."""
        return self._streams.write(at=at, hurry=True)

    def unstored_age_s(self) -> float:
        """For how long the oldest message is held; from any thread."""
        return 0.0 if self._unstored_since is None else monotonic() - self._taken_at_s

    def unstored_count(self) -> float:
        """How many are held; from any thread."""
        return float(self._unstored_count)
