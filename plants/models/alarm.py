"""Alarms: raised and cleared by Voke, or by this platform about itself."""

from django.db import models

from plants.models.connection import Connection
from plants.models.plant import Plant
from plants.models.tenancy import Organisation
from plants.words import local_packed


class AlarmOrigin(models.TextChoices):
    VOKE = "VOKE", "Voke"
    PLATFORM = "PLATFORM", "This platform"


class Alarm(models.Model):
    """One alarm; raise and clear share `alarm_id` and may arrive in any order and more than once.

    Voke's alarms always have a connection and a plant. The platform's own may be about a connection only, about an
    organisation (nobody pulls its reverse channel), or about the installation (a tick does not run): the rest is NULL.
    """

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Set where neither plant nor connection tells whose it is; NULL = theirs, or the installation's.",
    )
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, related_name="alarms")
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, null=True, related_name="alarms")
    origin = models.CharField(max_length=8, choices=AlarmOrigin, default=AlarmOrigin.VOKE)
    alarm_id = models.CharField(max_length=128, help_text="Stable across raise and clear.")
    severity = models.CharField(
        max_length=64, help_text="Open vocabulary; known: INFO, WARNING, ERROR, CRITICAL."
    )
    code = models.CharField(max_length=128, help_text="Open vocabulary.")
    message = models.TextField(blank=True)
    device_id = models.CharField(max_length=128, blank=True)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    actual_value = models.JSONField(null=True)
    expected_value = models.JSONField(null=True)
    breached_field = models.CharField(max_length=128, blank=True)
    tolerance_pct = models.FloatField(null=True)
    metadata = models.JSONField(null=True)
    told_at = models.DateTimeField(help_text="Timestamp of the newest message about it.")
    received_at = models.DateTimeField()
    case = models.ForeignKey(
        "AlarmCase",
        on_delete=models.SET_NULL,
        null=True,
        related_name="alarms",
        help_text="The row of the inbox that its newest raise belongs to.",
    )

    class Meta:
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "origin", "alarm_id"], name="alarm_id_once_per_connection"
            ),
            models.UniqueConstraint(
                fields=["origin", "alarm_id"],
                condition=models.Q(connection__isnull=True),
                name="alarm_id_once_without_connection",
            ),
        ]
        indexes = [
            models.Index(fields=["plant", "-raised_at"], name="alarm_by_plant"),
            models.Index(
                fields=["plant"], condition=models.Q(cleared_at__isnull=True), name="alarm_open_by_plant"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.alarm_id}"

    @property
    def text(self) -> str:
        """Its message; one of this platform in the language of the page."""
        if self.origin != AlarmOrigin.PLATFORM or not isinstance(self.metadata, dict):
            return self.message
        return local_packed(self.metadata.get("said") or self.message)


class AlarmChange(models.Model):
    """That an alarm was raised or cleared, written with it in one transaction; who tells people takes it away.

    An outbox: rows are few and short-lived, and none is lost between the change and the telling of it.
    """

    class Word(models.TextChoices):
        RAISED = "RAISED", "Raised"
        CLEARED = "CLEARED", "Cleared"

    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="+")
    word = models.CharField(max_length=8, choices=Word)
    at = models.DateTimeField(help_text="When we heard or judged so.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.word} {self.alarm_id}"
