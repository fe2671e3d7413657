"""What a site reports: its present powers, and its meters' registers.

consumption = grid + fve - battery holds for the reported (rounded) values too: the grid's is made from the
others.
"""

from datetime import datetime

from vcp import (
    AssetType,
    DataQuality,
    DeviceStatus,
    DeviceTelemetry,
    MeterRegisters,
    MeterTelemetry,
    RealtimeTelemetry,
)
from voke_sim.faults import FaultBoard, FaultKind
from voke_sim.interpretation import BATTERY_ROLE, GRID_METER_ID, GRID_ROLE, PV_ROLE
from voke_sim.physics.battery import SocLimits, available_kwh
from voke_sim.site import Site

_DIGITS = 3


def realtime(site: Site, faults: FaultBoard) -> RealtimeTelemetry:
    """The site's present values; what it has no device for stays absent."""
    plant = site.plant
    load_kw = round(plant.load_kw, _DIGITS)
    fve_kw = round(plant.pv_total_kw, _DIGITS) if site.pv else None
    battery_kw = round(plant.battery_total_kw, _DIGITS) if site.batteries else None
    grid_kw = round(load_kw - (fve_kw or 0.0) + (battery_kw or 0.0), _DIGITS)
    return RealtimeTelemetry(
        grid_power_kw=grid_kw,
        fve_power_kw=fve_kw,
        battery_power_kw=battery_kw,
        consumption_power_kw=load_kw,
        soc_pct=_soc_pct(site),
        available_battery_energy_kwh=_available_kwh(site),
        battery_temperature_c=_temperature_c(site),
        current_operating_mode=site.state.mode.mode.value,
        data_quality=DataQuality.GOOD.value,
        devices=tuple(_devices(site, faults, grid_kw)),
    )


def meter(site: Site, reading_at: datetime) -> MeterTelemetry:
    """The registers of the site's meters at that moment; they only grow."""
    plant = site.plant
    meters = [
        MeterRegisters(
            device_id=_grid_meter_id(site),
            role=GRID_ROLE,
            import_register_kwh=round(plant.grid_register.positive_kwh, _DIGITS),
            export_register_kwh=round(plant.grid_register.negative_kwh, _DIGITS),
        )
    ]
    meters += [
        MeterRegisters(
            device_id=name,
            role=PV_ROLE,
            production_register_kwh=round(register.positive_kwh, _DIGITS),
        )
        for name, register in plant.pv_registers.items()
    ]
    meters += [
        MeterRegisters(
            device_id=name,
            role=BATTERY_ROLE,
            charge_register_kwh=round(register.positive_kwh, _DIGITS),
            discharge_register_kwh=round(register.negative_kwh, _DIGITS),
        )
        for name, register in plant.battery_registers.items()
    ]
    return MeterTelemetry(reading_at=reading_at, data_quality=DataQuality.GOOD.value, meters=tuple(meters))


def _soc_pct(site: Site) -> float | None:
    """State of charge of all batteries, weighted by capacity."""
    capacity = sum(battery.capacity_kwh for battery in site.batteries.values())
    if not capacity:
        return None
    stored = sum(
        battery.capacity_kwh * site.plant.batteries[name].soc_pct for name, battery in site.batteries.items()
    )
    return round(min(100.0, stored / capacity), 2)


def _available_kwh(site: Site) -> float | None:
    if not site.batteries:
        return None
    limits = SocLimits(low_pct=site.constraints.soc_min_pct or 0.0)
    return round(
        sum(
            available_kwh(battery, site.plant.batteries[name], limits)
            for name, battery in site.batteries.items()
        ),
        _DIGITS,
    )


def _temperature_c(site: Site) -> float | None:
    return max((round(state.temperature_c, 1) for state in site.plant.batteries.values()), default=None)


def _grid_meter_id(site: Site) -> str:
    meters = [other.device_id for other in site.config.others if other.asset_type is AssetType.METER]
    return meters[0] if meters else GRID_METER_ID


def _devices(site: Site, faults: FaultBoard, grid_kw: float) -> list[DeviceTelemetry]:
    plant, devices = site.plant, list[DeviceTelemetry]()
    for name, battery in plant.batteries.items():
        devices.append(
            DeviceTelemetry(
                device_id=name,
                asset_type=AssetType.BESS.value,
                power_kw=round(battery.power_kw, _DIGITS),
                soc_pct=round(battery.soc_pct, 2),
                status=_status(site, faults, name),
            )
        )
    for name, power_kw in plant.pv_kw.items():
        devices.append(
            DeviceTelemetry(
                device_id=name,
                asset_type=site.pv[name].asset_type.value,
                power_kw=round(power_kw, _DIGITS),
                status=_status(site, faults, name),
            )
        )
    for other in site.config.others:
        is_meter = other.asset_type is AssetType.METER
        devices.append(
            DeviceTelemetry(
                device_id=other.device_id,
                asset_type=other.asset_type.value,
                power_kw=grid_kw if is_meter else other.power_kw,
                status=_status(site, faults, other.device_id),
            )
        )
    return devices


def _status(site: Site, faults: FaultBoard, device_id: str) -> str:
    if faults.for_device(FaultKind.DEVICE_OFFLINE, site.names, device_id):
        return DeviceStatus.OFFLINE.value
    if faults.for_device(FaultKind.DEVICE_FAULT, site.names, device_id):
        return DeviceStatus.DEGRADED.value
    return DeviceStatus.ONLINE.value
