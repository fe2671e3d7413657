"""A link that does what a test tells it: publishers and consumers over lists, with every call written down."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from link.broker import Clock, Delivery, Fate, LinkError, LinkTarget, Outgoing, Sent, Tally
from link.reconnect import Backoff


@dataclass
class FakePublisher:
    """Gives every message the fate that `fates` names by its place, else CONFIRMED; `during` runs on the network."""

    fates: Sequence[Fate] = ()
    detail: str = ""
    during: Callable[[Sequence[Outgoing]], None] | None = None
    gone: LinkError | None = None
    windows: list[list[Outgoing]] = field(default_factory=list)
    limits_s: list[float | None] = field(default_factory=list)
    kept_alive: int = 0
    closed: int = 0
    aborted: int = 0
    blocked: str | None = None

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        self.windows.append(list(window))
        self.limits_s.append(within_s)
        if self.during is not None:
            self.during(window)
        fates = [*self.fates, *[Fate.CONFIRMED] * len(window)]
        return [
            Sent(outbound_id=one.outbound_id, fate=fate, detail=self.detail)
            for one, fate in zip(window, fates, strict=False)
        ]

    def keep_alive(self) -> None:
        self.kept_alive += 1
        if self.gone is not None:
            raise self.gone

    def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


@dataclass
class FakeConsumer:
    """Hands out batches one after the other; then sets `stop` and is empty. An exception as a batch is raised.

    `ahead`: how many of the batches behind the one that was fetched last were read ahead.
    """

    batches: list[list[Delivery] | Exception]
    stop: threading.Event
    acked: list[Delivery] = field(default_factory=list)
    ack_fails: LinkError | None = None
    closed: int = 0
    aborted: int = 0
    kept_alive: int = 0
    gone: LinkError | None = None
    depth: int | None = 0
    came: int = 0
    ahead: int = 0

    def fetch(self, *, max_messages: int, wait_s: float, flush_s: float) -> list[Delivery]:
        if not self.batches:
            self.stop.set()
            return []
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        self.came += len(batch)
        self.ahead -= self.ahead > 0 and wait_s == 0
        return batch

    def ready(self) -> int:
        if not (self.ahead and self.batches) or isinstance(self.batches[0], Exception):
            return 0
        return len(self.batches[0])

    def tally(self) -> Tally:
        return Tally(came=self.came, settled=len(self.acked))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        if self.ack_fails is not None:
            raise self.ack_fails
        self.acked += deliveries

    def keep_alive(self) -> None:
        self.kept_alive += 1
        if self.gone is not None:
            raise self.gone

    def waiting(self) -> int | None:
        return self.depth

    def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


@dataclass
class FakeTransport:
    """Opens what stands in `links` in turn; an exception there is raised instead."""

    links: list[FakePublisher | FakeConsumer | Exception]
    targets: list[LinkTarget] = field(default_factory=list)

    def _open(self, target: LinkTarget) -> FakePublisher | FakeConsumer:
        self.targets.append(target)
        link = self.links.pop(0) if len(self.links) > 1 else self.links[0]
        if isinstance(link, Exception):
            raise link
        return link

    def open_publisher(self, target: LinkTarget, *, clock: Clock) -> FakePublisher | FakeConsumer:
        return self._open(target)

    def open_consumer(self, target: LinkTarget, *, prefetch: int) -> FakePublisher | FakeConsumer:
        return self._open(target)


class CountedBackoff(Backoff):
    """Pauses of no length, counted; sets `stop` at the last one that is allowed."""

    def __init__(self, *, allowed: int = 100) -> None:
        super().__init__(draw=lambda: 0.0)
        self.waits = 0
        self.refused = 0
        self.resets = 0
        self._allowed = allowed

    def wait(
        self, stop: threading.Event, *, refused: bool = False, hurried: Callable[[], bool] | None = None
    ) -> bool:
        self.waits += 1
        self.refused += refused
        if self.waits >= self._allowed:
            stop.set()
        return super().wait(stop, refused=refused, hurried=hurried)

    def reset(self) -> None:
        self.resets += 1
        super().reset()
