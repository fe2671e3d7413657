"""Channels and alarms for the tests of telling people."""

from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from tests.factories import AT
from watch.models import NotificationChannel
from watch.services.sending import SendOptions
from watch.webhook import WebhookOptions

SECRET = "a shared secret of at least 32 characters"
OPTIONS = SendOptions(
    webhook=WebhookOptions(timeout_s=20, allow_http=True, allow_private=True), draw=lambda: 1.0
)
PRODUCT = "Busbar"


def channel(name="ops", **changes):
    facts = {
        "name": name,
        "kind": "WEBHOOK",
        "url": "http://localhost:9/",
        "secret": SECRET,
        "minimum_severity": "WARNING",
        "created_at": AT,
    }
    return NotificationChannel.objects.create(**(facts | changes))


def alarm(
    plant=None, *, alarm_id="a1", severity="ERROR", code="NO_ACK", at=AT, message="nobody answers", **whose
):
    where = {"connection_id": plant.connection_id, "plant_id": plant.pk} if plant else {"connection_id": None}
    raise_platform_alarm(
        **(where | whose), alarm_id=alarm_id, severity=severity, code=code, message=message, at=at
    )


def clear(plant, *, alarm_id="a1", at=AT):
    clear_platform_alarm(connection_id=plant.connection_id, alarm_id=alarm_id, at=at)
