"""Rollups of realtime telemetry: quarter-hours, hours and local days of each plant.

A sample counts from its own moment to the next sample's, at most 1.5 expected periods (`StreamPeriod`), and from there
on nothing is known: that time is not covered. So means are weighted by time, energies are integrals, and both tell no
more than what was measured. Values that Voke sent as null, and samples of quality MISSING, cover nothing.

Signs as in docs/glossary.md; energies are split by direction and never negative. Hours and days are sums of their
quarter-hours, which begin on every local midnight there is: all zones are offset by multiples of 15 minutes.
"""

from django.db import models

from plants.models import Plant


class TelemetryRollup(models.Model):
    """What a plant measured within [start_at, end).

    `{measure}_s`: seconds for which the measure is known; `_last`: its newest value within; None = never known.
    """

    samples = models.IntegerField(help_text="Samples measured within the interval.")
    covered_s = models.FloatField(help_text="Seconds for which any sample speaks.")
    coverage_pct = models.FloatField(help_text="Share of the interval that is covered.")
    good_s = models.FloatField(help_text="Covered seconds with data quality GOOD.")
    quality_rank = models.SmallIntegerField(
        null=True, help_text="Of the worst sample that counts here; 3 = GOOD."
    )

    grid_power_kw_s = models.FloatField(default=0)
    grid_power_kw_min = models.FloatField(null=True)
    grid_power_kw_max = models.FloatField(null=True)
    grid_power_kw_mean = models.FloatField(null=True)
    grid_power_kw_last = models.FloatField(null=True)
    fve_power_kw_s = models.FloatField(default=0)
    fve_power_kw_min = models.FloatField(null=True)
    fve_power_kw_max = models.FloatField(null=True)
    fve_power_kw_mean = models.FloatField(null=True)
    fve_power_kw_last = models.FloatField(null=True)
    battery_power_kw_s = models.FloatField(default=0)
    battery_power_kw_min = models.FloatField(null=True)
    battery_power_kw_max = models.FloatField(null=True)
    battery_power_kw_mean = models.FloatField(null=True)
    battery_power_kw_last = models.FloatField(null=True)
    consumption_power_kw_s = models.FloatField(default=0)
    consumption_power_kw_min = models.FloatField(null=True)
    consumption_power_kw_max = models.FloatField(null=True)
    consumption_power_kw_mean = models.FloatField(null=True)
    consumption_power_kw_last = models.FloatField(null=True)
    soc_pct_s = models.FloatField(default=0)
    soc_pct_min = models.FloatField(null=True)
    soc_pct_max = models.FloatField(null=True)
    soc_pct_mean = models.FloatField(null=True)
    soc_pct_last = models.FloatField(null=True)
    available_battery_energy_kwh_s = models.FloatField(default=0)
    available_battery_energy_kwh_min = models.FloatField(null=True)
    available_battery_energy_kwh_max = models.FloatField(null=True)
    available_battery_energy_kwh_mean = models.FloatField(null=True)
    available_battery_energy_kwh_last = models.FloatField(null=True)
    battery_temperature_c_s = models.FloatField(default=0)
    battery_temperature_c_min = models.FloatField(null=True)
    battery_temperature_c_max = models.FloatField(null=True)
    battery_temperature_c_mean = models.FloatField(null=True)
    battery_temperature_c_last = models.FloatField(null=True)

    grid_import_kwh = models.FloatField(null=True)
    grid_export_kwh = models.FloatField(null=True)
    fve_kwh = models.FloatField(null=True)
    charge_kwh = models.FloatField(null=True)
    discharge_kwh = models.FloatField(null=True)
    consumption_kwh = models.FloatField(null=True)

    computed_at = models.DateTimeField()

    class Meta:
        abstract = True


class TelemetryQuarter(TelemetryRollup):
    """A quarter-hour, by (plant, start). Partitioned by month on PostgreSQL, where that pair is the real key."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    start_at = models.DateTimeField()

    class Meta:
        ordering = ["start_at"]
        db_table = "metering_telemetryquarter"

    def __str__(self) -> str:
        return f"{self.plant_id} {self.start_at.isoformat()}"


class TelemetryHour(TelemetryRollup):
    """An hour, by (plant, start). Partitioned by month on PostgreSQL, where that pair is the real key."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    start_at = models.DateTimeField()

    class Meta:
        ordering = ["start_at"]
        db_table = "metering_telemetryhour"

    def __str__(self) -> str:
        return f"{self.plant_id} {self.start_at.isoformat()}"


class TelemetryDay(TelemetryRollup):
    """A local day of the plant: 23, 24 or 25 hours, or what its zone has."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="telemetry_days")
    day = models.DateField(help_text="In the plant's time zone.")
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["plant", "day"], name="telemetry_day_once")]

    def __str__(self) -> str:
        return f"{self.plant_id} {self.day.isoformat()}"
