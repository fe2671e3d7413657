"""From announcements to the log, in a thread of its own: whoever announces neither encodes nor waits.

Items of lists go on at once and in order. Of a plant's values at most one in `tile_every_s` goes on: the first at once,
and the last always.

Edge cases: a log that is away costs nobody but the screens: what could not be written is dropped, and the first thing
written afterwards says that something was lost. So does what did not fit in the queue. Neither is ever written twice.
"""

import math
import random
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Final, Protocol

import structlog

from live.counts import ANNOUNCEMENTS, Outcome
from live.events import Announcement, Event, Topic, event_of

log = structlog.get_logger(__name__)
_BACKOFF_S: Final = 1.0
_SENT_MAX: Final = 50_000
_NEVER: Final = (-math.inf, -math.inf)


class SinkAway(Exception):
    """The log can't be written at present; what was given to it may or may not be there."""


class Sink(Protocol):
    """Where events go. Both methods raise `SinkAway`."""

    def write(self, *, lists: Sequence[Event], tiles: Sequence[Event]) -> None:
        """Append events; none of them twice."""

    def say_lost(self) -> None:
        """Let every screen know that it has not heard everything."""


class Publisher:
    """One for a process; its thread starts with the first announcement. `queue_max`: how many may wait."""

    def __init__(self, sink: Sink, *, tile_every_s: float = 0.5, queue_max: int = 20_000) -> None:
        self._sink = sink
        self._tile_every_s = tile_every_s
        self._queue_max = queue_max
        self._changed = threading.Condition()
        self._queue: list[Announcement] = []
        self._lost = False
        self._busy = False
        self._closing = False
        self._thread: threading.Thread | None = None
        # Only the thread touches these.
        self._sent: dict[tuple[str, str], tuple[float, float]] = {}  # when, and which version
        self._held: dict[tuple[str, str], Announcement] = {}
        self.failures = 0

    def put(self, told: Sequence[Announcement]) -> None:
        """Take announcements of a committed transaction; never waits for the log."""
        with self._changed:
            if self._closing:
                ANNOUNCEMENTS.add(Outcome.DROPPED, len(told))
                return
            if len(self._queue) + len(told) > self._queue_max:
                ANNOUNCEMENTS.add(Outcome.DROPPED, len(self._queue) + len(told))
                self._queue.clear()
                self._lost = True
            else:
                self._queue.extend(told)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, *, within_s: float) -> bool:
        """Wait until everything that was put is written or given up; False when it took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._queue or self._busy or self._held), within_s)

    def close(self, *, within_s: float) -> None:
        """Write what waits, held back or not, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(within_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._lost or self._closing, self._wait_s())
                taken, self._queue = self._queue, []
                lost, closing = self._lost, self._closing
                self._busy = True
            written = self._write(taken, lost=lost, all_of_it=closing)
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if closing:
                    return
                if not written:
                    self._changed.wait_for(lambda: self._closing, _backoff_s())

    def _wait_s(self) -> float | None:
        """Until a value that was held back is due; None = until something is put."""
        if not self._held:
            return None
        return max(0.0, min(self._due_at(key) for key in self._held) - monotonic())

    def _due_at(self, key: tuple[str, str]) -> float:
        return self._sent.get(key, _NEVER)[0] + self._tile_every_s

    def _write(self, taken: Sequence[Announcement], *, lost: bool, all_of_it: bool) -> bool:
        lists = [event for told in taken if told.topic is not Topic.PLANT if (event := self._event(told))]
        tiles = self._tiles_due([told for told in taken if told.topic is Topic.PLANT], all_of_it=all_of_it)
        try:
            if lost:
                self._sink.say_lost()
                with self._changed:
                    self._lost = False
            if lists or tiles:
                self._sink.write(lists=lists, tiles=tiles)
                ANNOUNCEMENTS.add(Outcome.WRITTEN, len(lists) + len(tiles))
        except SinkAway as error:
            self._lose(error, len(lists) + len(tiles))
            return False
        except Exception as error:  # a fault of ours must not end the thread
            log.exception("announcements not written", action="live.failed")
            self._lose(error, len(lists) + len(tiles))
            return False
        return True

    def _tiles_due(self, tiles: Sequence[Announcement], *, all_of_it: bool) -> list[Event]:
        for told in tiles:
            key = (told.key, told.part)
            held = self._held.get(key)
            newest = self._sent.get(key, _NEVER)[1] if held is None else held.version
            if not told.version or told.version > newest:
                ANNOUNCEMENTS.add(Outcome.REPLACED, held is not None)
                self._held[key] = told
            else:
                ANNOUNCEMENTS.add(Outcome.REPLACED)
        now = monotonic()
        due = [key for key in self._held if all_of_it or self._due_at(key) <= now]
        if len(self._sent) > _SENT_MAX:
            self._sent = {key: one for key, one in self._sent.items() if now - one[0] < self._tile_every_s}
        events = []
        for key in due:
            told = self._held.pop(key)
            self._sent[key] = now, told.version
            if event := self._event(told):
                events.append(event)
        return events

    def _event(self, told: Announcement) -> Event | None:
        try:
            return event_of(told)
        except Exception:  # whatever it is that was announced, the others go on
            self.failures += 1
            ANNOUNCEMENTS.add(Outcome.DROPPED)
            log.exception("announcement unusable", action="live.unusable", topic=told.topic)
            return None

    def _lose(self, error: Exception, dropped: int) -> None:
        self.failures += 1
        ANNOUNCEMENTS.add(Outcome.DROPPED, dropped)
        with self._changed:
            if not self._lost:
                log.warning("screens miss news", action="live.lost", error=type(error).__name__)
            self._lost = True


def _backoff_s() -> float:
    return _BACKOFF_S * random.uniform(0.5, 1.5)  # noqa: S311 - to spread retries
