"""What is known of a command beyond its state: measured proof, why there is silence, how it was taken back or ends."""

from django.db import models
from django.utils.translation import gettext_lazy

from dispatch.diagnosis_words import SILENCES
from dispatch.models.commands import Command
from plants.models import Organisation, Plant, User


class Proof(models.TextChoices):
    """What the measurement says of a command; VERIFIED lies within the tolerance."""

    PENDING = "PENDING", "Not measured yet"
    VERIFIED = "VERIFIED", "Verified by measurement"
    OFF_TARGET = "OFF_TARGET", "Off its target"
    NO_DATA = "NO_DATA", "No measurement to judge by"
    NOT_IN_FORCE = "NOT_IN_FORCE", "Never in force, or not long enough to judge"


class ProofSource(models.TextChoices):
    """What was measured by."""

    TELEMETRY = "TELEMETRY", "Realtime telemetry"
    METER = "METER", "Meter registers"


class ProofHint(models.TextChoices):
    """Why a target was missed, where the measurements themselves say so for certain."""

    SOC_AT_BOUND = "SOC_AT_BOUND", "The battery's charge was at its bound"
    DEVICE_FAULT = "DEVICE_FAULT", "A device of the plant had an open alarm"
    SITE_OFFLINE = "SITE_OFFLINE", "The plant was silent while others were heard"
    LIMITED = "LIMITED", "The site was at its import or export limit"


class Graded(models.Model):
    """A target graded by what was measured while it was in force.

    Powers in kW (POWER), energies in kWh (ENERGY), in the sign of the site: positive = import.
    """

    verdict = models.CharField(max_length=12, choices=Proof, default=Proof.PENDING)
    due_at = models.DateTimeField(help_text="When it is judged: its data should be there by then.")
    judged_at = models.DateTimeField(null=True)
    from_at = models.DateTimeField(null=True, help_text="What was looked at: after the settling time.")
    to_at = models.DateTimeField(null=True)
    unit = models.CharField(max_length=3, blank=True, help_text="kW or kWh.")
    target = models.FloatField(null=True)
    measured = models.FloatField(null=True)
    off_by = models.FloatField(null=True, help_text="Measured minus target.")
    tolerance = models.FloatField(null=True)
    source = models.CharField(max_length=9, choices=ProofSource, blank=True)
    coverage_pct = models.FloatField(
        null=True, help_text="Share of the time for which something was measured."
    )
    samples = models.PositiveIntegerField(default=0, help_text="Samples or readings that count.")
    hint = models.CharField(max_length=12, choices=ProofHint, blank=True)
    again_at = models.DateTimeField(
        null=True, help_text="When late measurements are looked for; NULL = no more."
    )
    looks = models.PositiveSmallIntegerField(default=0, help_text="How often late ones were looked for.")
    first_verdict = models.CharField(
        max_length=12, choices=Proof, blank=True, help_text="What it was before late measurements came."
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.verdict)


class Verification(Graded):
    """A site setpoint's proof. Plant and begin are its command's, so that a plant's targets are found by their time."""

    command = models.OneToOneField(
        Command, on_delete=models.CASCADE, primary_key=True, related_name="verification"
    )
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_index=False)
    begins_at = models.DateTimeField(help_text="From when it was to hold: validFrom, or when it was due.")
    ends_at = models.DateTimeField(help_text="Until when it was to hold.")
    rank = models.PositiveSmallIntegerField(help_text="Its priority: 0 NORMAL, 1 HIGH, 2 EMERGENCY.")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(verdict="PENDING"), name="verification_due"),
            models.Index(
                fields=["again_at"], condition=models.Q(again_at__isnull=False), name="verification_again"
            ),
            models.Index(fields=["plant", "begins_at"], name="verification_by_plant"),
            models.Index(
                fields=["plant", "begins_at"], condition=models.Q(rank__gt=0), name="verification_stronger"
            ),
        ]


class DiagnosisStage(models.TextChoices):
    """How far a diagnosis is."""

    LOCAL = "LOCAL", "What we know ourselves is to be looked at"
    LOG = "LOG", "Voke's command log is to be asked"
    DONE = "DONE", "Nothing more is looked at"


class Diagnosis(models.Model):
    """Why a command met silence, the evidence for it, and what to do next.

    One per command: a second silence of the same command takes the row over; what was found before stays in the
    command's events.
    """

    command = models.OneToOneField(
        Command, on_delete=models.CASCADE, primary_key=True, related_name="diagnosis"
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="The command's, for lists.",
    )
    silence = models.CharField(max_length=16, choices=[(one.value, words) for one, words in SILENCES.items()])
    asked_at = models.DateTimeField(help_text="Since when there is something to explain.")
    stage = models.CharField(max_length=5, choices=DiagnosisStage, default=DiagnosisStage.LOCAL)
    look_at = models.DateTimeField(null=True, help_text="When it is looked at next; NULL = not again.")
    made_at = models.DateTimeField(null=True, help_text="NULL = still to be found.")
    cause = models.CharField(max_length=32, blank=True, help_text="Stable code, see dispatch.diagnosis.")
    confidence = models.CharField(max_length=8, blank=True, help_text="CERTAIN, LIKELY or OPEN.")
    next_step = models.CharField(max_length=32, blank=True, help_text="Stable code of what to do.")
    evidence = models.JSONField(default=list, help_text="Each check, its result and what it saw.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Looks at Voke's command log.")
    ended_at = models.DateTimeField(null=True, help_text="When a late word of Voke ended the silence.")
    ended_by = models.CharField(max_length=24, blank=True, help_text="That word.")

    class Meta:
        verbose_name_plural = "diagnoses"
        ordering = ["-command_id"]
        indexes = [
            models.Index(
                fields=["stage", "look_at"], condition=models.Q(look_at__isnull=False), name="diagnosis_due"
            ),
            models.Index(
                fields=["command"],
                condition=models.Q(silence="NO_EXECUTION", ended_at__isnull=True),
                name="diagnosis_awaits_execution",
            ),
            models.Index(fields=["organisation", "-command"], name="diagnosis_by_organisation"),
            models.Index(fields=["asked_at"], name="diagnosis_by_age"),
        ]

    def __str__(self) -> str:
        return self.cause or "open"


class Retraction(models.Model):
    """How a command that was sent already was taken back."""

    class How(models.TextChoices):
        """What was done about it."""

        BASE_MODE = "BASE_MODE", gettext_lazy("The base mode was sent")
        EXPIRE = "EXPIRE", gettext_lazy("Left to run out")
        ZERO = "ZERO", gettext_lazy("0 kW was sent")
        STOP = "STOP", gettext_lazy("The device was stopped")
        SCHEDULE_CANCEL = "SCHEDULE_CANCEL", gettext_lazy("The schedule was cancelled")
        FOLLOWED = "FOLLOWED", gettext_lazy("A newer command takes its place")
        OVER = "OVER", gettext_lazy("It was over before")

    command = models.OneToOneField(
        Command, on_delete=models.CASCADE, primary_key=True, related_name="retraction"
    )
    how = models.CharField(max_length=15, choices=How)
    by_command = models.ForeignKey(
        Command, on_delete=models.SET_NULL, null=True, related_name="+", help_text="What was sent for it."
    )
    due_at = models.DateTimeField(
        null=True,
        help_text="When what undoes it is sent, where its target is not in force yet; NULL = decided.",
    )
    follow_until = models.DateTimeField(
        null=True, help_text="Until when it matters whether Voke has what was sent for it; NULL = settled."
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often what was sent for it came to nothing."
    )
    asked_at = models.DateTimeField()
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    asked_by_name = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="retraction_due"),
            models.Index(
                fields=["follow_until"],
                condition=models.Q(follow_until__isnull=False),
                name="retraction_followed",
            ),
        ]

    def __str__(self) -> str:
        return self.how


class TimedCommand(models.Model):
    """A device command with an end: its start, and the explicit stop that goes out whatever happens meanwhile."""

    start = models.OneToOneField(Command, on_delete=models.CASCADE, primary_key=True, related_name="timed")
    stop = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    stop_payload = models.JSONField(help_text="The stop in wire names.")
    stop_at = models.DateTimeField(help_text="When the stop is due.")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Stops that were made and came to nothing."
    )
    retry_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(
        null=True, help_text="The stop was accepted, or there was nothing to stop."
    )
    end_cause = models.CharField(max_length=32, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["stop_at"], condition=models.Q(ended_at__isnull=True), name="timed_command_open"
            )
        ]

    def __str__(self) -> str:
        return f"stop of {self.start_id} at {self.stop_at:%H:%M}Z"
