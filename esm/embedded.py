"""Everything in one process: web server, relay, consumer and ticks as threads over an in-process broker.

The order of stopping matters: whoever produces stops first, the consumer drains what the broker still holds, then it
stops too; so a Ctrl-C loses nothing that was confirmed.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import structlog
from django.db import connections

from esm.clock import Clock
from esm.ticks import TICKS, Tick, run_tick
from esm.warm import load_pages
from esm.web import serve
from link.broker import Transport
from link.garbage import briefly_collected
from link.run import consume_supervisor, relay_supervisor

log = structlog.get_logger(__name__)
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 20.0


class Embedded:
    """The threads of an embedded installation."""

    def __init__(self, *, host: str, port: int, transport: Transport, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._transport = transport
        self._clock = clock
        self._stop_web = threading.Event()
        self._stop_out = threading.Event()
        self._stop_in = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._failed: list[BaseException] = []
        self._held = ExitStack()

    def start(self) -> None:
        """Start all threads and wait until the web server answers; raises when one of them can't start."""
        ready = threading.Event()
        load_pages()
        self._held.enter_context(briefly_collected())
        self._run("web", lambda: serve(host=self._host, port=self._port, stop=self._stop_web, ready=ready))
        relay = relay_supervisor(transport=self._transport, clock=self._clock)
        consume = consume_supervisor(transport=self._transport, clock=self._clock)
        self._run("relay", lambda: relay.run(self._stop_out))
        self._run("consume", lambda: consume.run(self._stop_in))
        slow = [tick for tick in TICKS if tick.slow]
        quick = [tick for tick in TICKS if not tick.slow]
        self._run("ticks", lambda: run_ticks(self._stop_out, clock=self._clock, ticks=quick))
        self._run("slow-ticks", lambda: run_ticks(self._stop_out, clock=self._clock, ticks=slow))
        if not ready.wait(START_TIMEOUT_S):
            raise RuntimeError(f"the web server did not start on {self._host}:{self._port}") from self.failure

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread that should still run."""
        return self._failed[0] if self._failed else None

    def stop_publishing(self) -> None:
        """Stop ticks, relay and web: from now on nothing new leaves."""
        self._stop_out.set()
        self._stop_web.set()
        self._join("ticks", "slow-ticks", "relay", "web")

    def stop_consuming(self) -> None:
        """Stop the consumer; call when the broker's event queues are empty."""
        self._stop_in.set()
        self._join("consume")
        self._held.close()

    def _run(self, name: str, target: Callable[[], None]) -> None:
        def body() -> None:
            try:
                target()
            except BaseException as error:
                self._failed.append(error)
                log.exception("thread ended", action="embedded.thread", thread=name)
                raise
            finally:
                connections.close_all()

        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def _join(self, *names: str) -> None:
        for name in names:
            self._threads[name].join(STOP_TIMEOUT_S)
            if self._threads[name].is_alive():
                log.error("thread did not stop", action="embedded.stop", thread=name)


def run_ticks(stop: threading.Event, *, clock: Clock, ticks: Sequence[Tick] = TICKS) -> None:
    """Call each tick at its period until `stop`; a failing tick is logged and comes round again."""
    due = {tick.name: time.monotonic() for tick in ticks}
    while not stop.is_set():
        for tick in ticks:
            if due[tick.name] > time.monotonic():
                continue
            due[tick.name] = time.monotonic() + tick.period_s
            try:
                run_tick(tick.name, at=clock())
            except Exception:  # one tick's fault must not end the others: expiry, emergencies, overdue acks
                log.exception("tick failed", action="tick.failed", tick=tick.name)
        stop.wait(max(0.05, min(due.values()) - time.monotonic()))
