"""Alarms of plants: raise and clear in any order and any number of times give the same row.

An alarm's row keeps its latest raise and its latest clear; it is open while the raise is the later one.
Interpretation: `clearedAt` present means cleared; the sheet does not say whether a cleared alarm may be raised again
under its id, so a raise that is newer than the clear opens it again, and a clear of an earlier raise that arrives
afterwards does not close it.

Edge cases (the concurrency policy):
- Rows are made by INSERT ... ON CONFLICT and locked in order of their alarm ids: two consumers that hear of the same
  alarms in different orders neither deadlock nor fail.
- Whoever raises or clears an alarm leaves an `AlarmChange` in the same transaction; the teller of people takes it from
  there, so that nothing is told that was rolled back and nothing is lost that was kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from plants.models import Alarm, AlarmChange, AlarmOrigin, Connection
from plants.services.alarm_filing import Told, file_alarms
from plants.sql import insert_new
from vcp import Alarm as AlarmEvent
from vcp.said import Said


@dataclass(frozen=True, kw_only=True)
class AlarmWord:
    """One alarm message about a plant, with the envelope's timestamp."""

    plant_id: int
    event: AlarmEvent
    told_at: datetime


def apply_alarms(*, connection_id: int, words: Sequence[AlarmWord], at: datetime) -> list[bool]:
    """Apply alarm messages of a connection; False for each that told nothing new.

    Call within the transaction of the batch.
    """
    if not words:
        return []
    order = sorted(range(len(words)), key=lambda index: (words[index].told_at, index))
    first = {words[index].event.alarm_id: index for index in reversed(order)}
    made = insert_new(
        Alarm,
        [_new_row(connection_id, words[first[alarm_id]], at) for alarm_id in sorted(first)],
        key=("connection_id", "origin", "alarm_id"),
        returning=("alarm_id",),
    )
    fresh = {alarm_id for (alarm_id,) in made}
    rows = {
        row.alarm_id: row
        for row in Alarm.objects.select_for_update()
        .filter(connection_id=connection_id, origin=AlarmOrigin.VOKE, alarm_id__in=sorted(first))
        .order_by("alarm_id")
    }
    told_new = [False] * len(words)
    changed: dict[str, Alarm] = {}
    raised_before = {row.alarm_id: row.severity for row in rows.values() if _stood_raised(row, fresh)}
    for index in order:
        alarm_id = words[index].event.alarm_id
        if index == first[alarm_id] and alarm_id in fresh:
            told_new[index] = True
        elif _apply(rows[alarm_id], words[index], at):
            told_new[index] = True
            changed[alarm_id] = rows[alarm_id]
    if changed:
        Alarm.objects.bulk_update([changed[alarm_id] for alarm_id in sorted(changed)], _WRITTEN)
    _note_changes(rows, raised_before, at)
    file_alarms(told=_told(connection_id, words, rows), at=at)
    return told_new


def _told(connection_id: int, words: Sequence[AlarmWord], rows: Mapping[str, Alarm]) -> list[Told]:
    """Each raise that the words tell of, and how each alarm stands after them."""
    owner = Connection.objects.filter(pk=connection_id).values_list("organisation_id", flat=True).get()
    events = [word.event for word in words]
    said = [(rows[event.alarm_id], event.raised_at, _clear_of(event)) for event in events]
    now = [(row, row.raised_at, row.cleared_at) for row in rows.values()]
    return [
        Told(alarm=row, organisation_id=owner, raised_at=raised_at, cleared_at=cleared_at)
        for row, raised_at, cleared_at in (*said, *now)
    ]


def _stood_raised(row: Alarm, fresh: Collection[str]) -> bool:
    return row.alarm_id not in fresh and row.cleared_at is None


def _note_changes(rows: Mapping[str, Alarm], raised_before: Mapping[str, str], at: datetime) -> None:
    """What the batch did to each alarm as a whole: one that was raised and cleared within it changed nothing."""
    changes: list[AlarmChange] = []
    for alarm_id, row in sorted(rows.items()):
        word = _change_of(row, severity_before=raised_before.get(alarm_id))
        if word is not None:
            changes.append(AlarmChange(alarm=row, word=word, at=at))
    if changes:
        AlarmChange.objects.bulk_create(changes)


def _change_of(row: Alarm, *, severity_before: str | None) -> AlarmChange.Word | None:
    """`severity_before` None = it was not raised. An alarm that became another severity is news."""
    if row.cleared_at is not None:
        return None if severity_before is None else AlarmChange.Word.CLEARED
    return None if severity_before == row.severity else AlarmChange.Word.RAISED


def _new_row(connection_id: int, word: AlarmWord, at: datetime) -> Mapping[str, Any]:
    return {
        "connection_id": connection_id,
        "plant_id": word.plant_id,
        "origin": AlarmOrigin.VOKE.value,
        "alarm_id": word.event.alarm_id,
        "raised_at": word.event.raised_at,
        "cleared_at": _clear_of(word.event),
        "told_at": word.told_at,
        "received_at": at,
        **_description(word.event),
    }


def _description(event: AlarmEvent) -> dict[str, Any]:
    return {
        "severity": event.severity[:64],
        "code": event.code[:128],
        "message": event.message,
        "device_id": (event.device_id or "")[:128],
        "actual_value": event.actual_value,
        "expected_value": event.expected_value,
        "breached_field": (event.breached_field or "")[:128],
        "tolerance_pct": event.tolerance_pct,
        "metadata": event.metadata,
    }


_WRITTEN = (
    "severity", "code", "message", "device_id", "actual_value", "expected_value", "breached_field", "tolerance_pct",
    "metadata", "raised_at", "cleared_at", "told_at", "received_at",
)  # fmt: skip


def _apply(row: Alarm, word: AlarmWord, at: datetime) -> bool:
    before = (row.raised_at, row.cleared_at, row.told_at)
    row.cleared_at = _cleared_at(row, word.event)
    row.raised_at = max(row.raised_at, word.event.raised_at)
    if word.told_at >= row.told_at:
        for name, value in _description(word.event).items():
            setattr(row, name, value)
        row.told_at = word.told_at
    if (row.raised_at, row.cleared_at, row.told_at) == before:
        return False
    row.received_at = at
    return True


def _cleared_at(row: Alarm, event: AlarmEvent) -> datetime | None:
    cleared_at = _clear_of(event)
    if cleared_at is None:
        # A raise reopens only when it is news and happened after the clear that we know of.
        reopens = event.raised_at > row.raised_at and event.raised_at > (row.cleared_at or event.raised_at)
        return None if reopens else row.cleared_at
    if event.raised_at < row.raised_at and cleared_at < row.raised_at:
        return row.cleared_at  # the end of an earlier raise
    return cleared_at if row.cleared_at is None else max(row.cleared_at, cleared_at)


def _clear_of(event: AlarmEvent) -> datetime | None:
    """When it was cleared; a clear dated before its raise (a clock that was set back) counts as at the raise."""
    return None if event.cleared_at is None else max(event.cleared_at, event.raised_at)


def raise_platform_alarm(
    *,
    connection_id: int | None,
    plant_id: int | None = None,
    organisation_id: int | None = None,
    alarm_id: str,
    severity: str,
    code: str,
    message: str,
    at: datetime,
) -> bool:
    """An alarm of this platform about itself; True when it was not raised before (or had another severity).

    About a plant, a connection, an organisation (neither of the two), or the installation (none of the three).
    Raised again while it is open it stays the same alarm with its first time, and what it says is brought up to date;
    after a clear it is raised anew. The row keeps the message in English, and in `metadata` what pages say it from.
    """
    metadata = {"said": message.packed()} if isinstance(message, Said) else None
    told = {"severity": severity, "code": code, "message": str(message), "metadata": metadata}
    with transaction.atomic():
        row, made = Alarm.objects.select_for_update(of=("self",)).get_or_create(
            **_own(connection_id, alarm_id),
            defaults={
                **told,
                "plant_id": plant_id,
                "organisation_id": organisation_id,
                "raised_at": at,
                "told_at": at,
                "received_at": at,
            },
        )
        before = None if made or row.cleared_at is not None else row.severity
        if not made and (before is None or any(getattr(row, name) != value for name, value in told.items())):
            row.severity, row.code, row.message, row.metadata = severity, code, str(message), metadata
            row.raised_at = at if before is None else row.raised_at
            row.told_at, row.cleared_at = at, None
            row.save(update_fields=[*told, "raised_at", "told_at", "cleared_at"])
        if before == severity:
            return False
        _file_one(row, AlarmChange.Word.RAISED, at)
        return True


def clear_platform_alarm(*, connection_id: int | None, alarm_id: str, at: datetime) -> bool:
    """Clear an alarm of this platform; False, and nothing happens, when it was not raised."""
    with transaction.atomic():
        mine = Alarm.objects.filter(**_own(connection_id, alarm_id), cleared_at__isnull=True)
        row = mine.select_for_update().first()
        if row is None:
            return False
        row.cleared_at = row.told_at = at
        row.save(update_fields=["cleared_at", "told_at"])
        _file_one(row, AlarmChange.Word.CLEARED, at)
        return True


def _file_one(row: Alarm, word: AlarmChange.Word, at: datetime) -> None:
    file_alarms(told=[_as_told(row)], at=at)
    AlarmChange.objects.create(alarm=row, word=word, at=at)


def _as_told(row: Alarm) -> Told:
    place = row.plant or row.connection
    owner = row.organisation_id or (place.organisation_id if place is not None else None)
    return Told(alarm=row, organisation_id=owner, raised_at=row.raised_at, cleared_at=row.cleared_at)


def _own(connection_id: int | None, alarm_id: str) -> dict[str, Any]:
    """What identifies an alarm of this platform; without a connection the id alone."""
    return {"connection_id": connection_id, "origin": AlarmOrigin.PLATFORM, "alarm_id": alarm_id}


def take_alarm_changes(*, limit: int) -> list[AlarmChange]:
    """The oldest changes that nobody has taken, with their alarms; they are gone when the caller's transaction ends.

    Two takers never get the same one. Call within a transaction.
    """
    rows = (
        AlarmChange.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related(
            "alarm__plant__organisation", "alarm__connection__organisation", "alarm__organisation"
        )
        .defer("alarm__connection__amqps_uri", "alarm__connection__api_key", "alarm__connection__signing_key")
        .order_by("pk")
    )
    taken = list(rows[:limit])
    AlarmChange.objects.filter(pk__in=[row.pk for row in taken]).delete()
    return taken
