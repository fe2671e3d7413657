"""The feed of this process: where its announcements go, and the history that its streams are served from.

Embedded, both are one ring. In a full installation announcements go to Redis (LIVE_REDIS_URL), and a web process
follows Redis with a thread (`following`).
"""

import atexit
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from django.conf import settings

from live.events import Announcement, Event
from live.publisher import Publisher, Sink
from live.redis_log import RedisReader, RedisSink
from live.ring import Ring

RING: Final = Ring()
FOLLOWED: Final = threading.Event()
"""Whether streams were ever served from the ring of this process."""
_END_S: Final = 2.0
_guard = threading.Lock()
_publisher: Publisher | None = None


class RingSink:
    """Into a ring of this process."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def write(self, *, lists: Sequence[Event], tiles: Sequence[Event]) -> None:
        """Append events."""
        self._ring.publish(lists=lists, tiles=tiles)

    def say_lost(self) -> None:
        """Whoever stands before this has missed something."""
        self._ring.take_over([(False, (self._ring.position().lists[0] + 1, 0), ())])
        self._ring.forget()


def publish(told: Sequence[Announcement]) -> None:
    """Give announcements of a committed transaction to the publisher of this process."""
    publisher().put(told)


def publisher() -> Publisher:
    """The publisher of this process; made when it is first asked for, and flushed when the process ends."""
    global _publisher  # noqa: PLW0603 - the process has one
    with _guard:
        if _publisher is None:
            _publisher = Publisher(_sink())
        return _publisher


def _sink() -> Sink:
    return RedisSink(settings.LIVE_REDIS_URL) if settings.LIVE_REDIS_URL else RingSink(RING)


@contextmanager
def following() -> Iterator[None]:
    """During the block the ring follows Redis, if there is one to follow."""
    FOLLOWED.set()
    if not settings.LIVE_REDIS_URL:
        yield
        return
    stop = threading.Event()
    reader = RedisReader(settings.LIVE_REDIS_URL, RING)
    thread = threading.Thread(target=reader.run, args=(stop,), name="live-reader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_S)


def _end() -> None:
    if _publisher is not None:
        _publisher.close(within_s=_END_S)


def _forget_parent() -> None:
    """A forked child has no thread of its parent's."""
    global _publisher, _guard
    _publisher, _guard = None, threading.Lock()


atexit.register(_end)
os.register_at_fork(after_in_child=_forget_parent)
