"""The one clock of the platform: entry points read it and pass the instant down as `at`.

Everything below an entry point (view, admin action, management command, tick, loop) takes `at` as a parameter, so
that rules stay pure and tests decide what time it is. This module imports nothing of ours: every room may read it.

With the environment variable CLOCK_OFFSET_FILE every process that names the same file shares a shifted clock: the file
holds a number of seconds that is added to the system's time, and may change while they run. That is how an hour of
outage passes in a second in tests; `check --deploy` refuses it (esm.E004).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]


def _system_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the only place that reads the system's time


def offset_clock(file: Path) -> Clock:
    """The system's time plus the seconds that the file holds at each reading."""

    def read() -> datetime:
        return _system_clock() + timedelta(seconds=float(file.read_text()))

    read()  # a missing or unreadable file is found at the start, not at the first command
    return read


OFFSET_FILE = os.environ.get("CLOCK_OFFSET_FILE", "")
_source: Clock = offset_clock(Path(OFFSET_FILE)) if OFFSET_FILE else _system_clock


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
