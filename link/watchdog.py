"""Whether a worker makes progress: every step says how long it may last, and a supervisor looks from outside.

A worker that is alive and stands still is worse than one that died: nobody replaces it. So each blocking step is
entered with a limit, and who exceeds it has its link dropped from outside, which ends calls that wait for the network.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic


class Step(StrEnum):
    """What a worker does right now."""

    IDLE = "IDLE"  # between turns, or pausing: waits for an event that the supervisor can set
    CONNECT = "CONNECT"
    LINK = "LINK"  # a call to the broker
    DATABASE = "DATABASE"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a step may legally last, in seconds.

    A call to the broker ends by its own deadlines within about 12 s. Connecting may wait for a name, for TCP, TLS and
    login in turn. A statement ends by the database's timeout of 30 s, and one step may hold several.
    """

    connect_s: float = 45.0
    link_s: float = 15.0
    database_s: float = 150.0

    def of(self, step: Step) -> float | None:
        """None = no limit."""
        return {
            Step.IDLE: None,
            Step.CONNECT: self.connect_s,
            Step.LINK: self.link_s,
            Step.DATABASE: self.database_s,
        }[step]


class Progress:
    """Where one worker is; written by its thread, read by the supervisor's."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._step = Step.IDLE
        self._since = monotonic()
        self._turns = 0

    @property
    def step(self) -> Step:
        """What the worker does now."""
        with self._lock:
            return self._step

    @property
    def turns(self) -> int:
        """How many steps have ended: grows while the worker works."""
        with self._lock:
            return self._turns

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """The step that the block is; steps may be nested, the inner one counts."""
        before = self._enter(step)
        try:
            yield
        finally:
            self._enter(before)

    def beat(self) -> None:
        """The step has come forward: its time starts anew."""
        with self._lock:
            self._since = monotonic()
            self._turns += 1

    def overdue_s(self) -> float:
        """By how many seconds the present step exceeds its limit; 0 = it does not."""
        with self._lock:
            limit_s = self._limits.of(self._step)
            return 0.0 if limit_s is None else max(0.0, monotonic() - self._since - limit_s)

    def _enter(self, step: Step) -> Step:
        with self._lock:
            before, self._step = self._step, step
            self._since = monotonic()
            self._turns += 1
            return before
