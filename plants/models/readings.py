"""What plants measured: history (partitioned by day on PostgreSQL) and the latest state of each plant.

Sign convention (docs/glossary.md): grid + = import, battery + = charging, PV and consumption never negative.
TelemetryReading and MeterReading are made by vendor-aware SQL in migration 0002: on PostgreSQL their real key is the
natural key (it must contain the partition key) and `id` is only a running number; the model state shows it as the key
because Django wants one.
"""

from django.db import models

from plants.models.plant import Plant


class Measured(models.Model):
    """The seven measured values of a realtime sample; None = Voke sent null."""

    grid_power_kw = models.FloatField(null=True, help_text="+ = import, - = export.")
    fve_power_kw = models.FloatField(null=True, help_text="PV production.")
    battery_power_kw = models.FloatField(null=True, help_text="+ = charging, - = discharging.")
    consumption_power_kw = models.FloatField(null=True)
    soc_pct = models.FloatField(null=True)
    available_battery_energy_kwh = models.FloatField(null=True)
    battery_temperature_c = models.FloatField(null=True)
    operating_mode = models.CharField(max_length=40, blank=True)
    data_quality = models.CharField(
        max_length=24, help_text="GOOD, INTERPOLATED, STALE, MISSING or Voke's own word."
    )

    class Meta:
        abstract = True


class PlantState(Measured):
    """The newest sample of a plant and the mode that Voke last reported; changes only if `measured_at` is newer."""

    plant = models.OneToOneField(Plant, on_delete=models.CASCADE, primary_key=True, related_name="state")
    measured_at = models.DateTimeField(null=True, help_text="Envelope timestamp of the newest sample.")
    received_at = models.DateTimeField(null=True)
    devices = models.JSONField(default=list, help_text="Device telemetry as Voke sent it.")
    mode = models.CharField(max_length=40, blank=True, help_text="From mode events; '' = none seen yet.")
    mode_reason = models.CharField(max_length=500, blank=True)
    mode_since = models.DateTimeField(null=True, help_text="Timestamp of the newest mode event.")
    mode_override_until = models.DateTimeField(
        null=True, help_text="When the mode override expires, if it does."
    )

    def __str__(self) -> str:
        return f"state of plant {self.plant_id}"


class TelemetryReading(Measured):
    """One realtime sample. Natural key: (plant, measured_at); better data quality wins, else the first."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="telemetry", db_constraint=False)
    measured_at = models.DateTimeField(help_text="Envelope timestamp.")
    received_at = models.DateTimeField()
    quality_rank = models.SmallIntegerField(
        help_text="3 GOOD, 2 INTERPOLATED, 1 STALE, 0 MISSING or unknown."
    )

    class Meta:
        ordering = ["-measured_at"]
        db_table = "plants_telemetryreading"

    def __str__(self) -> str:
        return f"{self.measured_at.isoformat()}"


class MeterReading(models.Model):
    """Registers of one meter. Natural key: (plant, device, reading_at); better data quality wins, else the first."""

    plant = models.ForeignKey(
        Plant, on_delete=models.CASCADE, related_name="meter_readings", db_constraint=False
    )
    device_id = models.CharField(max_length=128)
    reading_at = models.DateTimeField()
    received_at = models.DateTimeField()
    role = models.CharField(max_length=40, blank=True)
    import_register_kwh = models.FloatField(null=True)
    export_register_kwh = models.FloatField(null=True)
    production_register_kwh = models.FloatField(null=True)
    charge_register_kwh = models.FloatField(null=True)
    discharge_register_kwh = models.FloatField(null=True)
    data_quality = models.CharField(max_length=24)
    quality_rank = models.SmallIntegerField()

    class Meta:
        ordering = ["-reading_at"]
        db_table = "plants_meterreading"

    def __str__(self) -> str:
        return f"{self.device_id} {self.reading_at.isoformat()}"
