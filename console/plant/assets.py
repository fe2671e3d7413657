"""The plant's devices as a list: what each of them measures now, what is wrong with it; those with a fault first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.translation import gettext, gettext_noop

from console.plant.flow import Chargers
from console.words import battery_word
from plants.models import Alarm, Asset, PlantState
from plants.words import IDLE_BELOW_KW, label_text
from vcp import AssetType, DeviceStatus

SHOWN = 7
MOST = 64


class _Drawn(NamedTuple):
    icon: str
    hue: str


_DRAWN: Mapping[str, _Drawn] = {
    AssetType.BESS: _Drawn(icon="battery-charging", hue="chg"),
    AssetType.FVE: _Drawn(icon="solar-panel", hue="pv"),
    AssetType.INVERTER: _Drawn(icon="solar-panel", hue="pv"),
    AssetType.EV_CHARGER: _Drawn(icon="ev-charger", hue="ev"),
    AssetType.METER: _Drawn(icon="circle-gauge", hue="load"),
    AssetType.HEAT_PUMP: _Drawn(icon="heater", hue="load"),
    AssetType.THERMOSTAT: _Drawn(icon="thermometer", hue="load"),
}
_PLUG = _Drawn(icon="plug", hue="load")
_NAMES: Mapping[str, str] = {
    AssetType.BESS: gettext_noop("Battery"),
    AssetType.FVE: gettext_noop("PV"),
    AssetType.INVERTER: gettext_noop("Inverter"),
    AssetType.EV_CHARGER: gettext_noop("Charger"),
    AssetType.METER: gettext_noop("Meter"),
    AssetType.HEAT_PUMP: gettext_noop("Heat pump"),
    AssetType.THERMOSTAT: gettext_noop("Thermostat"),
    AssetType.GENERIC: gettext_noop("Device"),
}
_SORTED = (
    AssetType.FVE.value, AssetType.INVERTER.value, AssetType.BESS.value, AssetType.EV_CHARGER.value,
    AssetType.HEAT_PUMP.value, AssetType.THERMOSTAT.value, AssetType.METER.value,
)  # fmt: skip
_WELL = frozenset({"", DeviceStatus.ONLINE.value, DeviceStatus.UNKNOWN.value})
_BROKEN = frozenset({DeviceStatus.OFFLINE.value, "FAULT", "ERROR"})


@dataclass(frozen=True, kw_only=True)
class AssetLine:
    """One device. `tells`: its telemetry has come at all; `fault`: a word, `family`: how bad it is; '' = nothing."""

    icon: str
    hue: str
    kind: str
    name: str
    external_id: str
    rated_power_kw: float | None
    power_kw: float | None
    soc_pct: float | None
    word: str
    fault: str
    family: str
    why: str
    tells: bool
    order: int

    @property
    def is_meter(self) -> bool:
        return self.order == _SORTED.index(AssetType.METER.value)


def asset_lines(
    assets: Sequence[Asset], state: PlantState | None, alarms: Iterable[Alarm]
) -> list[AssetLine]:
    """Every declared device, then those that only telemetry knows."""
    told = _told(state)
    raised: dict[str, Alarm] = {}
    for alarm in alarms:
        if alarm.device_id:
            raised.setdefault(alarm.device_id, alarm)
    lines = [
        _line(
            asset.external_id,
            asset.asset_type,
            asset.name,
            asset.rated_power_kw,
            told.get(asset.external_id),
            raised.get(asset.external_id),
        )
        for asset in assets
    ]
    declared = {asset.external_id for asset in assets}
    for device_id, item in told.items():
        if device_id not in declared:
            kind = str(item.get("assetType") or AssetType.GENERIC.value)
            lines.append(_line(device_id, kind, "", None, item, raised.get(device_id)))
    return sorted(lines, key=lambda line: (not line.fault, line.order))


def chargers_of(assets: Sequence[Asset], state: PlantState | None) -> Chargers:
    """The EV chargers together; their power is known where each that is reachable tells it."""
    told = _told(state)
    ids = [asset.external_id for asset in assets if asset.asset_type == AssetType.EV_CHARGER]
    powers = [power for power in (_number(told.get(one, {}), "powerKw") for one in ids) if power is not None]
    return Chargers(
        count=len(ids),
        charging=sum(abs(power) >= IDLE_BELOW_KW for power in powers),
        power_kw=sum(abs(power) for power in powers) if powers else None,
    )


def _told(state: PlantState | None) -> dict[str, Mapping[str, Any]]:
    """Device telemetry by device; what has another shape than we know is left out."""
    items = state.devices if state is not None and isinstance(state.devices, list) else []
    return {
        str(item["deviceId"]): item
        for item in items[:MOST]
        if isinstance(item, Mapping) and "deviceId" in item
    }


def _line(
    external_id: str,
    kind: str,
    name: str,
    rated_kw: float | None,
    item: Mapping[str, Any] | None,
    alarm: Alarm | None,
) -> AssetLine:
    icon, hue = _DRAWN.get(kind, _PLUG)
    power_kw = None if item is None else _number(item, "powerKw")
    word = ""
    if kind == AssetType.BESS:
        word = battery_word(power_kw)
        hue = "dis" if power_kw is not None and power_kw < 0 else "chg"
    status = "" if item is None else str(item.get("status") or "")
    fault, family, why = _fault(status, alarm)
    return AssetLine(
        icon=icon,
        hue=hue,
        kind=gettext(_NAMES[kind]) if kind in _NAMES else label_text(kind),
        name=name or (gettext(_NAMES[kind]) if kind in _NAMES else label_text(kind)),
        external_id=external_id,
        rated_power_kw=rated_kw,
        power_kw=power_kw,
        soc_pct=None if item is None else _number(item, "socPercent"),
        word=word,
        fault=fault,
        family=family,
        why=why,
        tells=item is not None,
        order=_SORTED.index(kind) if kind in _SORTED else len(_SORTED),
    )


def _fault(status: str, alarm: Alarm | None) -> tuple[str, str, str]:
    """(word, family, why): an alarm of the device, else its own status when that is no good one."""
    if alarm is not None:
        family = "doubt" if alarm.severity in ("INFO", "WARNING") else "fail"
        return label_text(alarm.code), family, alarm.text or label_text(alarm.code)
    if status in _WELL:
        return "", "", ""
    return label_text(status), "fail" if status in _BROKEN else "doubt", gettext("The device says so itself")


def _number(item: Mapping[str, Any], name: str) -> float | None:
    value = item.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
