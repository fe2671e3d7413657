"""What must stay although its time is over: billing that is not settled, a dispute, an inquiry."""

from django.db import models


class RetentionHold(models.Model):
    """Measurements of [from_at, to_at) are not dropped by retention while the hold is not released.

    Readings of all plants share partitions, so a hold keeps whole days and months.
    """

    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    held_by_name = models.CharField(max_length=150, help_text="A person, or the part of the platform.")
    held_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(from_at__lt=models.F("to_at")), name="hold_from_before_to"
            )
        ]
        indexes = [
            models.Index(
                fields=["from_at"], condition=models.Q(released_at__isnull=True), name="hold_not_released"
            )
        ]

    def __str__(self) -> str:
        return f"{self.from_at:%Y-%m-%d} to {self.to_at:%Y-%m-%d}: {self.reason}"
