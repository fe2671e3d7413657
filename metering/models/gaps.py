"""The gap ledger: each hole in a plant's measurements, why it came, and what became of it."""

from django.db import models

from metering.models.marks import Stream
from plants.models import Plant


class Gap(models.Model):
    """Between two readings of a stream lay more than the tolerance of its expected period.

    A gap without an end is open: nothing has come since. One that was filled stays, with when and from what.
    """

    class Cause(models.TextChoices):
        LINK_DOWN = "LINK_DOWN", "Our link to Voke was down"
        PLATFORM_STOPPED = "PLATFORM_STOPPED", "No consumer of ours was running"
        PLANT_OFFLINE = "PLANT_OFFLINE", "Others were heard on the same connection, this plant was not"
        NOTHING_ARRIVED = "NOTHING_ARRIVED", "The link was up and nothing came for any plant"
        UNKNOWN = "UNKNOWN", "Not known"

    class FilledFrom(models.TextChoices):
        QUEUE = "QUEUE", "Arrived late from the broker"
        REPLAY = "REPLAY", "Replayed from dead letters"

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="gaps")
    stream = models.CharField(max_length=8, choices=Stream)
    device_id = models.CharField(max_length=128, blank=True, help_text="Of a meter; empty for realtime.")
    from_at = models.DateTimeField(help_text="The last reading before it.")
    to_at = models.DateTimeField(null=True, help_text="The first reading after it; empty = still open.")
    expected_period_s = models.FloatField()
    cause = models.CharField(max_length=20, choices=Cause, default=Cause.UNKNOWN)
    cause_detail = models.CharField(
        max_length=400, blank=True, help_text="The evidence in plain words; empty = not judged yet."
    )
    found_at = models.DateTimeField()
    missing_s = models.FloatField(
        help_text="Seconds that are still not covered; of an open gap when last looked."
    )
    filled_at = models.DateTimeField(null=True, help_text="When nothing was missing any more.")
    filled_from = models.CharField(max_length=10, choices=FilledFrom, blank=True)
    given_up_at = models.DateTimeField(null=True, help_text="Nobody waits for it any more.")

    class Meta:
        ordering = ["-from_at"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "stream", "device_id", "from_at"], name="gap_once")
        ]
        indexes = [
            models.Index(
                fields=["stream", "plant"], condition=models.Q(to_at__isnull=True), name="gap_open_by_plant"
            ),
            models.Index(
                fields=["from_at"],
                condition=models.Q(filled_at__isnull=True, given_up_at__isnull=True),
                name="gap_unfilled",
            ),
            models.Index(fields=["id"], condition=models.Q(cause_detail=""), name="gap_unjudged"),
            models.Index(fields=["from_at"], name="gap_by_beginning"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} of {self.plant_id} from {self.from_at.isoformat()}"


class MeterSeen(models.Model):
    """The newest reading of one meter, so that one which has stopped is found without reading the history."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+")
    device_id = models.CharField(max_length=128)
    reading_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plant", "device_id"], name="meter_seen_once")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.reading_at.isoformat()}"


class LedgerProgress(models.Model):
    """How far one part of the ledger has looked: everything up to (`until_at`, `until_id`) is in it.

    Of the learning of periods: when it last ran, and up to which plant it came in this round.
    """

    part = models.CharField(max_length=20, unique=True)
    until_at = models.DateTimeField()
    until_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.part} {self.until_at.isoformat()}"
