"""Emergencies: what was asked for many plants at once, and the latch that stands on each of them."""

from django.db import models

from dispatch.models.commands import Command
from plants.models import Organisation, Plant, User


class EmergencyOrder(models.Model):
    """One emergency for many plants, asked for and released as one."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="emergency_orders", db_index=False
    )
    type = models.CharField(max_length=4, choices=[("STOP", "STOP"), ("HOLD", "HOLD")])
    reason = models.CharField(max_length=500)
    scope = models.CharField(max_length=200, help_text="What was selected, in words.")
    asked = models.PositiveIntegerField(help_text="How many plants were selected.")
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    made_by_name = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True)
    released_by_name = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organisation", "-id"], name="emergency_by_organisation")]

    def __str__(self) -> str:
        return f"{self.type} for {self.asked} plants"


class EmergencyLatch(models.Model):
    """Set by an emergency, released by a person: while it is set nothing but emergencies is sent to the plant."""

    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="latches")
    command = models.ForeignKey(Command, on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey(EmergencyOrder, on_delete=models.SET_NULL, null=True, related_name="latches")
    type = models.CharField(max_length=4, choices=[("STOP", "STOP"), ("HOLD", "HOLD")])
    set_at = models.DateTimeField()
    set_by_name = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True)
    released_by_name = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = "emergency"
        verbose_name_plural = "emergencies"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plant"],
                condition=models.Q(released_at__isnull=True),
                name="one_open_latch_per_plant",
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} on plant {self.plant_id}"
