"""The rows of the due-time table: changed many at once, in one statement."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from dispatch.services.bulk import Among
from plants.models import Plant
from schedules.models import RunState, SlotRun

_FIELDS = ("state", "due_at", "cause", "winner", "command_id", "decided_at")
_TYPES = ("text", "timestamptz", "text", "text", "bigint", "timestamptz")


@dataclass(frozen=True, kw_only=True)
class Turned:
    """A run as it is from now on."""

    pk: int
    state: RunState
    due_at: datetime
    cause: str = ""
    winner: str = ""
    command_id: int | None = None
    decided_at: datetime | None = None


def write_runs(changed: Sequence[Turned]) -> None:
    """Store what became of runs; call with the plants locked."""
    if not changed:
        return
    if connection.vendor != "postgresql":
        rows = [SlotRun(pk=one.pk, **dict(zip(_FIELDS, _values(one), strict=True))) for one in changed]
        SlotRun.objects.bulk_update(rows, _FIELDS, batch_size=500)
        return
    arrays = ", ".join(f"%s::{kind}[]" for kind in ("bigint", *_TYPES))
    assignments = ", ".join(f"{name} = new.{name}" for name in _FIELDS)
    columns = [list(column) for column in zip(*((one.pk, *_values(one)) for one in changed), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {SlotRun._meta.db_table} run SET {assignments} FROM unnest({arrays})"  # noqa: S608
            f" AS new (id, {', '.join(_FIELDS)}) WHERE run.id = new.id",
            columns,
        )


def _values(one: Turned) -> tuple[Any, ...]:
    """In the order of `_FIELDS`."""
    return one.state.value, one.due_at, one.cause[:64], one.winner[:200], one.command_id, one.decided_at


def lock_free_plants(plant_ids: Sequence[int]) -> set[int]:
    """Lock those of the plants that nobody else holds; a tick never waits for a plant, it comes again."""
    rows = Plant.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    return set(rows.filter(Among(plant_ids)).order_by("pk").values_list("pk", flat=True))


def spread(base: timedelta, *, of: int, at: datetime) -> timedelta:
    """Half to one and a half of a pause: other for each run and instant, the same when a day is played again."""
    share = zlib.crc32(f"{of}:{at.timestamp()}".encode()) / 0xFFFF_FFFF
    return base * (0.5 + share)
