"""Pauses between attempts to reconnect: exponential with full jitter, bounded, and ended by the stop event.

Full jitter (a uniform draw between nothing and the ceiling) keeps a fleet of relays and consumers from returning to a
restarted broker in step.
"""

import random
import threading
from collections.abc import Callable

BASE_S = 0.5
CAP_S = 30.0

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

    def next_delay_s(self) -> float:
        """Draw the next pause and raise the ceiling for the one after."""
        delay_s = self._draw() * self._ceiling_s
        self._ceiling_s = min(self._cap_s, self._ceiling_s * 2)
        return delay_s

    def wait(self, stop: threading.Event) -> bool:
        """Pause; True when `stop` was set, which ends the pause at once."""
        return stop.wait(self.next_delay_s())

    def reset(self) -> None:
        """After a success: the next failure starts small again."""
        self._ceiling_s = self._base_s
