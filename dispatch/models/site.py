"""What Voke was told about a site, what it says it has, and what it told of its schedules."""

from django.db import models

from dispatch.models.commands import OutboundMessage
from plants.models import Connection, InboundMessage, Plant


class SiteConfigVersion(models.Model):
    """One payload of topology, limits or fallback that was published for a plant; append-only."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="config_versions", db_index=False)
    family = models.CharField(max_length=40)
    number = models.PositiveIntegerField(help_text="1, 2, 3 ... within the plant and the family.")
    payload = models.JSONField(help_text="The payload in wire names.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the canonical payload.")
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "family", "number"], name="config_version_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.family} v{self.number}"


class SiteReport(models.Model):
    """What Voke's REST last said it has of a plant, and where that differs from what was published."""

    plant = models.OneToOneField(
        Plant, on_delete=models.CASCADE, primary_key=True, related_name="site_report"
    )
    asked_at = models.DateTimeField(help_text="When Voke was last asked.")
    answered_at = models.DateTimeField(null=True, help_text="When it last answered.")
    error_code = models.CharField(max_length=64, blank=True, help_text="Why the last question failed.")
    payload = models.JSONField(null=True, help_text="The answer, in Voke's names.")
    drift = models.JSONField(
        default=list,
        help_text="For each difference: family, field, ours and Voke's, since when, and at how many looks.",
    )
    drifted_since = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["asked_at"], name="site_report_by_age"),
            models.Index(
                fields=["drifted_since"],
                condition=models.Q(drifted_since__isnull=False),
                name="site_report_drifted",
            ),
        ]

    def __str__(self) -> str:
        return f"site report of plant {self.plant_id}"


class PublishedSiteConfig(models.Model):
    """Which revision of a plant's topology, limits and fallback Voke was last sent."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="published_config")
    family = models.CharField(max_length=40)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the canonical payload.")
    site_revision = models.BigIntegerField()
    version = models.ForeignKey(
        SiteConfigVersion,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="What was sent; NULL = held back, or sent before versions were kept.",
    )
    message = models.ForeignKey(OutboundMessage, on_delete=models.SET_NULL, null=True, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plant", "family"], name="site_config_once_per_family")
        ]

    def __str__(self) -> str:
        return f"{self.family} r{self.site_revision}"


class ScheduleNotice(models.Model):
    """A schedule event of Voke, kept as told; plans are attached to it later."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="schedule_notices")
    schedule_id = models.CharField(max_length=128)
    status = models.CharField(max_length=64, help_text="Open vocabulary.")
    reason = models.TextField(blank=True)
    told_at = models.DateTimeField()
    received_at = models.DateTimeField()
    inbound = models.ForeignKey(InboundMessage, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["plant", "schedule_id"], name="notice_by_schedule"),
            models.Index(fields=["received_at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.status}"
