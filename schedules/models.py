"""Day plans, their versions and slots, what carries them out, and the overrides that stand above them."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

from dispatch.models import Command, Graded
from plants.models import Organisation, Plant, ScheduleCarrier, User
from vcp import Direction, Priority, SetpointType


class PlanState(models.TextChoices):
    """The life of a version: DRAFT -> CHECKED -> PUBLISHED -> DONE, or REPLACED by the next, or CANCELLED."""

    DRAFT = "DRAFT", gettext_lazy("Draft")
    CHECKED = "CHECKED", gettext_lazy("Checked")
    PUBLISHED = "PUBLISHED", gettext_lazy("Published")
    REPLACED = "REPLACED", gettext_lazy("Replaced")
    CANCELLED = "CANCELLED", gettext_lazy("Cancelled")
    DONE = "DONE", gettext_lazy("Done")


OPEN = (PlanState.DRAFT, PlanState.CHECKED)
"""Versions that are edited: at most one of a plan."""
IN_FORCE = (PlanState.PUBLISHED, PlanState.DONE)
"""Versions that are carried out, or were until their day ended."""


class Origin(models.TextChoices):
    """Where a version came from."""

    PERSON = "PERSON", "Edited by a person"
    CSV = "CSV", "Imported from a file"
    COPY = "COPY", "Copied from another day"
    PROGRAM = "PROGRAM", "Made by a program"


class DayPlan(models.Model):
    """The plan of one plant for one local day; what it says stands in its versions."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="day_plans", db_index=False
    )
    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="day_plans", db_index=False)
    day = models.DateField(help_text="Of the plant's own calendar.")
    time_zone = models.CharField(
        max_length=64, help_text="The plant's zone when the plan was made: a plan keeps its day."
    )
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-day", "plant_id"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "day"], name="one_plan_per_plant_and_day"),
        ]
        indexes = [
            models.Index(fields=["organisation", "-day", "plant"], name="plan_by_organisation"),
            models.Index(fields=["day", "id"], name="plan_by_day"),
        ]
        permissions = [("publish_plan", "Can publish and cancel day plans and overrides")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"


class PlanVersion(models.Model):
    """One set of slots. An open one is edited in place; one that is published stays, a change makes the next one."""

    plan = models.ForeignKey(DayPlan, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField(help_text="1, 2, 3 ... within the plan.")
    state = models.CharField(max_length=9, choices=PlanState, default=PlanState.DRAFT)
    origin = models.CharField(max_length=8, choices=Origin)
    carrier = models.CharField(
        max_length=10,
        choices=ScheduleCarrier,
        blank=True,
        help_text="Who carries it out; set when published.",
    )
    note = models.CharField(max_length=500, blank=True)
    problems = models.JSONField(default=list, help_text="What the last check found.")
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    made_by_name = models.CharField(max_length=150)
    checked_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    published_by_name = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, help_text="Replaced, cancelled or done.")

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="version_number_once_per_plan"),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(state="PUBLISHED"), name="one_published_version_per_plan"
            ),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(state__in=["DRAFT", "CHECKED"]), name="one_open_version_per_plan"
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.number} {self.state}"


class PlanSlot(models.Model):
    """What the site shall do within [start_at, end_at): kW (POWER) or kWh over the slot (ENERGY), never negative."""

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="slots", db_index=False)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    type = models.CharField(max_length=6, choices=[(one.value, one.value) for one in SetpointType])
    value = models.FloatField(help_text="kW or kWh, see type; the direction is its sign.")
    direction = models.CharField(max_length=6, choices=[(one.value, one.value) for one in Direction])
    include_consumption = models.BooleanField(default=True)
    priority = models.CharField(
        max_length=6, choices=[(one.value, one.value) for one in (Priority.NORMAL, Priority.HIGH)]
    )

    class Meta:
        ordering = ["start_at"]
        constraints = [
            models.UniqueConstraint(fields=["version", "start_at"], name="slot_start_once_per_version"),
            models.CheckConstraint(condition=Q(start_at__lt=F("end_at")), name="slot_start_before_end"),
            models.CheckConstraint(condition=Q(value__gte=0), name="slot_value_not_negative"),
        ]
        indexes = [models.Index(fields=["start_at"], name="slot_by_start")]

    def __str__(self) -> str:
        return f"{self.start_at:%H:%M}Z {self.direction} {self.value:g}"


class PlanEvent(models.Model):
    """One thing that happened to a plan, append-only: who did what, and what Voke said of it."""

    plan = models.ForeignKey(DayPlan, on_delete=models.CASCADE, related_name="events", db_index=False)
    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, null=True, related_name="events")
    at = models.DateTimeField()
    word = models.CharField(max_length=24, help_text="MADE, CHECKED, PUBLISHED, REPLACED, RECONCILED ...")
    actor = models.CharField(max_length=150, help_text="A person, 'Voke', or a part of the platform.")
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["plan", "id"], name="plan_event_by_plan")]

    def __str__(self) -> str:
        return self.word


class PlanUpload(models.Model):
    """A file of plans between its preview and its confirmation, as its uploader sent it; kept for a day."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200, help_text="The file's own name.")
    content = models.BinaryField()
    made_at = models.DateTimeField(db_index=True)
    by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return self.name


class RunState(models.TextChoices):
    """What became of a slot's turn."""

    WAITING = "WAITING", "Its time has not come"
    COMMANDED = "COMMANDED", "A setpoint was made for it"
    PREEMPTED = "PREEMPTED", "Something stronger was in force"
    MISSED = "MISSED", "Its time passed while nothing could be made"
    WITHDRAWN = "WITHDRAWN", "Its plan was replaced or cancelled"


class SlotRun(models.Model):
    """The due-time table of our dispatcher: one row for each turn of a slot.

    A slot has a second turn when what stood above it (an override, an emergency) ends while the slot still runs, or
    when its command came to nothing without having been sent.
    """

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="slot_runs", db_index=False)
    slot = models.ForeignKey(PlanSlot, on_delete=models.CASCADE, related_name="runs", db_index=False)
    turn = models.PositiveSmallIntegerField(default=1)
    due_at = models.DateTimeField(help_text="When its setpoint is made: a little before the slot begins.")
    state = models.CharField(max_length=9, choices=RunState, default=RunState.WAITING)
    cause = models.CharField(max_length=64, blank=True, help_text="Stable code of what brought it here.")
    winner = models.CharField(max_length=200, blank=True, help_text="What was in force instead.")
    command = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["due_at", "id"]
        constraints = [models.UniqueConstraint(fields=["slot", "turn"], name="turn_once_per_slot")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="WAITING"), name="slot_run_due"),
            models.Index(fields=["plant", "due_at"], name="slot_run_by_plant"),
            models.Index(fields=["due_at"], condition=Q(state="PREEMPTED"), name="slot_run_preempted"),
        ]

    def __str__(self) -> str:
        return f"{self.slot_id}/{self.turn} {self.state}"


class VokeSchedule(models.Model):
    """A schedule at Voke that carries slots of a version; one for each priority that the version has.

    Its life in columns: made (row), sent (`create_command`), in force at Voke (`accepted_at`), no longer wanted
    (`unwanted_at`), gone (`gone_at`). Every step of it survives a crash: the tick takes up what a row says is due.

    Interpretation: Voke's schedule has one priority for all its slots. `told` is Voke's own word, an open vocabulary.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="schedules")
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="voke_schedules", db_index=False)
    schedule_id = models.UUIDField(unique=True)
    priority = models.CharField(max_length=6)
    starts_at = models.DateTimeField(help_text="Start of its first slot.")
    ends_at = models.DateTimeField(help_text="End of its last slot.")
    turn = models.PositiveSmallIntegerField(default=1, help_text="1 = as published, 2 = made anew once ...")
    takes_place_of = models.OneToOneField(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        related_name="made_anew",
        help_text="Which one came to nothing.",
    )
    create_command = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    cancel_command = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    cancels = models.PositiveSmallIntegerField(default=0, help_text="Cancellations that were sent.")
    cause = models.CharField(
        max_length=64, blank=True, help_text="Stable code of what it waits for or ended by."
    )
    due_at = models.DateTimeField(
        null=True, help_text="When it is looked at next; NULL = nothing is to be done about it."
    )
    accepted_at = models.DateTimeField(null=True, help_text="Since when Voke has it.")
    unwanted_at = models.DateTimeField(null=True, help_text="Since when it should not run.")
    successor = models.ForeignKey(
        PlanVersion,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Cancelled when this version stands in its place; NULL = at once.",
    )
    told = models.CharField(max_length=64, blank=True)
    told_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)
    seen_at = models.DateTimeField(null=True, help_text="When Voke's REST last named it as known.")
    missing_at = models.DateTimeField(
        null=True, help_text="Since when Voke's REST does not name it, though it should run."
    )
    gone_at = models.DateTimeField(null=True, help_text="Ended, cancelled, refused or lost.")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["plant"], condition=Q(gone_at__isnull=True), name="voke_schedule_live_by_plant"
            ),
            models.Index(
                fields=["due_at"],
                condition=Q(due_at__isnull=False, gone_at__isnull=True),
                name="voke_schedule_due",
            ),
        ]

    def __str__(self) -> str:
        return str(self.schedule_id)


class SlotProof(Graded):
    """The proof of a slot that Voke's own schedule carries; a slot that we carry has its command's."""

    slot = models.OneToOneField(PlanSlot, on_delete=models.CASCADE, primary_key=True, related_name="proof")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(verdict="PENDING"), name="slot_proof_due"),
            models.Index(fields=["again_at"], condition=Q(again_at__isnull=False), name="slot_proof_again"),
        ]


class OverrideEnd(models.TextChoices):
    """Why an override ended."""

    EXPIRED = "EXPIRED", gettext_lazy("Its time was over")
    ENDED = "ENDED", gettext_lazy("A person ended it")
    REPLACED = "REPLACED", gettext_lazy("Another override took its place")
    EMERGENCY = "EMERGENCY", gettext_lazy("An emergency took its place")
    REFUSED = "REFUSED", gettext_lazy("Its command was refused")


class Override(models.Model):
    """A person's setpoint above the plan, with an end: while it is open the plan's slots are pre-empted."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="overrides", db_index=False
    )
    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="overrides", db_index=False)
    payload = models.JSONField(help_text="The setpoint in wire names.")
    command = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    begun_at = models.DateTimeField()
    until_at = models.DateTimeField()
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    ended_at = models.DateTimeField(null=True)
    end_cause = models.CharField(max_length=9, choices=OverrideEnd, blank=True)
    ended_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plant"], condition=Q(ended_at__isnull=True), name="one_open_override_per_plant"
            ),
            models.CheckConstraint(
                condition=Q(begun_at__lt=F("until_at")), name="override_begins_before_end"
            ),
        ]
        indexes = [
            models.Index(fields=["until_at"], condition=Q(ended_at__isnull=True), name="override_open_until"),
            models.Index(fields=["organisation", "-id"], name="override_by_organisation"),
            models.Index(fields=["plant", "until_at"], name="override_by_plant"),
        ]

    def __str__(self) -> str:
        return f"override until {self.until_at:%H:%M}Z"
