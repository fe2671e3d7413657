"""One life of the platform's loops: relay and consumer as in production, and a way to end them as kill -9 does.

A thread can't be killed from outside, so death comes where the loops meet the broker: from then on no byte of theirs
leaves, nothing is acknowledged, no lease is released and nothing is written down.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from esm import clock
from link.broker import Clock, Consumer, Delivery, LinkTarget, Outgoing, Publisher, Sent, Tally, Transport
from link.run import consume_supervisor, relay_supervisor
from tests.contract.world import PATIENCE_S, closing


class Killed(SystemExit):
    """The end of a thread of a killed process: nothing that catches errors catches it."""


@contextmanager
def death_is_silent() -> Iterator[None]:
    """Within the block a thread that ends by `Killed` is no error of the test; every other end is told as always."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, Killed):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class Point(StrEnum):
    """Where a life may end: between which two commits."""

    BEFORE_SENDING = "claimed, not handed to the broker"
    AFTER_SENDING = "at the broker, not written down"
    BEFORE_ACK = "stored, not acknowledged"


class Mortality:
    """Whether a life is over, and where it is to end."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._point: Point | None = None

    def end_at(self, point: Point) -> None:
        """Die when the loops come by that point next."""
        self._point = point

    def pass_by(self, point: Point | None = None) -> None:
        """Raises `Killed` when the life is over, or ends here."""
        if point is not None and point is self._point:
            self.over.set()
        if self.over.is_set():
            raise Killed


class _MortalPublisher:
    def __init__(self, inner: Publisher, life: Mortality) -> None:
        self._inner, self._life = inner, life

    @property
    def blocked(self) -> str | None:
        self._life.pass_by()
        return self._inner.blocked

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        self._life.pass_by(Point.BEFORE_SENDING)
        sent = self._inner.publish(window, within_s=within_s)
        self._life.pass_by(Point.AFTER_SENDING)
        return sent

    def keep_alive(self) -> None:
        self._life.pass_by()
        self._inner.keep_alive()

    def close(self) -> None:
        self._inner.close()
        self._life.pass_by()

    def abort(self) -> None:
        self._inner.abort()


class _MortalConsumer:
    def __init__(self, inner: Consumer, life: Mortality) -> None:
        self._inner, self._life = inner, life

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        taken = self._inner.fetch(max_messages=max_messages, wait_s=wait_s, flush_s=flush_s)
        self._life.pass_by()
        return taken

    def ready(self) -> int:
        return self._inner.ready()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._life.pass_by(Point.BEFORE_ACK)
        self._inner.ack(deliveries)

    def keep_alive(self) -> None:
        self._life.pass_by()
        self._inner.keep_alive()

    def waiting(self) -> int | None:
        return self._inner.waiting()

    def tally(self) -> Tally:
        return self._inner.tally()

    def close(self) -> None:
        self._inner.close()
        self._life.pass_by()

    def abort(self) -> None:
        self._inner.abort()


class _MortalTransport:
    def __init__(self, inner: Transport, life: Mortality) -> None:
        self._inner, self._life = inner, life
        self.opened: list[Publisher | Consumer] = []

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> Publisher:
        self._life.pass_by()
        inner = self._inner.open_publisher(target, clock=clock)
        self.opened.append(inner)
        return _MortalPublisher(inner, self._life)

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> Consumer:
        self._life.pass_by()
        inner = self._inner.open_consumer(target, prefetch=prefetch)
        self.opened.append(inner)
        return _MortalConsumer(inner, self._life)


class Life:
    """Relay and consumer of every connection, in threads, from `__init__` until `stop` or `kill`."""

    def __init__(self, transport: Transport) -> None:
        self.mortality = Mortality()
        self._transport = _MortalTransport(transport, self.mortality)
        self._stop = threading.Event()
        loops = [
            relay_supervisor(transport=self._transport, clock=clock.now).run,
            consume_supervisor(transport=self._transport, clock=clock.now).run,
        ]
        self._threads = [
            threading.Thread(target=closing, args=(loop, self._stop), daemon=True) for loop in loops
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """An orderly end: links are closed, leases released."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in self._threads), "a loop did not stop"

    def kill(self) -> None:
        """End as kill -9 does, now or where it was told to; links break, leases stay."""
        self.mortality.over.set()
        for opened in self._transport.opened:
            opened.abort()
        self.stop()
