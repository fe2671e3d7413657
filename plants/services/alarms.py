"""Alarms of plants: raise and clear in any order and any number of times give the same row.

Interpretation: `clearedAt` present means cleared; the sheet does not say whether a cleared alarm may be raised again
under its id, so a raise that is newer than the clear opens it again.
"""

from datetime import datetime

from plants.models import Alarm, AlarmOrigin
from vcp import Alarm as AlarmEvent


def apply_alarm(
    *, connection_id: int, plant_id: int, event: AlarmEvent, told_at: datetime, at: datetime
) -> bool:
    """Apply one alarm message; False when it told nothing new. Call within the transaction of the batch."""
    row = (
        Alarm.objects.select_for_update()
        .filter(connection_id=connection_id, origin=AlarmOrigin.VOKE, alarm_id=event.alarm_id)
        .first()
    )
    if row is None:
        row = Alarm(
            connection_id=connection_id,
            plant_id=plant_id,
            origin=AlarmOrigin.VOKE,
            alarm_id=event.alarm_id,
            told_at=told_at,
            received_at=at,
        )
        _describe(row, event)
        row.cleared_at = event.cleared_at
        row.save(force_insert=True)
        return True
    before = (row.raised_at, row.cleared_at, row.told_at)
    if told_at >= row.told_at:
        _describe(row, event)
        row.told_at = told_at
    row.cleared_at = _cleared_at(row, event)
    if (row.raised_at, row.cleared_at, row.told_at) == before:
        return False
    row.received_at = at
    row.save()
    return True


def _cleared_at(row: Alarm, event: AlarmEvent) -> datetime | None:
    if event.cleared_at is not None:
        return event.cleared_at if row.cleared_at is None else max(row.cleared_at, event.cleared_at)
    # A raise: it reopens only when it happened after the clear that we know of.
    return None if row.cleared_at is None or event.raised_at > row.cleared_at else row.cleared_at


def _describe(row: Alarm, event: AlarmEvent) -> None:
    row.severity = event.severity[:64]
    row.code = event.code[:128]
    row.message = event.message
    row.device_id = (event.device_id or "")[:128]
    row.raised_at = event.raised_at
    row.actual_value = event.actual_value
    row.expected_value = event.expected_value
    row.breached_field = (event.breached_field or "")[:128]
    row.tolerance_pct = event.tolerance_pct
    row.metadata = event.metadata


def raise_platform_alarm(
    *,
    connection_id: int,
    plant_id: int,
    alarm_id: str,
    severity: str,
    code: str,
    message: str,
    at: datetime,
) -> None:
    """An alarm of this platform about itself (for example an emergency that could not be delivered).

    Raised again it stays the same alarm: what it says is brought up to date, and it is open.
    """
    said = {"severity": severity, "code": code, "message": message, "told_at": at}
    Alarm.objects.update_or_create(
        connection_id=connection_id,
        origin=AlarmOrigin.PLATFORM,
        alarm_id=alarm_id,
        defaults={**said, "cleared_at": None},
        create_defaults={**said, "plant_id": plant_id, "raised_at": at, "received_at": at},
    )


def clear_platform_alarm(*, connection_id: int, alarm_id: str, at: datetime) -> None:
    """Clear an alarm of this platform; nothing happens when it was not raised."""
    Alarm.objects.filter(
        connection_id=connection_id, origin=AlarmOrigin.PLATFORM, alarm_id=alarm_id, cleared_at__isnull=True
    ).update(cleared_at=at, told_at=at)
