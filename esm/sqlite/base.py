"""SQLite as the embedded database: one process-wide writer at a time, served in order of arrival.

SQLite has one writer per file; its busy handler polls and is unfair (waits of seconds under load). Embedded runs every
room in one process, so a first-come lock around write transactions removes that wait. Django opens `atomic()` blocks
here with BEGIN IMMEDIATE (OPTIONS transaction_mode), that is, every atomic block is a write transaction.
"""

import threading
from collections import deque
from typing import Any

from django.db.backends.sqlite3 import base as sqlite3_base


class FairLock:
    """A mutual-exclusion lock that hands over in order of arrival."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._held = False

    def acquire(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            turn.wait()
        except BaseException:  # an interrupt: nobody may hand the lock to a thread that is gone
            self._leave(turn)
            raise

    def _leave(self, turn: threading.Event) -> None:
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self.release()  # it was our turn already

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # the lock stays held and changes its owner
            else:
                self._held = False


WRITE_LOCK = FairLock()


class DatabaseWrapper(sqlite3_base.DatabaseWrapper):
    """Django's SQLite backend with the process-wide write lock around transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._holds_write_lock = False

    def _start_transaction_under_autocommit(self) -> None:
        WRITE_LOCK.acquire()
        self._holds_write_lock = True
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._release_write_lock()
            raise

    def _commit(self) -> None:
        super()._commit()
        self._release_write_lock()  # not reached when the commit fails: the rollback that follows releases

    def _rollback(self) -> None:
        try:
            super()._rollback()
        finally:
            self._release_write_lock()

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self._release_write_lock()

    def _release_write_lock(self) -> None:
        if self._holds_write_lock:
            self._holds_write_lock = False
            WRITE_LOCK.release()
