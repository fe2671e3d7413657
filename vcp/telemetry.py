"""Measurements that Voke sends [pub telemetry-ingress, ean-addressing].

Signs: grid power + = import, battery power + = charging. Powers are kW, energies and registers kWh, SoC
percent. None = not measured.
"""

from typing import Any, ClassVar

from msgspec import field

from vcp.structs import Id, NonNegative, Number, Percent, Time, WireStruct, Word


class DeviceTelemetry(WireStruct, frozen=True, kw_only=True):
    """One sub-device's values. Interpretation: the item's shape is not public; `raw` keeps every member."""

    RAW: ClassVar[str | None] = "raw"

    device_id: Id = field(name="deviceId")
    asset_type: Word | None = field(name="assetType", default=None)
    power_kw: Number | None = field(name="powerKw", default=None)
    soc_pct: Percent | None = field(name="socPercent", default=None)
    status: Word | None = field(name="status", default=None)
    raw: dict[str, Any] = field(default_factory=dict)
    """The item as received, unknown members included."""


class RealtimeValues(WireStruct, frozen=True, kw_only=True):
    """A site's present state without its devices; the envelope's timestamp says when."""

    grid_power_kw: Number | None = field(name="gridPowerKw", default=None)
    fve_power_kw: Number | None = field(name="fvePowerKw", default=None)
    battery_power_kw: Number | None = field(name="batteryPowerKw", default=None)
    consumption_power_kw: Number | None = field(name="consumptionPowerKw", default=None)
    soc_pct: Percent | None = field(name="socPercent", default=None)
    available_battery_energy_kwh: Number | None = field(name="availableBatteryEnergyKwh", default=None)
    battery_temperature_c: Number | None = field(name="batteryTemperatureCelsius", default=None)
    current_operating_mode: Word | None = field(name="currentOperatingMode", default=None)
    data_quality: Word = field(name="dataQuality")


class RealtimeTelemetry(RealtimeValues, frozen=True, kw_only=True):
    """A site's present state, and its devices'."""

    devices: tuple[DeviceTelemetry, ...] = field(name="devices", default=())


class MeterRegisters(WireStruct, frozen=True, kw_only=True):
    """One meter's absolute, monotonic registers in kWh; None = the meter has no such register."""

    device_id: Id = field(name="deviceId")
    role: Word | None = field(name="role", default=None)
    import_register_kwh: NonNegative | None = field(name="importRegisterKwh", default=None)
    export_register_kwh: NonNegative | None = field(name="exportRegisterKwh", default=None)
    production_register_kwh: NonNegative | None = field(name="productionRegisterKwh", default=None)
    charge_register_kwh: NonNegative | None = field(name="chargeRegisterKwh", default=None)
    discharge_register_kwh: NonNegative | None = field(name="dischargeRegisterKwh", default=None)


class MeterTelemetry(WireStruct, frozen=True, kw_only=True):
    """The registers of a site's meters at one moment, about once a minute."""

    reading_at: Time = field(name="readingAt")
    data_quality: Word = field(name="dataQuality")
    meters: tuple[MeterRegisters, ...] = field(name="meters")
