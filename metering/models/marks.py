"""Which intervals have to be rolled up (again), and how often a stream is expected to speak."""

from django.db import models

from plants.models import Plant


class Stream(models.TextChoices):
    """The two streams of measurements."""

    REALTIME = "REALTIME", "Realtime telemetry"
    METER = "METER", "Meter registers"


class RollupMark(models.Model):
    """Plants with readings that landed in one quarter-hour, written in the transaction that stored the readings.

    One row for each batch and quarter-hour: writers never touch each other's rows. Folded into `RollupDue`, then gone.
    """

    stream = models.CharField(max_length=8, choices=Stream)
    start_at = models.DateTimeField(help_text="Beginning of the quarter-hour, UTC.")
    plant_ids = models.JSONField(help_text="Sorted, each once.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.stream} {self.start_at.isoformat()}"


class RollupDue(models.Model):
    """A quarter-hour of a plant that changed since it was rolled up; done when it has ended."""

    stream = models.CharField(max_length=8, choices=Stream)
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    start_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["stream", "start_at", "plant"], name="rollup_due_once")
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.plant_id} {self.start_at.isoformat()}"


class StreamPeriod(models.Model):
    """How far apart a plant's readings are expected, from a moment on; without a row the setting counts.

    Kept as a history, so that a rebuild of old intervals judges them as they were judged.
    """

    class Source(models.TextChoices):
        SET = "SET", "Set by a person"
        LEARNT = "LEARNT", "Learnt from what came"

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="stream_periods")
    stream = models.CharField(max_length=8, choices=Stream)
    valid_from = models.DateTimeField()
    period_s = models.FloatField()
    source = models.CharField(max_length=8, choices=Source)
    set_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "stream", "valid_from"], name="stream_period_once")
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.period_s} s"
