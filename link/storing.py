"""Batches on their way into the database, one after the other, beside the thread that owns the link.

While a batch is in PostgreSQL the worker's thread keeps the link alive and reads ahead. As soon as a whole further
batch is in hand it is put behind the one that is being stored, so that the database is never left waiting for the
acknowledgement, the counters and the next turn.

Edge cases (the concurrency policy):
- One batch at a time, in the order of their coming: the one behind begins when the one before is committed. When that
  fails it does not begin at all; both come again.
- Each is acknowledged when it is committed and not before, also while the next one is being stored.
- A link that breaks is told after what had begun has ended; what had not begun is left to the broker.
- A turn ends after `IN_A_ROW_S`: the worker has more to do than to store.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import monotonic

import structlog
from django.db import close_old_connections

from link import metrics
from link.arrivals import Arrivals
from link.broker import Clock, Consumer, Delivery, LinkError
from link.inbox import Inlet, Patience, Report, receive
from link.side_thread import Job, SideThread
from link.watchdog import Progress, Step
from plants.models import Connection

log = structlog.get_logger(__name__)
KEEP_ALIVE_EVERY_S = 1.0
READ_AHEAD_EVERY_S = 0.005
IN_A_ROW_S = 1.0


@dataclass(kw_only=True)
class _Fate:
    """What became of a batch; a small thing of its own, so that whoever asks for it does not hold the batch."""

    stored: bool = False
    withdrawn: bool = False


@dataclass(kw_only=True)
class _Batch:
    """Deliveries that are being stored, or wait for their turn."""

    deliveries: Sequence[Delivery]
    began_s: float
    job: Job[Report | None]
    fate: _Fate


@dataclass(kw_only=True)
class _Turn:
    """One call of `take`: until when it may go on, the first trouble with the link, when to say that we are there."""

    stop: threading.Event
    until_s: float = field(default_factory=lambda: monotonic() + IN_A_ROW_S)
    renew_at_s: float = field(default_factory=lambda: monotonic() + KEEP_ALIVE_EVERY_S)
    broken: LinkError | None = None

    @property
    def may_go_on(self) -> bool:
        return self.broken is None and not self.stop.is_set() and monotonic() < self.until_s


class Storing:
    """One worker's. `largest`: how many deliveries make a whole batch. `heard`: called for each batch that is begun.

    `renew`: says that the worker is still there, called about every second.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        inlet: Inlet,
        largest: int,
        clock: Clock,
        progress: Progress,
        arrivals: Arrivals,
        heard: Callable[[], None],
        renew: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._inlet = inlet
        self._largest = largest
        self._clock = clock
        self._progress = progress
        self._arrivals = arrivals
        self._heard = heard
        self._renew = renew
        self._patience = Patience()
        self._side = SideThread(name=f"store-{connection.pk}")

    def take(
        self, deliveries: Sequence[Delivery], consumer: Consumer, *, at: datetime, stop: threading.Event
    ) -> None:
        """Store and acknowledge what arrived until `at`, and each whole batch that is in hand by then.

        Raises what the database raised, or `LinkError`; then what is not acknowledged comes again.
        """
        close_old_connections()  # the thread beside needs one: a worker must not wait for itself in the pool
        turn = _Turn(stop=stop)
        batch: _Batch | None = self._begin(deliveries, at=at, after=None)
        while batch is not None:
            following = self._await(batch, consumer, turn)
            report = batch.job.result()
            if report is not None and turn.broken is None:
                self._settle(batch, report, consumer, turn)
            batch = following
        if turn.broken is not None:
            raise turn.broken

    def stop(self) -> None:
        """End the thread beside after its present work."""
        self._side.stop()

    def _begin(self, deliveries: Sequence[Delivery], *, at: datetime, after: _Fate | None) -> _Batch:
        self._arrivals.taken(len(deliveries), at=at)
        self._heard()
        fate = _Fate()
        return _Batch(
            deliveries=deliveries,
            began_s=monotonic(),
            job=self._side.do(partial(self._receive, deliveries, at=at, fate=fate, after=after)),
            fate=fate,
        )

    def _receive(
        self, deliveries: Sequence[Delivery], *, at: datetime, fate: _Fate, after: _Fate | None
    ) -> Report | None:
        """In the thread beside. None = not begun."""
        if fate.withdrawn or not (after is None or after.stored):
            return None
        report = receive(
            deliveries,
            inlet=self._inlet,
            at=at,
            patience=self._patience,
            on_step=self._progress.beat,
            on_understood=lambda understood: self._arrivals.hear(understood, at=at),
        )
        fate.stored = True
        return report

    def _await(self, batch: _Batch, consumer: Consumer, turn: _Turn) -> _Batch | None:
        """Until a batch is done keep the link alive and read ahead; answers the batch that was put behind it."""
        following: _Batch | None = None
        try:
            with self._progress.during(Step.DATABASE):
                while not batch.job.wait(READ_AHEAD_EVERY_S if turn.broken is None else KEEP_ALIVE_EVERY_S):
                    if turn.broken is None:
                        try:
                            consumer.keep_alive()
                            following = following or self._next(consumer, batch, turn)
                        except LinkError as error:
                            turn.broken = error
                            _withdraw(following)
                    self._stay(turn)
        except BaseException:
            _withdraw(following)
            raise
        return following

    def _next(self, consumer: Consumer, batch: _Batch, turn: _Turn) -> _Batch | None:
        if consumer.ready() < self._largest or not turn.may_go_on:
            return None
        deliveries = consumer.fetch(max_messages=self._largest, wait_s=0.0, flush_s=0.0)
        return self._begin(deliveries, at=self._clock(), after=batch.fate)

    def _stay(self, turn: _Turn) -> None:
        if monotonic() >= turn.renew_at_s:
            self._renew()
            close_old_connections()
            turn.renew_at_s = monotonic() + KEEP_ALIVE_EVERY_S

    def _settle(self, batch: _Batch, report: Report, consumer: Consumer, turn: _Turn) -> None:
        """A batch is committed: acknowledge it. A link that is broken meanwhile is told when the turn ends."""
        self._arrivals.stored()
        stored_at, took_s = self._clock(), monotonic() - batch.began_s
        try:
            with self._progress.during(Step.LINK):
                consumer.ack(batch.deliveries)
        except LinkError as error:
            turn.broken = error
        metrics.stored(self._connection, report, at=stored_at, took_s=took_s)
        log.debug(
            "received",
            action="consumer.received",
            connection_id=self._connection.pk,
            count=report.received,
            duplicates=report.duplicates,
            dead_letters=report.dead_letters,
        )


def _withdraw(batch: _Batch | None) -> None:
    """Let it not begin, if it has not."""
    if batch is not None:
        batch.fate.withdrawn = True
