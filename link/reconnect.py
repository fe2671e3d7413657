"""Pauses between attempts to reconnect: exponential with full jitter, bounded, and ended by the stop event.

Full jitter (a uniform draw between nothing and the ceiling) keeps a fleet of relays and consumers from returning to a
restarted broker in step.
"""

import random
import threading
from collections.abc import Callable
from time import monotonic

BASE_S = 0.5
CAP_S = 10.0
REFUSED_FACTOR = 3
"""How much longer than others a link may pause that was refused: only a change on somebody's side will help."""

_SLICE_S = 1.0
_system_random = random.SystemRandom()


class Backoff:
    """The pauses of one loop. The ceiling doubles with each failure from `base_s` up to `cap_s`; not thread-safe.

    `draw` answers a number in [0, 1); tests give their own.
    """

    def __init__(
        self,
        *,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        draw: Callable[[], float] = _system_random.random,
    ) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError("expected 0 < base_s <= cap_s")
        self._base_s = base_s
        self._cap_s = cap_s
        self._draw = draw
        self._ceiling_s = base_s

    @property
    def ceiling_s(self) -> float:
        """The longest that the next pause may last."""
        return self._ceiling_s

    def next_delay_s(self, *, refused: bool = False) -> float:
        """Draw the next pause and raise the ceiling for the one after; `refused` allows three times the cap."""
        cap_s = self._cap_s * (REFUSED_FACTOR if refused else 1)
        delay_s = self._draw() * min(self._ceiling_s, cap_s)
        self._ceiling_s = min(cap_s, self._ceiling_s * 2)
        return delay_s

    def wait(
        self, stop: threading.Event, *, refused: bool = False, hurried: Callable[[], bool] | None = None
    ) -> bool:
        """Pause; True when `stop` was set, which ends the pause at once.

        `hurried` is asked about every second of the pause (with jitter, never more than 1.5 s apart) and ends it by
        True; whoever waits may use it as well to say that it is still there.
        """
        until = monotonic() + self.next_delay_s(refused=refused)
        while True:
            left_s = until - monotonic()
            step_s = left_s if hurried is None else min(left_s, _SLICE_S * (0.5 + self._draw()))
            if stop.wait(max(0.0, step_s)):
                return True
            if until <= monotonic() or (hurried is not None and hurried()):
                return False

    def reset(self) -> None:
        """After a success: the next failure starts small again."""
        self._ceiling_s = self._base_s
