"""Channels, what they were told, and runs of ticks."""

from datetime import datetime, timedelta

from esm.ticks import PERIODS
from plants.models import Connection
from plants.services.alarms import raise_platform_alarm
from watch.models import Notification, NotificationChannel, TickRun
from watch.services.telling import tell


def make_watch(connection: Connection, at: datetime) -> None:
    """A mail channel and a webhook that heard of one alarm of a connection and one of the installation."""
    facts = {"minimum_severity": "INFO", "quiet_s": 0, "max_per_hour": 1000, "created_at": at}
    NotificationChannel.objects.create(
        name="Night shift", kind="EMAIL", addresses="night@example.com", **facts
    )
    NotificationChannel.objects.create(
        name="Pager", kind="WEBHOOK", url="https://pager.example/hook", secret="s" * 32, **facts
    )
    for connection_id, code in ((connection.pk, "NO_ACK"), (None, "TICK_OVERDUE")):
        raise_platform_alarm(
            connection_id=connection_id, alarm_id=f"{code}:seed", severity="ERROR", code=code, message="Seeded", at=at
        )  # fmt: skip
    tell(at=at - timedelta(minutes=5), product="Busbar")
    first = Notification.objects.order_by("pk").first()
    if first is not None:
        Notification.objects.filter(pk=first.pk).update(
            state="FAILED", attempts=8, error_code="HTTP_500", last_error="pager.example answered 500"
        )
    TickRun.objects.bulk_create(
        TickRun(name=name, since=at, started_at=at, finished_at=at, duration_s=0.01, runs=9)
        for name in PERIODS
    )
