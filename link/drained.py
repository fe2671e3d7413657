"""What the consumer of a connection that was taken over proves: all that stood in its queues is stored.

A look takes the time, then asks the broker how many messages wait. When none does, everything that was published before
has been given to a consumer. What this one was given is known at the next look, when nothing of it can be under way any
more; when all of that is acknowledged, this consumer holds nothing of before the first look. So two looks on one link
make a proof, and it holds while new messages flow. What other consumers hold is theirs to prove
(`plants.selectors.draining` puts the proofs together).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog

from link.broker import Clock, Consumer, Tally
from link.health import DATABASE_TROUBLE
from link.watchdog import Progress, Step
from plants.selectors.draining import is_draining
from plants.services.draining import note_reading

log = structlog.get_logger(__name__)
LOOK_EVERY_S = 2.0
ASK_EVERY_S = 5.0
"""How often it is asked whether the connection was taken over at all."""


@dataclass(kw_only=True)
class _Claim:
    """That nothing waited at `at`. `came`: what has to be acknowledged for that; None = it may be under way still."""

    at: datetime
    came: int | None = None


class Proof:
    """The looks of one consumer on one link. `since` and `until`: first and last moment that is proven."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        self.until: datetime | None = None
        self._claim: _Claim | None = None

    def look(self, *, at: datetime, empty: bool, tally: Tally) -> None:
        """One more look: whether the queues held nothing that waited, at `at` or later; `tally` from after that."""
        if not empty:
            self.since = self.until = self._claim = None
            return
        if self._claim is not None:
            self._settle(self._claim, tally)
        if self._claim is None:
            self._claim = _Claim(at=at)

    def _settle(self, claim: _Claim, tally: Tally) -> None:
        if claim.came is None:
            claim.came = tally.came
        if tally.settled >= claim.came:
            self.since = self.since or claim.at
            self.until = claim.at
            self._claim = None


class Drained:
    """Looks every few seconds while its connection drains, and writes down what is proven; else it costs nothing.

    `quiet_after_s`: after how long without a delivery the queues count as empty where the key may not ask.
    """

    def __init__(
        self,
        *,
        connection_id: int,
        holder: str,
        clock: Clock,
        progress: Progress,
        quiet_after_s: Callable[[], float],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._connection_id = connection_id
        self._holder = holder
        self._clock = clock
        self._progress = progress
        self._quiet_after_s = quiet_after_s
        self._now = now
        self._look_at = now()
        self._begin(None)

    def _begin(self, consumer: Consumer | None) -> None:
        self._consumer = consumer
        self._proof = Proof()
        self._came, self._quiet_since = 0, self._now()

    def look(self, consumer: Consumer) -> None:
        """Call often; raises `LinkError` when the link broke."""
        if self._now() < self._look_at:
            return
        try:
            self._look(consumer)
        except DATABASE_TROUBLE as trouble:
            log.warning("reading not written", action="link.drained", error=type(trouble).__name__)
            self._look_at = self._now() + ASK_EVERY_S

    def _look(self, consumer: Consumer) -> None:
        with self._progress.during(Step.DATABASE):
            draining = is_draining(connection_id=self._connection_id)
        self._look_at = self._now() + (LOOK_EVERY_S if draining else ASK_EVERY_S)
        if not draining:
            self._begin(None)
            return
        if consumer is not self._consumer:
            self._begin(consumer)
        at = self._clock()
        with self._progress.during(Step.LINK):
            waiting = consumer.waiting()
        tally = consumer.tally()
        self._proof.look(at=at, empty=self._is_empty(waiting, tally), tally=tally)
        with self._progress.during(Step.DATABASE):
            note_reading(
                connection_id=self._connection_id,
                holder=self._holder,
                unread=None if waiting is None else waiting + tally.came - tally.settled,
                since=self._proof.since,
                until=self._proof.until,
                at=at,
            )

    def _is_empty(self, waiting: int | None, tally: Tally) -> bool:
        """Interpretation: a key may ask for the depth of its own queues (a passive declare; the sheet says nothing).

        Where it may not, a consumer that is connected and was given nothing for longer than the expected telemetry
        takes counts as one with nothing to be given.
        """
        if tally.came != self._came:
            self._came, self._quiet_since = tally.came, self._now()
        if waiting is not None:
            return waiting == 0
        return self._now() - self._quiet_since >= self._quiet_after_s()
