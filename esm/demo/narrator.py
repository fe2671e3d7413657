"""Tells the loop in readable lines: what the modelled Voke did, as it happens."""

import sys
import threading
from datetime import datetime

from voke_sim.notes import Action, Note

_QUIET = frozenset({Action.REPORTED})
"""Telemetry comes every second; it is counted, not told, except now and then."""
_EVERY = 15


class Narrator:
    """Writes lines from several threads, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports = 0

    def say(self, text: str, *, at: datetime | None = None) -> None:
        """One line on standard output."""
        stamp = f"{at:%H:%M:%S} " if at else ""
        with self._lock:
            sys.stdout.write(f"{stamp}{text}\n")
            sys.stdout.flush()

    def note(self, note: Note) -> None:
        """One happening of the stand-in."""
        if note.action in _QUIET:
            self._reports += 1
            if self._reports % _EVERY:
                return
        self.say(f"voke      {note.text}", at=note.at)
