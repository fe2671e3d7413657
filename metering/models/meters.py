"""Energy from meter registers: per quarter-hour, hour and local day of each meter, and what happened to its registers.

A register is absolute and grows. The energy between two readings is their difference, spread evenly over the time
between them; the sum over intervals is what the register counted. Where a register fell or leapt (`RegisterEvent`) the
difference is decided by what happened. None = nothing is known.
"""

from django.db import models

from plants.models import Plant


class RegisterKind(models.TextChoices):
    """The registers a meter may have; the energy column is the value in lower case with `_kwh`."""

    IMPORT = "IMPORT", "Import"
    EXPORT = "EXPORT", "Export"
    PRODUCTION = "PRODUCTION", "Production"
    CHARGE = "CHARGE", "Charge"
    DISCHARGE = "DISCHARGE", "Discharge"


class Meter(models.Model):
    """A meter of a plant: which registers it was ever heard of. Written by the roll-up, never taken back."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="meters")
    device_id = models.CharField(max_length=128)
    registers = models.PositiveSmallIntegerField(
        help_text="One bit for each register in the order of `metering.registers.REGISTERS`."
    )

    class Meta:
        ordering = ["plant", "device_id"]
        constraints = [models.UniqueConstraint(fields=["plant", "device_id"], name="meter_once")]

    def __str__(self) -> str:
        return self.device_id


class MeterRollup(models.Model):
    """Energy that one meter counted within [start_at, end), never negative."""

    device_id = models.CharField(max_length=128)
    role = models.CharField(max_length=40, blank=True)
    import_kwh = models.FloatField(null=True)
    export_kwh = models.FloatField(null=True)
    production_kwh = models.FloatField(null=True)
    charge_kwh = models.FloatField(null=True)
    discharge_kwh = models.FloatField(null=True)
    readings = models.IntegerField(help_text="Readings within the interval.")
    covered_s = models.FloatField(
        help_text="Seconds between readings that are no further apart than expected."
    )
    coverage_pct = models.FloatField()
    quality_rank = models.SmallIntegerField(
        null=True, help_text="Of the worst reading that counts here; 3 = GOOD."
    )
    estimated = models.BooleanField(
        default=False, help_text="Some of it was spread over a hole between readings, or decided by an event."
    )
    events = models.CharField(max_length=60, blank=True, help_text="RESET, ROLLOVER, EXCHANGE, by commas.")
    computed_at = models.DateTimeField()

    class Meta:
        abstract = True


class MeterQuarter(MeterRollup):
    """A quarter-hour, by (plant, device, start). Partitioned by month on PostgreSQL, where these are the real key."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    start_at = models.DateTimeField()

    class Meta:
        ordering = ["start_at"]
        db_table = "metering_meterquarter"

    def __str__(self) -> str:
        return f"{self.device_id} {self.start_at.isoformat()}"


class MeterHour(MeterRollup):
    """An hour, by (plant, device, start). Partitioned by month on PostgreSQL, where these are the real key."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    start_at = models.DateTimeField()

    class Meta:
        ordering = ["start_at"]
        db_table = "metering_meterhour"

    def __str__(self) -> str:
        return f"{self.device_id} {self.start_at.isoformat()}"


class MeterDay(MeterRollup):
    """A local day of the plant."""

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="meter_days")
    day = models.DateField(help_text="In the plant's time zone.")
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["plant", "device_id", "day"], name="meter_day_once")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.day.isoformat()}"


class RegisterEvent(models.Model):
    """A register fell or leapt between two readings: what we take it for, and the energy that we count for it.

    A person may decide otherwise (`decided_by_name`); that decision stays when the interval is computed again. IGNORED
    is decided by people alone: no event, the energy counts as plain consumption.
    """

    class Kind(models.TextChoices):
        RESET = "RESET", "Reset: it began again at zero"
        ROLLOVER = "ROLLOVER", "Rollover: it ran over its last digit"
        EXCHANGE = "EXCHANGE", "Exchange: another meter, or another beginning"
        IGNORED = "IGNORED", "Ignored: nothing happened to the meter"

    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="register_events")
    device_id = models.CharField(max_length=128)
    register = models.CharField(max_length=10, choices=RegisterKind)
    kind = models.CharField(max_length=8, choices=Kind)
    before_at = models.DateTimeField(help_text="Last reading before it.")
    after_at = models.DateTimeField(help_text="First reading after it.")
    before_kwh = models.FloatField()
    after_kwh = models.FloatField()
    energy_kwh = models.FloatField(null=True, help_text="Counted between the two; empty = not known.")
    found_at = models.DateTimeField()
    decided_by_name = models.CharField(
        max_length=150, blank=True, help_text="A person; empty = our own judgement."
    )
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-after_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["plant", "device_id", "register", "after_at"], name="register_event_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.device_id} {self.register}"
