"""One worker thread per wanted connection: started, stopped, replaced when it died, ended when it stands still.

Edge cases (the concurrency policy):
- A worker whose step exceeds its limit has its link cut from outside. That ends every call that waits for the network,
  and the thread ends by itself; a new worker follows. One that is not back at the next look is abandoned: nothing can
  end a thread from outside. It will stop when it ever comes back: its stop event is set, and it says nothing any more.
- Each relay worker has a lease of its own name, so that a new one waits until the lease of an abandoned one is over.
- After `MOST_ABANDONED` threads that are still there the process ends by `WorkersStuck`, for its own supervisor to
  start it anew.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from django.db import close_old_connections

from link.health import DATABASE_TROUBLE
from link.reconnect import Backoff
from link.worker import Worker, run_worker
from plants.models import Connection

log = structlog.get_logger(__name__)
MOST_ABANDONED = 3


class WorkersStuck(RuntimeError):
    """Too many worker threads never came back: only a new process helps."""


@dataclass(kw_only=True)
class _Running:
    """A worker and its thread. `aborted`: its link was cut, it should end at once."""

    worker: Worker
    thread: threading.Thread
    stop: threading.Event
    fingerprint: str
    aborted: bool = False

    def end(self) -> None:
        """Ask the worker to stop."""
        self.stop.set()
        self.worker.wake()


class Supervisor:
    """Keeps one worker per wanted connection; looks again every few seconds which are wanted and how they do.

    `stuck` is told the connection whose worker was cut. `alive` is called at each look that finds every worker making
    progress, `on_turn` after each look that came to its end. `beside` runs in a thread of its own for as long as
    workers do, and ends soon after its event is set.
    """

    def __init__(
        self,
        *,
        name: str,
        wanted: Callable[[], Mapping[int, Connection]],
        make: Callable[[Connection], Worker],
        backoff: Callable[[], Backoff] = Backoff,
        look_every_s: float = 2.0,
        stop_within_s: float = 20.0,
        on_turn: Callable[[], None] | None = None,
        alive: Callable[[], None] | None = None,
        stuck: Callable[[int], None] | None = None,
        beside: Callable[[threading.Event], None] | None = None,
    ) -> None:
        self._name = name
        self._wanted = wanted
        self._make = make
        self._backoff = backoff
        self._look_every_s = look_every_s
        self._stop_within_s = stop_within_s
        self._on_turn = on_turn
        self._alive = alive
        self._stuck = stuck
        self._beside = beside
        self._running: dict[int, _Running] = {}
        self._abandoned: list[threading.Thread] = []

    @property
    def abandoned(self) -> int:
        """How many threads were given up and are still there."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        return len(self._abandoned)

    def run(self, stop: threading.Event) -> None:
        """Keep workers running until `stop`, then stop them and wait for their end; `WorkersStuck` ends it early."""
        backoff = Backoff()
        with self._helped():
            try:
                while not stop.is_set():
                    close_old_connections()
                    self._turn(stop, backoff)
                    stop.wait(self._look_every_s)
            finally:
                self.stop_all()

    @contextmanager
    def _helped(self) -> Iterator[None]:
        """With `beside` in its thread during the block."""
        if self._beside is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._beside, args=(over,), name=f"{self._name}-beside", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(self._stop_within_s)

    def _turn(self, stop: threading.Event, backoff: Backoff) -> None:
        try:
            self.look_once()
            backoff.reset()
        except WorkersStuck:
            raise
        except DATABASE_TROUBLE as error:
            log.warning("database away", action="link.supervisor", error=type(error).__name__)
            backoff.wait(stop)
        except Exception:  # the workers that run go on; looking again may find what was wrong put right
            log.exception("supervisor failed", action="link.supervisor", name=self._name)
            backoff.wait(stop)

    def look_once(self) -> None:
        """End what stands still, start what is missing, stop what is no longer wanted, restart what changed or died."""
        # Before the database is asked: a process that waits for it is alive, and starting it anew would not help.
        if self.check_progress() and self._alive is not None:
            self._alive()
        wanted = self._wanted()
        for pk, running in list(self._running.items()):
            if pk not in wanted or _fingerprint(wanted[pk]) != running.fingerprint:
                running.end()
            if not running.thread.is_alive():
                del self._running[pk]
        for pk, connection in wanted.items():
            if pk not in self._running:
                self._start(connection)
        if self._on_turn is not None:
            self._on_turn()

    def check_progress(self) -> bool:
        """Cut or abandon workers that stand still; True when there is none, and none was left behind.

        Raises `WorkersStuck` when too many never came back.
        """
        progressing = True
        for pk, running in list(self._running.items()):
            if not running.thread.is_alive():
                continue
            overdue_s = running.worker.progress.overdue_s()
            if running.aborted:
                self._abandon(pk, running)
            elif overdue_s > 0:
                self._cut(pk, running, overdue_s)
            else:
                continue
            progressing = False
        if self.abandoned >= MOST_ABANDONED:
            raise WorkersStuck(f"{self.abandoned} worker threads of {self._name} never came back")
        return progressing and not self.abandoned

    def _cut(self, pk: int, running: _Running, overdue_s: float) -> None:
        log.error(
            "worker stuck",
            action="link.stuck",
            thread=running.thread.name,
            step=running.worker.progress.step,
            overdue_s=round(overdue_s, 1),
        )
        running.end()
        running.worker.abort()
        running.aborted = True
        if self._stuck is not None:
            self._stuck(pk)

    def _abandon(self, pk: int, running: _Running) -> None:
        log.error("worker abandoned", action="link.abandoned", thread=running.thread.name)
        self._abandoned.append(running.thread)
        del self._running[pk]

    def _start(self, connection: Connection) -> None:
        own_stop = threading.Event()
        worker = self._make(connection)
        thread = threading.Thread(
            target=run_worker,
            args=(worker, own_stop),
            kwargs={"backoff": self._backoff()},
            name=f"{self._name}-{connection.pk}",
            daemon=True,
        )
        self._running[connection.pk] = _Running(
            worker=worker, thread=thread, stop=own_stop, fingerprint=_fingerprint(connection)
        )
        thread.start()

    def stop_all(self) -> None:
        """Ask all workers to stop and wait for them, bounded."""
        for running in self._running.values():
            running.end()
        deadline = time.monotonic() + self._stop_within_s
        for running in self._running.values():
            running.thread.join(max(0.0, deadline - time.monotonic()))
            if running.thread.is_alive():
                log.error("worker did not stop", action="link.stop", thread=running.thread.name)


def _fingerprint(connection: Connection) -> str:
    """Changes when a worker must be started anew; a hash, because it is made of secrets too."""
    parts = (
        connection.amqps_uri.reveal() if hasattr(connection.amqps_uri, "reveal") else connection.amqps_uri,
        connection.vhost,
        connection.queue_prefix,
        connection.routing_prefix,
        sorted(connection.queues.items()),
    )
    return str(hash(repr(parts)))
