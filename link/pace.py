"""For how long a consumer that has a delivery waits for more, before it stores what it has.

Waiting makes batches: of a thousand messages a second 20 ms make twenty one commit. While few come there is nothing to
gather, and each would only be stored that much later; what comes while one is being stored is gathered anyway.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

FEW_PER_S: Final = 50.0
"""500 plants that report every 10 s."""
_SPAN_S: Final = 1.0


class Pace:
    """One consumer's; `flush_s`: how long it waits while more than a few deliveries come."""

    def __init__(self, flush_s: float, *, timer: Callable[[], float] = monotonic) -> None:
        self._flush_s = flush_s
        self._timer = timer
        self._since = timer()
        self._came = 0
        self._was_busy = False

    @property
    def flush_s(self) -> float:
        """How long to wait for more now."""
        return self._flush_s if self._was_busy or self._came > FEW_PER_S * _SPAN_S else 0.0

    def took(self, count: int) -> None:
        """So many deliveries were fetched."""
        now = self._timer()
        passed_s = now - self._since
        if passed_s >= _SPAN_S:
            self._was_busy = self._came > FEW_PER_S * passed_s
            self._since, self._came = now, 0
        self._came += count
