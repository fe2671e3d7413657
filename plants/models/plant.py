"""Plants, their assets, and the time-config blocks that say what a battery may do at which local time."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy

from plants.models.connection import Connection
from plants.models.tenancy import Organisation, User
from vcp import MAX_FALLBACK_AFTER_S, AssetType, OperatingMode

# Interpretation: Voke checks the form of externalPlantId but does not publish it; this one passes everywhere.
EXTERNAL_PLANT_ID = RegexValidator(r"^[A-Za-z0-9_-]{1,64}\Z", "1 to 64 letters, digits, '_' or '-'")
EXTERNAL_ASSET_ID = RegexValidator(r"^[A-Z0-9_-]{1,32}\Z", "1 to 32 capital letters, digits, '_' or '-'")
_NOT_NEGATIVE = [MinValueValidator(0.0), MaxValueValidator(10_000_000.0)]
_PERCENT = [MinValueValidator(0.0), MaxValueValidator(100.0)]


def limit_kw(text: str) -> "models.FloatField[float | None, float | None]":
    """An optional power limit in kW; None = no limit known."""
    return models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE, help_text=text)


class UpdatePolicy(models.TextChoices):
    APPLY = "APPLY", "Apply at once"
    REVIEW = "REVIEW", "Hold for a person's review"


class ScheduleCarrier(models.TextChoices):
    """Who carries a published day plan out."""

    DISPATCHER = "DISPATCHER", gettext_lazy("Our dispatcher: a site setpoint for each slot")
    VOKE = "VOKE", gettext_lazy("Voke: the plan is sent as a schedule")


class CancelPolicy(models.TextChoices):
    """What is sent when a setpoint is taken back that may have left already."""

    BASE_MODE = "BASE_MODE", gettext_lazy("The base mode")
    EXPIRE = "EXPIRE", gettext_lazy("Nothing: it ends with its validUntil")
    ZERO = "ZERO", gettext_lazy("A setpoint of 0 kW")


class Plant(models.Model):
    """A site that Voke connects: what the reverse channel lists and commands are addressed to."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="plants")
    connection = models.ForeignKey(
        Connection,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="plants",
        help_text="The connection over which this plant is commanded and heard.",
    )
    external_plant_id = models.CharField(
        "external plant id",
        max_length=64,
        validators=[EXTERNAL_PLANT_ID],
        help_text="Our id of the plant on the wire.",
    )
    voke_uuid = models.UUIDField(
        "Voke UUID", null=True, blank=True, help_text="Voke's id of the plant (GET /vcp/sites)."
    )
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=2000)
    time_zone = models.CharField(
        max_length=64, default="Europe/Prague", help_text="IANA zone of the plant's wall clock."
    )

    capacity_kwh = models.FloatField(default=0, validators=_NOT_NEGATIVE, help_text="Usable battery energy.")
    fve_peak_power_kwp = models.FloatField("PV peak kWp", null=True, blank=True, validators=_NOT_NEGATIVE)
    plant_with_load = models.BooleanField(default=True, help_text="Whether the site has its own consumption.")
    config_enabled = models.BooleanField(
        default=True, help_text="Off: Voke is told to ignore the time-config blocks."
    )
    esi_state = models.CharField("ESI state", max_length=40, default="READY")

    max_import_kw = limit_kw("Largest power the site may take from the grid.")
    max_export_kw = limit_kw("Largest power the site may give to the grid.")
    max_charge_kw = limit_kw("Largest battery charging power.")
    max_discharge_kw = limit_kw("Largest battery discharging power.")
    soc_min_pct = models.FloatField("SoC min %", null=True, blank=True, validators=_PERCENT)
    soc_max_pct = models.FloatField("SoC max %", null=True, blank=True, validators=_PERCENT)

    base_mode = models.CharField(
        max_length=24,
        choices=[(mode.value, mode.value) for mode in OperatingMode],
        default=OperatingMode.STANDARD.value,
        help_text="Sent when an emergency is released.",
    )
    dispatch_enabled = models.BooleanField(
        default=True, help_text="Off: nothing is published for this plant."
    )
    schedule_carrier = models.CharField(
        max_length=10,
        choices=ScheduleCarrier,
        default=ScheduleCarrier.DISPATCHER,
        help_text="Who carries published day plans out.",
    )
    slot_minutes = models.PositiveSmallIntegerField(
        default=15,
        choices=[(minutes, f"{minutes} min") for minutes in (5, 10, 15, 20, 30, 60)],
        help_text="Length of a day plan's slots.",
    )
    setpoint_valid_s = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(10), MaxValueValidator(86_400)],
        help_text="How long a setpoint holds that names no end: a platform that falls silent fails safe.",
    )
    cancel_policy = models.CharField(
        max_length=9,
        choices=CancelPolicy,
        default=CancelPolicy.BASE_MODE,
        help_text="What is sent when a setpoint is taken back that may have left already.",
    )
    fallback_mode = models.CharField(
        max_length=24,
        choices=[(mode.value, mode.value) for mode in OperatingMode],
        default=OperatingMode.STANDARD.value,
        help_text="What Voke falls back to when it hears nothing from us.",
    )
    fallback_after_s = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_FALLBACK_AFTER_S)],
        help_text="After how many seconds of silence Voke falls back.",
    )
    update_policy = models.CharField(
        max_length=8,
        choices=UpdatePolicy,
        default=UpdatePolicy.REVIEW,
        help_text="What happens to a config update that Voke sends.",
    )
    gaps_allowed = models.BooleanField(
        default=False, help_text="Whether time-config blocks may leave parts of a day out."
    )
    time_config = models.ForeignKey(
        "TimeConfigVersion", on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    site_revision = models.BigIntegerField(
        default=1,
        editable=False,
        help_text="Counts changes of topology and limits: they are published to Voke.",
    )
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            # Lists go through an organisation's plants in this order, page by page.
            models.Index(fields=["organisation", "name", "id"], name="plant_by_name"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "external_plant_id"], name="external_plant_id_once_per_organisation"
            ),
            # Partial, though NULLs never collide: a column of a full unique index is a key to PostgreSQL, and moving a
            # plant would lock it against everybody who stores a row that names it (takeovers would deadlock).
            models.UniqueConstraint(
                fields=["connection", "voke_uuid"],
                condition=models.Q(voke_uuid__isnull=False),
                name="voke_uuid_once_per_connection",
                violation_error_message="another plant of the connection has the same Voke UUID",
            ),
            models.CheckConstraint(
                condition=models.Q(soc_min_pct__isnull=True)
                | models.Q(soc_max_pct__isnull=True)
                | models.Q(soc_min_pct__lte=models.F("soc_max_pct")),
                name="plant_soc_min_le_max",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.external_plant_id})"


class Asset(models.Model):
    """A device of a plant: what `config.topology` declares and device commands address."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="assets")
    external_id = models.CharField("external id", max_length=32, validators=[EXTERNAL_ASSET_ID])
    asset_type = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in AssetType])
    name = models.CharField(max_length=80, blank=True)
    rated_power_kw = models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE)
    capacity_kwh = models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE)

    class Meta:
        ordering = ["external_id"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "external_id"], name="asset_id_once_per_plant")
        ]

    def __str__(self) -> str:
        return f"{self.external_id} ({self.asset_type})"


class TimeConfigOrigin(models.TextChoices):
    PERSON = "PERSON", gettext_lazy("Edited by a person")
    VOKE = "VOKE", gettext_lazy("Config update from Voke")
    IMPORT = "IMPORT", gettext_lazy("Imported")


class TimeConfigVersion(models.Model):
    """One complete set of time-config blocks; versions are never changed, only followed by the next."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="time_config_versions")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the plant.")
    origin = models.CharField(max_length=8, choices=TimeConfigOrigin)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    made_by_name = models.CharField(max_length=150, help_text="Who it was, kept when the user is gone.")
    changes = models.JSONField(default=list, help_text="What differs from the version before, one line each.")

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["plant", "number"], name="time_config_number_once_per_plant")
        ]

    def __str__(self) -> str:
        return f"v{self.number}"


class TimeConfigBlock(models.Model):
    """What the battery may do within [start, end) local minutes of every day; power + = charging."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="time_config_blocks")
    version = models.ForeignKey(
        TimeConfigVersion, on_delete=models.CASCADE, related_name="blocks", editable=False
    )
    start_minute = models.PositiveSmallIntegerField("from", help_text="Local minute of the day, inclusive.")
    end_minute = models.PositiveSmallIntegerField(
        "to", help_text="Local minute of the day, exclusive; 1440 = midnight."
    )
    p_bat_min_kw = models.FloatField(
        "pBatMin kW", help_text="Lowest battery power; + = charging, - = discharging."
    )
    p_bat_max_kw = models.FloatField(
        "pBatMax kW", help_text="Highest battery power; + = charging, - = discharging."
    )
    soc_min_pct = models.FloatField("socMin %", validators=_PERCENT)
    soc_max_pct = models.FloatField("socMax %", validators=_PERCENT)

    class Meta:
        ordering = ["start_minute"]
        constraints = [
            models.UniqueConstraint(fields=["version", "start_minute"], name="block_start_once_per_version"),
            models.CheckConstraint(
                condition=models.Q(start_minute__lt=models.F("end_minute"), end_minute__lte=1440),
                name="block_within_one_day",
            ),
            models.CheckConstraint(
                condition=models.Q(p_bat_min_kw__lte=models.F("p_bat_max_kw"))
                & models.Q(soc_min_pct__lte=models.F("soc_max_pct")),
                name="block_min_le_max",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.start_minute // 60:02d}:{self.start_minute % 60:02d}"
