"""Work that takes longer than a page may: it runs beside the requests, and pages ask how far it is.

What it found so far is kept in the cache, so that whichever process is asked can tell. One run for each subject at a
time; a run that has said nothing for STALE counts as ended without an answer (its process was stopped).

Edge cases: two clicks at once start one run; a process that is full says so instead of queueing.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.cache import cache
from django.db import connections

from esm.clock import Clock

log = structlog.get_logger(__name__)
AT_ONCE = 4
"""Runs of one process."""
KEPT = timedelta(hours=1)
STALE = timedelta(seconds=90)
_room = threading.BoundedSemaphore(AT_ONCE)
Line = dict[str, Any]
Work = Callable[[Callable[[Line], None]], None]
Spawn = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run has told. `failed`: it ended by an error of ours, which the log has."""

    lines: tuple[Line, ...]
    running: bool
    failed: bool
    begun_at: datetime
    told_at: datetime


class TooManyRuns(Exception):
    """This process has as many runs as it may."""


def spawn_thread(body: Callable[[], None]) -> None:
    """The usual way: a thread of its own, which ends with the process."""

    def alone() -> None:
        try:
            body()
        finally:
            connections.close_all()

    threading.Thread(target=alone, name="console-run", daemon=True).start()


def start(subject: str, work: Work, *, clock: Clock, spawn: Spawn | None = None) -> None:
    """Begin `work` unless one of this subject runs; raises `TooManyRuns`.

    `work` gets a function that takes each line as soon as it is known; lines hold JSON values and never a secret.
    """
    now = clock()
    if not cache.add(_lock(subject), "1", timeout=STALE.total_seconds()):
        return
    if not _room.acquire(blocking=False):
        cache.delete(_lock(subject))
        raise TooManyRuns
    _keep(subject, Run(lines=(), running=True, failed=False, begun_at=now, told_at=now))
    (spawn or spawn_thread)(lambda: _run(subject, work, begun_at=now, clock=clock))


def _run(subject: str, work: Work, *, begun_at: datetime, clock: Clock) -> None:
    found: list[Line] = []

    def tell(line: Line) -> None:
        found.append(line)
        cache.touch(_lock(subject), STALE.total_seconds())
        _keep(subject, _now(running=True, failed=False))

    def _now(*, running: bool, failed: bool) -> Run:
        return Run(lines=tuple(found), running=running, failed=failed, begun_at=begun_at, told_at=clock())

    failed = True
    try:
        work(tell)
        failed = False
    except Exception:  # the page says that it failed; the thread has nobody else to tell
        log.exception("a run of the console failed", action="console.run_failed", subject=subject)
    finally:
        _keep(subject, _now(running=False, failed=failed))
        cache.delete(_lock(subject))
        _room.release()


def read(subject: str, *, at: datetime) -> Run | None:
    """The newest run of a subject; None = there was none within KEPT."""
    kept = cache.get(_key(subject))
    if kept is None:
        return None
    document = json.loads(kept)
    told_at = datetime.fromisoformat(document["told_at"])
    silent = document["running"] and at - told_at > STALE
    return Run(
        lines=tuple(document["lines"]),
        running=document["running"] and not silent,
        failed=document["failed"] or silent,
        begun_at=datetime.fromisoformat(document["begun_at"]),
        told_at=told_at,
    )


def forget(subject: str) -> None:
    """Nothing was found yet: the next page starts afresh."""
    cache.delete(_key(subject))


def _keep(subject: str, run: Run) -> None:
    document = {
        "lines": run.lines,
        "running": run.running,
        "failed": run.failed,
        "begun_at": run.begun_at.isoformat(),
        "told_at": run.told_at.isoformat(),
    }
    cache.set(_key(subject), json.dumps(document), timeout=KEPT.total_seconds())


def _key(subject: str) -> str:
    return f"console.run.{subject}"


def _lock(subject: str) -> str:
    return f"console.run.lock.{subject}"
