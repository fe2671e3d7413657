"""What a process counts of its announcements; `esm.stream_metrics` shows it."""

import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an announcement.

    REPLACED: a newer value of the same kind came before it was due. DROPPED: the log was away, too many waited, or it
    was no JSON; screens are told that they missed something.
    """

    WRITTEN = "written"
    REPLACED = "replaced"
    DROPPED = "dropped"


class Counts:
    """Thread-safe; only grows."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counted: Counter[Outcome] = Counter()

    def add(self, outcome: Outcome, count: int = 1) -> None:
        """So many announcements ended so."""
        with self._guard:
            self._counted[outcome] += count

    def all(self) -> Mapping[Outcome, int]:
        """How many so far, of every outcome."""
        with self._guard:
            return {outcome: self._counted[outcome] for outcome in Outcome}


ANNOUNCEMENTS = Counts()
"""Of this process."""
