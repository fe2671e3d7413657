"""What arrived from Voke: the inbox that makes every event count once, and our own dead letters."""

from django.db import models
from django.utils.translation import gettext_lazy

from plants.models.connection import Connection
from plants.models.plant import Plant


class Disposition(models.TextChoices):
    APPLIED = "APPLIED", gettext_lazy("Applied")
    NO_CHANGE = "NO_CHANGE", gettext_lazy("Understood, changed nothing")
    FOREIGN = "FOREIGN", gettext_lazy("Belongs to a command that is not ours")
    UNKNOWN_TYPE = "UNKNOWN_TYPE", gettext_lazy("Type not known, kept")


class InboundMessage(models.Model):
    """One event as received, by (connection, message id); telemetry and meter readings are not kept here."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="inbound")
    plant = models.ForeignKey(Plant, on_delete=models.SET_NULL, null=True, related_name="+")
    message_id = models.CharField(max_length=128)
    correlation_id = models.CharField(max_length=128, blank=True)
    routing_key = models.CharField(max_length=255)
    family = models.CharField(max_length=40, help_text="Family of the routing key, or the raw rest of it.")
    sent_at = models.DateTimeField(help_text="Envelope timestamp.")
    received_at = models.DateTimeField()
    disposition = models.CharField(max_length=12, choices=Disposition)
    body = models.BinaryField(help_text="The exact bytes.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "message_id"], name="inbound_message_once_per_connection"
            )
        ]
        indexes = [
            models.Index(fields=["connection", "correlation_id"], name="inbound_by_correlation"),
            models.Index(fields=["received_at"], name="inbound_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.family} {self.message_id}"


class RecentTelemetryBody(models.Model):
    """Raw bytes of the last telemetry and meter messages of a plant (the last 20 are kept), for people who debug.

    The table is unlogged on PostgreSQL: a crash of the database server empties it, and a standby does not have it.
    """

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    routing_key = models.CharField(max_length=255)
    received_at = models.DateTimeField()
    body = models.BinaryField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["plant", "-id"], name="raw_telemetry_by_plant")]

    def __str__(self) -> str:
        return self.routing_key


class DeadLetter(models.Model):
    """A delivery that could not be understood or applied: our row, with the bytes and the reason, never a requeue."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="dead_letters")
    plant = models.ForeignKey(
        Plant,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Whose measurement is in quarantine; empty = not known, or another kind of letter.",
    )
    queue = models.CharField(max_length=255)
    routing_key = models.CharField(max_length=255)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of routing key and body: equal letters share one row."
    )
    reason = models.CharField(max_length=64, help_text="Stable code of what was wrong.")
    path = models.CharField(max_length=255, blank=True, help_text="The offending field.")
    detail = models.TextField(blank=True)
    state = models.CharField(
        max_length=10,
        choices=[("OPEN", "Open"), ("REPLAYED", "Replayed"), ("DISCARDED", "Discarded")],
        default="OPEN",
        help_text="OPEN: somebody should look at it. A letter that arrives again is open again.",
    )
    count = models.PositiveIntegerField(default=1)
    others = models.PositiveIntegerField(
        default=0,
        help_text="How many of `count` are other messages of the same plant and reason, for which there was no room.",
    )
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_at"]
        indexes = [
            # How full a plant's quarantine is, and which of its letters is the newest.
            models.Index(
                fields=["plant", "reason", "-id"],
                condition=models.Q(state="OPEN", plant__isnull=False),
                name="quarantine_by_plant",
            ),
            models.Index(
                fields=["connection", "reason", "-id"],
                condition=models.Q(state="OPEN", plant__isnull=False),
                name="quarantine_by_connection",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["connection", "digest"], name="dead_letter_once_per_content")
        ]
        permissions = [
            ("replay_deadletter", "Can replay dead letters"),
            ("discard_deadletter", "Can discard dead letters"),
            ("view_deadletter_body", "Can see the bytes of dead letters"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.routing_key}"


class DeadLetterEvent(models.Model):
    """What a person did with a dead letter, and what came of it; append-only."""

    class Action(models.TextChoices):
        REPLAYED = "REPLAYED", "Replayed"
        DISCARDED = "DISCARDED", "Discarded"

    letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    action = models.CharField(max_length=10, choices=Action)
    actor = models.CharField(max_length=150)
    note = models.CharField(max_length=500, blank=True)
    result = models.CharField(
        max_length=400, blank=True, help_text="Of a replay: what became of the message."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
