"""What was announced lately, as this process knows it: the history from which its streams are served.

Two kinds of history. Lists: the last `lists_max` items, each with its place. Tiles: the newest value of each part of a
plant, with the place at which it came. Whoever has heard up to a place gets what came after it, exactly; whoever is
too far behind is told so.

Embedded, places are counted here. In a full installation they are those of Redis (`live.redis_log`), so that a screen
may go on at another web process.

Edge cases: values that come out of order (two consumers, a late sample) never replace newer ones; when the history was
begun anew (`epoch`), nobody's place is known.
"""

import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from time import monotonic
from typing import NamedTuple

from live.events import START, Event, Place, Position


class Entry(NamedTuple):
    """Events that came together; `number` counts the entries of this process."""

    number: int
    is_tiles: bool
    place: Place
    events: Sequence[Event]


@dataclass(frozen=True, kw_only=True)
class Missed:
    """What an organisation's streams would have got since a position. `lost`: not all of it is known any more."""

    lists: Sequence[tuple[Place, Event]]
    tiles: Sequence[tuple[Place, Event]]
    lists_lost: bool
    tiles_lost: bool


class Ring:
    """Thread-safe; nothing here waits for anything. `lists_max` and `tiles_max` bound its memory (events)."""

    def __init__(self, *, lists_max: int = 10_000, tiles_max: int = 50_000, recent_max: int = 20_000) -> None:
        self._lists_max, self._tiles_max, self._recent_max = lists_max, tiles_max, recent_max
        self._guard = threading.Lock()
        self._bells: list[Callable[[], None]] = []
        self._number = 0
        self._away = False
        self._taken_at = monotonic()
        self._begin(secrets.token_hex(6), lists=START, tiles=START)

    @property
    def epoch(self) -> str:
        """The name of this history."""
        return self._epoch

    @property
    def away(self) -> bool:
        """Whether news can't come at present."""
        return self._away

    @property
    def newest_age_s(self) -> float:
        """Since the newest entry came here; since this began when none did."""
        return monotonic() - self._taken_at

    @property
    def number(self) -> int:
        """Of the newest entry."""
        return self._number

    def position(self) -> Position:
        """Where a screen stands that is made now."""
        with self._guard:
            return Position(self._epoch, self._list_place, self._tile_place)

    def publish(self, *, lists: Sequence[Event], tiles: Sequence[Event]) -> None:
        """New events of this process, at the next places."""
        with self._guard:
            if lists:
                self._add_lists((self._list_place[0] + 1, 0), lists)
            if tiles:
                self._add_tiles((self._tile_place[0] + 1, 0), tiles)
        self._ring_bells()

    def take_over(self, entries: Sequence[tuple[bool, Place, Sequence[Event]]]) -> None:
        """Events of another log, in its order, at its places: (whether they are tiles, place, events)."""
        with self._guard:
            for is_tiles, place, events in entries:
                (self._add_tiles if is_tiles else self._add_lists)(place, events)
        self._ring_bells()

    def begin(self, epoch: str, *, lists: Place, tiles: Place) -> None:
        """A new history, known from these places on; whoever is served from it has to start afresh."""
        with self._guard:
            self._begin(epoch, lists=lists, tiles=tiles)
            self._number += 1
        self._ring_bells()

    def forget(self) -> None:
        """Something was lost before the newest place: whoever stands before it has to start afresh."""
        with self._guard:
            self._begin(self._epoch, lists=self._list_place, tiles=self._tile_place)
            self._number += 1
        self._ring_bells()

    def set_away(self, away: bool) -> None:
        """News can't come at present, or can again."""
        self._away = away
        self._ring_bells()

    def entries_since(self, number: int) -> Sequence[Entry] | None:
        """What came after the entry of this number; None when not all of it is here any more."""
        with self._guard:
            if number == self._number:
                return ()
            found = list(takewhile(lambda entry: entry.number > number, reversed(self._recent)))
            if len(found) != self._number - number:
                return None
        return found[::-1]

    def missed(
        self, organisation_id: int, since: Position, *, upto: Position, plants: Set[str] | None = None
    ) -> Missed:
        """What was told to an organisation after a position, as far as to another one.

        `plants`: keys of those whose values matter, None = all. Of few they are looked up: when a server comes back its
        pages come at once, and a look at ten thousand plants' values for each of them would hold up all streams.
        """
        with self._guard:
            if since.epoch != self._epoch or upto.epoch != self._epoch:
                return Missed(lists=(), tiles=(), lists_lost=True, tiles_lost=True)
            entries = takewhile(lambda entry: entry.place > since.lists, reversed(self._lists))
            lists = [
                (entry.place, event)
                for entry in reversed(list(entries))
                if entry.place <= upto.lists
                for event in entry.events
                if event.organisation_id == organisation_id
            ]
            tiles = [
                (place, event)
                for place, event in self._newer(since.tiles, plants)
                if place <= upto.tiles and event.organisation_id == organisation_id
            ]
            return Missed(
                lists=lists,
                tiles=tiles,
                lists_lost=since.lists < self._lists_floor,
                tiles_lost=since.tiles < self._tiles_floor,
            )

    @contextmanager
    def heard_by(self, bell: Callable[[], None]) -> Iterator[None]:
        """During the block `bell` is called after something came; from any thread, and it must not wait."""
        with self._guard:
            self._bells.append(bell)
        try:
            yield
        finally:
            with self._guard:
                self._bells.remove(bell)

    def _newer(self, since: Place, plants: Set[str] | None) -> Iterator[tuple[Place, Event]]:
        """Values that came after a place, the newest first."""
        if plants is None:
            return takewhile(lambda one: one[0] > since, reversed(self._tiles.values()))
        known = (self._tiles.get((key, part)) for key in plants for part in self._parts)
        found = [one for one in known if one is not None and one[0] > since]
        return iter(sorted(found, key=lambda one: one[0], reverse=True))

    def _ring_bells(self) -> None:
        with self._guard:
            bells = tuple(self._bells)
        for bell in bells:
            bell()

    def _begin(self, epoch: str, *, lists: Place, tiles: Place) -> None:
        self._epoch = epoch
        self._list_place = self._lists_floor = lists
        self._tile_place = self._tiles_floor = tiles
        self._lists: deque[Entry] = deque()
        self._tiles: OrderedDict[tuple[str, str], tuple[Place, Event]] = OrderedDict()
        self._parts: set[str] = set()
        self._recent: deque[Entry] = deque()
        self._lists_held = self._recent_held = 0

    def _add_lists(self, place: Place, events: Sequence[Event]) -> None:
        entry = self._next(False, place, events)
        self._list_place = place
        self._lists.append(entry)
        self._lists_held += len(events)
        while self._lists_held > self._lists_max and len(self._lists) > 1:
            dropped = self._lists.popleft()
            self._lists_held -= len(dropped.events)
            self._lists_floor = dropped.place

    def _add_tiles(self, place: Place, events: Sequence[Event]) -> None:
        news = [event for event in events if self._is_news(event)]
        self._tile_place = place
        for event in news:
            key = (event.key, event.part)
            self._parts.add(event.part)
            self._tiles[key] = (place, event)
            self._tiles.move_to_end(key)
        while len(self._tiles) > self._tiles_max:
            _, (self._tiles_floor, _) = self._tiles.popitem(last=False)
        self._next(True, place, news)

    def _is_news(self, event: Event) -> bool:
        known = self._tiles.get((event.key, event.part))
        return known is None or not event.version or event.version > known[1].version

    def _next(self, is_tiles: bool, place: Place, events: Sequence[Event]) -> Entry:
        self._number += 1
        self._taken_at = monotonic()
        entry = Entry(self._number, is_tiles, place, events)
        self._recent.append(entry)
        self._recent_held += len(events) + 1
        while self._recent_held > self._recent_max and len(self._recent) > 1:
            self._recent_held -= len(self._recent.popleft().events) + 1
        return entry
