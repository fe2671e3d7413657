"""The one clock of the platform: entry points read it and pass the instant down as `at`.

Everything below an entry point (view, admin action, management command, tick, loop) takes `at` as a parameter, so
that rules stay pure and tests decide what time it is. This module imports nothing of ours: every room may read it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def _system_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the only place that reads the system's time


_source: Clock = _system_clock


def now() -> datetime:
    """The current instant as an aware UTC datetime."""
    return _source()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Let `now()` answer `at` within the block; for tests and virtual days, never for production code paths."""
    global _source  # noqa: PLW0603 - the process has one clock
    if at.tzinfo is None:
        raise ValueError("a frozen clock needs an aware datetime")
    previous, _source = _source, lambda: at
    try:
        yield
    finally:
        _source = previous
