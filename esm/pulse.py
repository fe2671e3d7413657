"""A sign of life that a health check can read: each long-running loop touches a file on every turn.

A process that hangs stops touching, although it is still there; `manage.py health NAME` then says so. The directory is
`PULSE_DIR` (each container has its own).
"""

import time
from pathlib import Path

from django.conf import settings

LAST_TICK_KEY = "esm:last-tick"
LAST_SLOW_TICK_KEY = "esm:last-slow-tick"
"""In the cache: when ticks ran last, quick and slow ones; each kind speaks for its worker."""


class Pulse:
    """The sign of life of one loop."""

    def __init__(self, name: str) -> None:
        self._path = pulse_file(name)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def beat(self) -> None:
        """The loop has come round once more."""
        self._path.touch()

    def stop(self) -> None:
        """The loop ended on purpose."""
        self._path.unlink(missing_ok=True)


def pulse_file(name: str) -> Path:
    """Where a loop's sign of life is."""
    return Path(settings.PULSE_DIR) / name


def age_s(name: str) -> float | None:
    """Seconds since the loop's last turn on this machine; None when it does not run."""
    try:
        touched = pulse_file(name).stat().st_mtime
    except FileNotFoundError:
        return None
    return max(0.0, time.time() - touched)  # noqa: TID251 - compared with the file system's clock
