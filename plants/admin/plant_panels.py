"""The read-only panels of a plant's page: what it last reported, what is wrong, how its blocks came to be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from plants.admin.looks import severity_chip
from plants.admin.marks import NO_DATA, ago, fresh, link, moment
from plants.models import Alarm, Plant, PlantState, TimeConfigVersion
from plants.selectors.overview import open_alarms_of, versions_of
from plants.words import (
    Freshness,
    battery_text,
    consumption_text,
    energy_text,
    freshness,
    grid_text,
    label_text,
    percent_text,
    production_text,
)

DEVICES_SHOWN = 50
_DEVICE_WORDS = {
    "BESS": battery_text,
    "FVE": production_text,
    "INVERTER": production_text,
    "METER": grid_text,
}


def plant_panels(plant: Plant, *, at: datetime) -> dict[str, Any]:
    """Everything that the change form's template shows around the form."""
    state: PlantState | None = getattr(plant, "state", None)
    return {
        "state_facts": state_facts(plant, state, at=at),
        "stale": state is not None and freshness(state.measured_at, at=at) is Freshness.OLD,
        "state_fresh": fresh(None if state is None else state.measured_at, now=at),
        "device_rows": [] if state is None else device_rows(state.devices),
        "alarm_rows": [alarm_row(alarm, plant, at=at) for alarm in open_alarms_of(plant_id=plant.pk)],
        "version_rows": [version_row(version, plant) for version in versions_of(plant_id=plant.pk)],
    }


def state_facts(plant: Plant, state: PlantState | None, *, at: datetime) -> Sequence[tuple[str, object]]:
    """The newest sample in words, with the mode that Voke last reported."""
    if state is None or state.measured_at is None:
        facts: list[tuple[str, object]] = [("Telemetry", NO_DATA)]
    else:
        facts = [
            ("Grid", _big(grid_text(state.grid_power_kw))),
            ("PV", _big(production_text(state.fve_power_kw))),
            ("Battery", _big(battery_text(state.battery_power_kw))),
            ("Load", _big(consumption_text(state.consumption_power_kw))),
            ("State of charge", _big(percent_text(state.soc_pct))),
            ("Available energy", _energy(state.available_battery_energy_kwh)),
            ("Measured", moment(state.measured_at, zone=plant.time_zone)),
            ("Data quality", label_text(state.data_quality) if state.data_quality else NO_DATA),
        ]
    return [*facts, ("Mode", _mode(plant, state, at=at))]


def _big(text: str) -> SafeString:
    return format_html('<span class="big">{}</span>', text)


def _energy(energy_kwh: float | None) -> object:
    return NO_DATA if energy_kwh is None else energy_text(energy_kwh)


def _mode(plant: Plant, state: PlantState | None, *, at: datetime) -> SafeString:
    if state is None or not state.mode:
        return format_html("{} <small class='muted'>no mode event seen yet</small>", NO_DATA)
    since = ago(state.mode_since, now=at, zone=plant.time_zone)
    if state.mode_override_until is None:
        return format_html("{} <small class='muted'>since {}</small>", label_text(state.mode), since)
    until = moment(state.mode_override_until, zone=plant.time_zone)
    return format_html(
        "{} <small class='muted'>since {}, until {}</small>", label_text(state.mode), since, until
    )


def device_rows(devices: object) -> list[tuple[str, str, str, str, str]]:
    """(device, type, power in words, SoC, status) of device telemetry as Voke sent it; strange shapes are left out."""
    if not isinstance(devices, list):
        return []
    return [_device_row(device) for device in devices[:DEVICES_SHOWN] if isinstance(device, Mapping)]


def _device_row(device: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    kind = str(device.get("assetType") or "")
    words = _DEVICE_WORDS.get(kind, consumption_text)
    return (
        str(device.get("deviceId") or "")[:128],
        kind[:40],
        words(_number(device.get("powerKw"))),
        percent_text(_number(device.get("socPercent"))) if "socPercent" in device else "",
        label_text(str(device.get("status") or "")[:40]),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def alarm_row(alarm: Alarm, plant: Plant, *, at: datetime) -> tuple[SafeString, SafeString, str, SafeString]:
    """(severity, code, message, raised)."""
    return (
        severity_chip(alarm.severity),
        link(alarm, label_text(alarm.code)),
        alarm.text,
        ago(alarm.raised_at, now=at, zone=plant.time_zone),
    )


def version_row(version: TimeConfigVersion, plant: Plant) -> dict[str, object]:
    """One version with who made it and what changed."""
    return {
        "number": version.number,
        "current": version.pk == plant.time_config_id,
        "made": moment(version.made_at, zone=plant.time_zone),
        "by": version.made_by_name,
        "origin": version.get_origin_display(),
        "changes": version.changes if isinstance(version.changes, list) else [],
    }
