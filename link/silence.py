"""A consumer that hears nothing: is there nothing to hear, or is it no longer given what waits?

While nothing comes it asks the broker how much waits in its queues. Messages that wait twice in a row although this
consumer has room for them mean that it is half open: the link is made anew. Where the key may not ask, the link is made
anew after a bounded silence, with growing pauses: a connection with nothing to say costs a few handshakes an hour.
"""

from collections.abc import Callable
from time import monotonic

from link.broker import Consumer, LinkError
from vcp.said import said

ASK_EVERY_S = 15.0
LONGEST_RENEWAL_S = 900.0


class Silence:
    """What one consumer does about its silence. `renew_after_s`: expected at the earliest, asked each time."""

    def __init__(self, *, renew_after_s: Callable[[], float], now: Callable[[], float] = monotonic) -> None:
        self._renew_after_s = renew_after_s
        self._now = now
        self._growth = 1
        self._suspected = False
        self._heard_at = self._ask_at = self._now()
        self.heard()

    def heard(self) -> None:
        """Something came."""
        self._growth = 1
        self._opened()

    def reopened(self) -> None:
        """The link is new; the pauses stay as long as they have grown."""
        self._opened()

    def look(self, consumer: Consumer) -> bool:
        """Nothing came once more: whether the link should be made anew without more ado.

        Raises `LinkError` HALF_OPEN when messages wait that this consumer is not given.
        """
        if self._now() < self._ask_at:
            return False
        waiting = consumer.waiting()
        if waiting is None:
            return self._renewal_is_due()
        if waiting and self._suspected:
            raise LinkError(
                said("%(waiting)s messages wait in the queues and none was delivered", waiting=waiting),
                code="HALF_OPEN",
            )
        self._suspected = waiting > 0
        if not waiting:
            self._ask_at = self._now() + ASK_EVERY_S
        return False

    def _renewal_is_due(self) -> bool:
        pause_s = min(max(self._renew_after_s(), ASK_EVERY_S) * self._growth, LONGEST_RENEWAL_S)
        if self._now() - self._heard_at < pause_s:
            self._ask_at = self._heard_at + pause_s
            return False
        if pause_s < LONGEST_RENEWAL_S:
            self._growth *= 2
        return True

    def _opened(self) -> None:
        self._suspected = False
        self._heard_at = self._now()
        self._ask_at = self._heard_at + ASK_EVERY_S
