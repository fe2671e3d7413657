"""One thread beside a worker's own that does its database work, while the worker keeps the link alive.

A link belongs to one thread, and a broker hangs up on a peer that is silent for two heartbeats; a batch may wait for a
lock for longer than that. So the batch is stored beside, and the thread that owns the link stays with the link.
"""

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from django.db import close_old_connections, connections

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work: awaited with `wait`, then asked for its `result`."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._context = contextvars.copy_context()  # what the log lines of whoever asks carry
        self._done = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self, *, more_follows: Callable[[], bool]) -> None:
        """Do it, in the thread that calls. Its database connection goes back to the pool unless `more_follows`."""
        try:
            self._result.append(self._context.run(self._work))
        except BaseException as error:  # noqa: BLE001 - whoever asked for it raises it
            self._error = error
        finally:
            if self._error is not None or not more_follows():
                close_old_connections()
            self._done.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it is done."""
        return self._done.wait(timeout_s)

    def result(self) -> T:
        """What the work answered; raises what it raised. Call when it is done."""
        if self._error is not None:
            raise self._error
        return self._result[0]


class SideThread:
    """Does one job after the other; a daemon, so that work which never ends does not hold the process."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], T]) -> Job[T]:
        """Begin a piece of work; whoever asks waits for it before asking for another."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()
        job = Job(work)
        self._jobs.put(job)
        return job

    def stop(self) -> None:
        """End the thread after its present work."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _loop(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.run(more_follows=lambda: not self._jobs.empty())
                del job  # while the next one is waited for, this one's batch must not be held
        finally:
            connections.close_all()
