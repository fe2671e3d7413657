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
    key = models.CharField(max_length=64, null=True, help_text="Same key, same order, once.")  # noqa: DJ001 - unique, so absent must be NULL

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key"], name="order_key_once_per_organisation")
        ]
        indexes = [models.Index(fields=["organisation", "-id"], name="emergency_by_organisation")]

    def __str__(self) -> str:
        return f"{self.type} for {self.asked} plants"


class OrderedPlant(models.Model):
    """One plant of an order, and what became of it: waiting for its turn, commanded, or refused with the reason.

    All of an order's rows are stored before the first emergency: a crash in between leaves the rest waiting.
    """

    order = models.ForeignKey(EmergencyOrder, on_delete=models.CASCADE, related_name="plants", db_index=False)
    plant = models.ForeignKey(Plant, on_delete=models.PROTECT, related_name="+")
    command = models.ForeignKey(Command, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True, help_text="NULL = waits for its turn.")
    refusal = models.CharField(max_length=64, blank=True, help_text="Stable code of why nothing was sent.")
    detail = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["order", "plant"], name="plant_once_per_order")]
        indexes = [
            models.Index(
                fields=["order", "plant"],
                condition=models.Q(decided_at__isnull=True),
                name="ordered_plant_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"plant {self.plant_id} of order {self.order_id}"


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
        indexes = [models.Index(fields=["released_at"], name="latch_by_release")]

    def __str__(self) -> str:
        return f"{self.type} on plant {self.plant_id}"
