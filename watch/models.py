"""What the platform knows of itself: runs of its ticks, what looks wrong, whom it tells, and what it told them."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy

from plants.encryption import EncryptedTextField
from plants.models import Alarm, Connection, Organisation, Plant

QUIET_MAX_S = 86_400
"""A channel that says less than one thing a day about an alarm code would be off without looking so."""


class TickRun(models.Model):
    """The last runs of one tick. It is overdue when it has not finished for too long; see `watch.deadman`."""

    name = models.CharField(max_length=40, unique=True)
    since = models.DateTimeField(
        help_text="Since when it should run: its first sight, or the platform's return."
    )
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, help_text="The end of the last run that did its work.")
    duration_s = models.FloatField(null=True, help_text="Of the last run, good or bad.")
    ok = models.BooleanField(default=True, help_text="Whether the last run did its work.")
    error_code = models.CharField(max_length=80, blank=True, help_text="Kind of the last failure.")
    failed_at = models.DateTimeField(null=True)
    runs = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Suspicion(models.Model):
    """Something that a dead-man rule holds to be wrong, from first sight to the clear after a quiet time.

    The alarm is raised only when it lasted, so that neither a restart nor a single late message calls anybody.
    """

    key = models.CharField(
        max_length=128, unique=True, help_text="Rule and subject; also the id of the alarm."
    )
    code = models.CharField(max_length=40)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, related_name="+")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="When the rule last found it.")
    raised_at = models.DateTimeField(null=True, help_text="NULL = not yet an alarm.")
    message = models.TextField(blank=True, help_text="What the alarm says.")
    severity = models.CharField(max_length=16, blank=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key


class MeterWatch(models.Model):
    """When a plant's newest meter row arrived; kept apart, so that the question costs nothing in the history."""

    plant = models.OneToOneField(Plant, on_delete=models.CASCADE, primary_key=True, related_name="+")
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"plant {self.plant_id}"


class Severity(models.TextChoices):
    """The known severities of alarms, mildest first."""

    INFO = "INFO", "Info"
    WARNING = "WARNING", "Warning"
    ERROR = "ERROR", "Error"
    CRITICAL = "CRITICAL", "Critical"


class NotificationChannel(models.Model):
    """Where people are told of alarms: addresses of e-mail, or one signed webhook.

    A channel of an organisation hears of that organisation's alarms and of no other; one without hears all of them.
    """

    class Kind(models.TextChoices):
        EMAIL = "EMAIL", gettext_lazy("E-mail")
        WEBHOOK = "WEBHOOK", gettext_lazy("Webhook")

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: the whole installation, every organisation's alarms.",
    )
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    enabled = models.BooleanField(default=True)
    minimum_severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING)
    only_this_severity = models.BooleanField(
        default=False, help_text="Alarms of just this severity, none above: for one webhook per severity."
    )
    addresses = models.TextField(blank=True, help_text="Of an e-mail channel: one or more, by comma or line.")
    url = models.CharField(
        "URL", max_length=500, blank=True, help_text="Of a webhook: an https address that takes POST."
    )
    secret = EncryptedTextField(blank=True, help_text="Signs the webhook's body; encrypted at rest.")
    quiet_s = models.PositiveIntegerField(
        "quiet time, s",
        default=300,
        validators=[MaxValueValidator(QUIET_MAX_S)],
        help_text="After a message about an alarm code the next about it waits this long, unless it is worse.",
    )
    max_per_hour = models.PositiveIntegerField(
        "messages an hour",
        default=20,
        validators=[MinValueValidator(1)],
        help_text="No more than this of a severity, milder ones not counted; the last one sums up the rest.",
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["name"]
        permissions = [("test_notificationchannel", "Can send a test notification")]

    def __str__(self) -> str:
        return self.name


class NotificationState(models.TextChoices):
    WAITING = "WAITING", "Waiting: held back by the channel's limits"
    PENDING = "PENDING", "To be sent"
    SENT = "SENT", "Sent"
    SUMMED = "SUMMED", "Summed up in a later one"
    FAILED = "FAILED", "Given up"


class Notification(models.Model):
    """One message for people, written before it is sent.

    Edge cases (the concurrency policy):
    - A sender claims a row by a guarded UPDATE (`claimed_until`) and sends it outside every transaction; one that dies
      leaves the claim to run out. The receiver may then hear twice: `uid` is the same and tells it so.
    - Held back rows stay WAITING; the newest goes out when the channel's limits allow and carries the number of the
      others, which end as SUMMED.
    """

    class Event(models.TextChoices):
        RAISED = "RAISED", "Raised"
        CLEARED = "CLEARED", "Cleared"
        TEST = "TEST", "Test"

    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="notifications")
    alarm = models.ForeignKey(Alarm, on_delete=models.SET_NULL, null=True, related_name="+")
    uid = models.UUIDField(unique=True, help_text="Told to receivers: the same message has the same id.")
    event = models.CharField(max_length=8, choices=Event)
    severity = models.CharField(max_length=64)
    rank = models.PositiveSmallIntegerField(help_text="0 INFO … 3 CRITICAL.")
    code = models.CharField(max_length=128)
    content = models.JSONField(help_text="The members of a webhook's body; a mail is made of them.")
    state = models.CharField(max_length=8, choices=NotificationState, default=NotificationState.WAITING)
    made_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, help_text="When the channel's limits let it go.")
    next_at = models.DateTimeField(null=True, help_text="When the next attempt is due.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    held_back = models.PositiveIntegerField(default=0, help_text="How many others it sums up.")
    summed_in = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    error_code = models.CharField(max_length=48, blank=True)
    last_error = models.CharField(
        max_length=400, blank=True, help_text="Of the last attempt, in plain words."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["next_at"], condition=models.Q(state="PENDING"), name="notification_due"),
            models.Index(
                fields=["channel", "code"], condition=models.Q(state="WAITING"), name="notification_waiting"
            ),
            models.Index(fields=["channel", "-released_at"], name="notification_released"),
            models.Index(fields=["alarm", "channel"], name="notification_by_alarm"),
            models.Index(fields=["made_at"], name="notification_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.code}"
