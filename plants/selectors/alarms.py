"""Reading alarms."""

from plants.models import Alarm, AlarmOrigin


def open_platform_alarm_ids(*, code: str, limit: int) -> list[str]:
    """Ids of this platform's own alarms of a code that are still raised, oldest first."""
    rows = Alarm.objects.filter(origin=AlarmOrigin.PLATFORM, code=code, cleared_at__isnull=True)
    return list(rows.order_by("pk").values_list("alarm_id", flat=True)[:limit])
