"""Threads in tests: started together, each with its own database connection, awaited with an end."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from esm.sqlite.base import WRITE_LOCK

WITHIN_S = 20.0


def together(*work: Callable[[], Any]) -> list[Any]:
    """Run callables at once; the answers in order, an exception standing where one was raised."""
    answers: list[Any] = [None] * len(work)
    gate = threading.Barrier(len(work))

    def run(index: int) -> None:
        try:
            gate.wait(WITHIN_S)
            answers[index] = work[index]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return answers


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that other threads bring about; fails when it does not come."""
    pause = threading.Event()
    for _ in range(int(WITHIN_S / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError(f"waited in vain: {what}")


def until_blocked(count: int = 1) -> None:
    """Wait until so many threads wait for a lock of the database; call while holding that lock."""
    until(lambda: _waiting_threads() >= count, f"{count} threads waiting for a lock")


def _waiting_threads() -> int:
    if connection.vendor != "postgresql":
        return len(WRITE_LOCK._waiting)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


class Aside:
    """One thread that does what it is told while the test holds something, and then is awaited."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._answer: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self._answer = error
        finally:
            connections.close_all()

    def answer(self) -> Any:
        """What it answered or raised; waits for its end."""
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive(), "the thread hangs"
        return self._answer
