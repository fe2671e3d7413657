"""Keeps what is known of each tick's runs: one statement a run, and none that could stop the tick itself."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError, connection
from django.db.models import F

from plants import prepared
from watch.models import TickRun

log = structlog.get_logger(__name__)
# A watch that slept for longer than this says nothing about who ran meanwhile.
SLEPT = timedelta(seconds=60)


def note_tick(
    *, name: str, started_at: datetime, duration_s: float, error: BaseException | None = None
) -> None:
    """Write down one run of a tick; `finished_at` moves only when it did its work.

    A database that is away (which is often what the tick failed of) is logged: the tick must come round again.
    """
    ended_at = started_at + timedelta(seconds=duration_s)
    try:
        if error is not None or not _note_success(name, started_at, ended_at, duration_s):
            _note(name, started_at, ended_at, duration_s, error)
    except DatabaseError as trouble:
        log.warning("tick run not written", action="tick.note", tick=name, error=type(trouble).__name__)


# A few ticks end each second, nearly always well: composing this statement cost more than most of them do.
_SUCCESS: Final = (
    "UPDATE watch_tickrun SET started_at = %s, finished_at = %s, duration_s = %s, ok = %s, runs = runs + 1"
    " WHERE name = %s"
)


def _note_success(name: str, started_at: datetime, ended_at: datetime, duration_s: float) -> bool:
    """Whether there was a row."""
    moments = [connection.ops.adapt_datetimefield_value(moment) for moment in (started_at, ended_at)]
    return prepared.execute(_SUCCESS, [*moments, float(duration_s), True, name]) == 1


def _note(
    name: str, started_at: datetime, ended_at: datetime, duration_s: float, error: BaseException | None
) -> None:
    facts: dict[str, object] = {"started_at": started_at, "duration_s": duration_s, "ok": error is None}
    if error is None:
        facts["finished_at"] = ended_at
    else:
        facts |= {"failed_at": ended_at, "error_code": type(error).__name__[:80]}
    failed = 0 if error is None else 1
    counted = {"runs": F("runs") + 1, "failures": F("failures") + failed}
    if not TickRun.objects.filter(name=name).update(**facts, **counted):
        TickRun.objects.update_or_create(
            name=name,
            defaults=facts,
            create_defaults={**facts, "since": started_at, "runs": 1, "failures": failed},
        )


def begin_watch(*, names: Iterable[str], watcher: str, at: datetime) -> None:
    """Make sure that every tick has a row to be judged by, and judge nobody for a time when the platform stood still.

    `watcher` is the tick that calls: when its own last run lies far back, everything stood still with it, and each
    tick's silence counts from now. Rows of ticks that are no more are deleted.
    """
    wanted = set(names)
    known: Mapping[str, datetime | None] = dict(TickRun.objects.values_list("name", "finished_at"))
    if known.keys() - wanted:
        TickRun.objects.filter(name__in=known.keys() - wanted).delete()
    missing = sorted(wanted - known.keys())
    if missing:
        TickRun.objects.bulk_create([TickRun(name=name, since=at) for name in missing], ignore_conflicts=True)
    last = known.get(watcher)
    if last is not None and at - last > SLEPT:
        TickRun.objects.update(since=at)
