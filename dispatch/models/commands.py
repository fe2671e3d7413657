"""Commands, what happened to them, and the outbox of exact bytes that Voke is sent."""

from django.db import models
from django.db.models import F
from django.db.models.functions import Coalesce

from dispatch.states import ENDED, State
from plants.models import Connection, InboundMessage, Organisation, Plant, User


class Kind(models.TextChoices):
    """The command families of the protocol; `dispatch.requests` maps them to envelopes."""

    SITE_SETPOINT = "site-setpoint", "Site setpoint"
    DEVICE = "device", "Device batch"
    EMERGENCY = "emergency", "Emergency"
    MODE = "mode", "Operating mode"
    SCHEDULE_CREATE = "schedule-create", "Schedule"
    SCHEDULE_CANCEL = "schedule-cancel", "Schedule cancellation"


class Command(models.Model):
    """Something a person, a plan or the platform wants a plant to do, from request to proof.

    Organisation and plant have no index of their own: those by (organisation, id) and (plant, id) serve them too, and a
    command's row is written three times within a second.
    """

    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="commands", db_index=False
    )
    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="commands", db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="commands")
    kind = models.CharField(max_length=16, choices=Kind)
    payload = models.JSONField(help_text="The payload in wire names.")
    state = models.CharField(max_length=16, choices=[(state.value, state.value) for state in State])
    state_at = models.DateTimeField(help_text="Since when it is in this state.")
    cause = models.CharField(max_length=64, blank=True, help_text="Stable code of what brought it here.")

    automatic = models.BooleanField(default=False, help_text="Asked for by a plan or rule, not by a person.")
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)
    idempotency_key = models.CharField(max_length=128, null=True, help_text="Same key, same command, once.")  # noqa: DJ001 - unique, so absent must be NULL
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of what was asked for under the key.")
    batch_ref = models.CharField(max_length=128, blank=True, help_text="Groups commands; never sent to Voke.")

    due_at = models.DateTimeField(help_text="When it is built, signed and put into the outbox.")
    deliver_by_at = models.DateTimeField(
        null=True, help_text="After this nothing of it may be sent; NULL = emergency."
    )
    ack_due_at = models.DateTimeField(null=True, help_text="When an ACK is overdue; set when sent.")
    execution_due_at = models.DateTimeField(null=True, help_text="When an execution report is overdue.")
    execution_overdue = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"], name="idempotency_key_once_per_organisation"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="SCHEDULED"), name="command_due"),
            models.Index(fields=["ack_due_at"], condition=models.Q(state="SENT"), name="command_ack_due"),
            models.Index(
                fields=["execution_due_at"],
                condition=models.Q(state__in=["ACCEPTED", "PARTIAL", "EXECUTING"], execution_overdue=False),
                name="command_execution_due",
            ),
            models.Index(fields=["plant", "-id"], name="command_by_plant"),
            models.Index(
                fields=["plant"],
                condition=models.Q(state__in=["SCHEDULED", "QUEUED"]),
                name="command_unsent_by_plant",
            ),
            models.Index(fields=["organisation", "-id"], name="command_by_organisation"),
            # What else than a setpoint ends a target of a plant: few rows, found by their time.
            models.Index(
                fields=["plant", "due_at"],
                condition=models.Q(kind__in=["emergency", "mode", "schedule-cancel", "schedule-create"]),
                name="command_ends_targets",
            ),
            # Schedules by the end of their last slot, however long before they were made known.
            models.Index(
                fields=["plant", "deliver_by_at"],
                condition=models.Q(kind="schedule-create"),
                name="command_schedules_by_end",
            ),
            # Plans look each second for base modes that ended what their slots had asked for.
            models.Index(fields=["due_at"], condition=models.Q(kind="mode"), name="command_modes_by_time"),
            # Plans look each second for setpoints that came to nothing while their slots run.
            models.Index(
                fields=["state_at"],
                condition=models.Q(
                    state__in=["CANCELLED", "EXPIRED", "REFUSED", "RETURNED", "SUPERSEDED"], automatic=True
                ),
                name="command_automatic_in_vain",
            ),
            # What every page of the console counts; the states are those of `dispatch.selectors.DOUBTFUL`.
            models.Index(
                fields=["organisation", "requested_at"],
                condition=models.Q(
                    state__in=[
                        "DEVIATED",
                        "FAILED",
                        "PARTIAL",
                        "REFUSED",
                        "REJECTED",
                        "RETURNED",
                        "UNCONFIRMED",
                    ]
                ),
                name="command_doubtful",
            ),
            # What the retention looks for; the states are those of `dispatch.states.ENDED`.
            models.Index(
                fields=["state_at"],
                condition=models.Q(
                    state__in=[
                        "CANCELLED",
                        "COMPLETED",
                        "EXPIRED",
                        "FAILED",
                        "REFUSED",
                        "REJECTED",
                        "RETURNED",
                        "SUPERSEDED",
                    ]
                ),
                name="command_ended_by_age",
            ),
        ]
        permissions = [
            ("send_command", "Can send setpoints, device commands and modes"),
            ("send_emergency", "Can send and release emergencies"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.kind}"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is awaited."""
        return State(self.state) in ENDED


# Where a message stands among those of its plant, on whichever connection.
PLACE = Coalesce("place", "id", output_field=models.BigIntegerField())
# What every id is, and only `outbox_in_order` asks for: so only who wants that order finds the index. Where PostgreSQL
# has not yet counted what waits, it took it for as good as the plant's own index to see what stands before a message,
# and compared each message with the whole outbox.
IN_ORDER = models.Q(pk__gt=0)


class Outcome(models.TextChoices):
    """What became of one message in the outbox."""

    PENDING = "PENDING", "Waiting or on its way"
    CONFIRMED = "CONFIRMED", "Confirmed by the broker and routed"
    RETURNED = "RETURNED", "Returned: no queue took it"
    REFUSED = "REFUSED", "Refused by the broker"
    REPLACED = "REPLACED", "Never sent, replaced by a newly signed one"
    WITHDRAWN = "WITHDRAWN", "Never sent, its command was withdrawn or expired"
    ABANDONED = "ABANDONED", "Attempted, never confirmed in time"


class OutboundMessage(models.Model):
    """One envelope for Voke, stored as the exact bytes before anything is sent.

    Edge cases (the concurrency policy):
    - `attempted_at` is committed before the first byte reaches a socket; from then on only the same bytes are sent
      again, and never past the replay margin after `made_at`.
    - A never-attempted message that grew older than the margin is replaced by a newly signed one, and so is one whose
      plant moved to another connection; the new one takes over its place in the order.
    """

    connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, related_name="outbox", db_index=False
    )
    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="+")
    command = models.ForeignKey(
        Command, on_delete=models.PROTECT, null=True, related_name="messages", help_text="NULL = site config."
    )
    family = models.CharField(max_length=40)
    routing_key = models.CharField(max_length=255)
    message_id = models.UUIDField(unique=True)
    correlation_id = models.UUIDField(unique=True)
    body = models.BinaryField(help_text="The exact bytes, as signed.")
    signed = models.BooleanField()
    urgent = models.BooleanField(default=False, help_text="Emergency: goes before everything else.")
    made_at = models.DateTimeField(help_text="The envelope's timestamp.")
    deliver_by_at = models.DateTimeField(null=True)
    not_before_at = models.DateTimeField(null=True, help_text="A re-issued message waits until then.")
    place = models.BigIntegerField(
        null=True,
        help_text="Signed anew: the id of the message whose place in the order it took; NULL = its own.",
    )
    attempted_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.PENDING)
    outcome_at = models.DateTimeField(null=True)
    detail = models.CharField(max_length=400, blank=True, help_text="What the broker said.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            # What a relay reads, in the order of sending: emergencies first, then by place (`in_order`).
            models.Index(
                F("connection"),
                F("urgent").desc(),
                PLACE,
                F("id"),
                condition=models.Q(outcome="PENDING", id__gt=0),
                name="outbox_in_order",
            ),
            # What still stands before a message of the same plant, on whichever connection.
            models.Index(
                fields=["plant", "id"], condition=models.Q(outcome="PENDING"), name="outbox_pending_by_plant"
            ),
            models.Index(fields=["connection", "-id"], name="outbox_by_connection"),
            models.Index(
                fields=["made_at"], condition=models.Q(command__isnull=True), name="outbox_config_by_age"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.family} {self.message_id}"


class CommandEvent(models.Model):
    """One thing that happened to a command; append-only."""

    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField(help_text="When we recorded it.")
    told_at = models.DateTimeField(null=True, help_text="Timestamp of Voke's message, when Voke said it.")
    word = models.CharField(max_length=24, help_text="The state it speaks of, or what happened.")
    verdict = models.CharField(max_length=10, help_text="APPLIED, DUPLICATE, STALE or NOTE.")
    cause = models.CharField(max_length=64, blank=True)
    actor = models.CharField(
        max_length=150, blank=True, help_text="A person, 'Voke', or a part of the platform."
    )
    detail = models.JSONField(default=dict)
    outbound = models.ForeignKey(OutboundMessage, on_delete=models.SET_NULL, null=True, related_name="+")
    inbound = models.ForeignKey(
        InboundMessage, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["command", "id"], name="event_by_command"),
            # Most events are not of an inbound message.
            models.Index(
                fields=["inbound"], condition=models.Q(inbound__isnull=False), name="event_by_inbound"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.word} {self.verdict}"


class OutboxLease(models.Model):
    """Who may publish a connection's outbox right now: one relay at a time keeps the order."""

    connection = models.OneToOneField(
        Connection, on_delete=models.CASCADE, primary_key=True, related_name="lease"
    )
    holder = models.CharField(max_length=80)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.holder
