"""What people do about alarms: repetitions of one problem are one case, which is owned, acknowledged and closed."""

from django.db import models
from django.utils.translation import gettext_lazy

from plants.models.alarm import Alarm, AlarmOrigin
from plants.models.connection import Connection
from plants.models.plant import Plant
from plants.models.tenancy import Organisation, User


class AlarmCase(models.Model):
    """One row of the alarm inbox: alarms of one code, device and origin of one plant that came close to each other.

    `is_raised`, `standing`, `severity` and the times follow its alarms (`plants.services.alarm_filing`); who cares for
    it is written by people alone (`plants.services.alarm_care`).
    """

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Whose it is; NULL = the installation's, for its staff.",
    )
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, null=True, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, related_name="+")
    origin = models.CharField(max_length=8, choices=AlarmOrigin)
    code = models.CharField(max_length=128)
    device_id = models.CharField(max_length=128, blank=True)
    fold_key = models.CharField(max_length=64, help_text="Digest of what makes alarms the same problem.")
    is_current = models.BooleanField(default=True, help_text="Alarms of this key are still folded into it.")
    latest = models.ForeignKey(
        Alarm, on_delete=models.SET_NULL, null=True, related_name="+", help_text="The alarm that it shows."
    )
    previous = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The same problem's case before.",
    )

    severity = models.CharField(
        max_length=64, help_text="The worst of what is raised; of nothing raised, the last."
    )
    rank = models.PositiveSmallIntegerField(help_text="0 INFO … 3 CRITICAL.")
    is_raised = models.BooleanField(default=True, help_text="Whether any of its alarms is still raised.")
    standing = models.PositiveIntegerField(default=0, help_text="How many of its alarms are still raised.")
    occurrences = models.PositiveIntegerField(default=0, help_text="How many times it was raised.")
    first_raised_at = models.DateTimeField()
    last_raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, help_text="When the last of its alarms was cleared.")

    owner = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    acknowledged_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_rank = models.PositiveSmallIntegerField(
        null=True, help_text="How bad it was then: what grows worse is to be acknowledged again."
    )
    closed_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)
    closed_why = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["fold_key"], condition=models.Q(is_current=True), name="alarm_case_current_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "-is_raised", "-rank", "-first_raised_at", "-id"],
                condition=models.Q(closed_at__isnull=True),
                name="alarm_case_inbox",
            ),
            models.Index(
                fields=["organisation", "-closed_at", "-id"],
                condition=models.Q(closed_at__isnull=False),
                name="alarm_case_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} #{self.pk}"


class AlarmOccurrence(models.Model):
    """One raise of an alarm with its clear, once whatever the number and order of the messages that told it."""

    case = models.ForeignKey(AlarmCase, on_delete=models.CASCADE, related_name="raises")
    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="+")
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    severity = models.CharField(max_length=64)

    class Meta:
        ordering = ["-raised_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["alarm", "raised_at"], name="alarm_occurrence_once"),
        ]
        indexes = [models.Index(fields=["case", "-raised_at", "-id"], name="alarm_occurrence_of_case")]

    def __str__(self) -> str:
        return f"{self.alarm_id} {self.raised_at}"


class AlarmNote(models.Model):
    """The history of a case, append-only: what people did and said, and what grew worse.

    The name stands here as it was, so that the history reads the same when the person is gone.
    """

    class Word(models.TextChoices):
        ACKNOWLEDGED = "ACKNOWLEDGED", gettext_lazy("Acknowledged")
        TAKEN_BACK = "TAKEN_BACK", gettext_lazy("Acknowledgement taken back")
        ASSIGNED = "ASSIGNED", gettext_lazy("Assigned")
        COMMENT = "COMMENT", gettext_lazy("Comment")
        CLOSED = "CLOSED", gettext_lazy("Closed")
        REOPENED = "REOPENED", gettext_lazy("Opened again")
        WORSENED = "WORSENED", gettext_lazy("Grew worse")

    repeated = False  # of one at hand: it was written by an earlier sending of the same form

    case = models.ForeignKey(AlarmCase, on_delete=models.CASCADE, related_name="notes")
    word = models.CharField(max_length=16, choices=Word)
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True, help_text="'' = this platform.")
    text = models.TextField(blank=True, help_text="The comment or the reason.")
    data = models.JSONField(default=dict, help_text="From and to of what changed.")
    request_key = models.CharField(
        max_length=64, blank=True, help_text="Of the form that asked: sent twice it is done once."
    )
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["case", "request_key"],
                condition=~models.Q(request_key=""),
                name="alarm_note_once_per_request",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.word} {self.case_id}"
