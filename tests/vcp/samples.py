"""One full, valid message of every family, as it looks on the wire."""

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import settings

import vcp
from vcp import Family

SIGNING_KEY = "00112233445566778899aabbccddeeff" * 2
"""The fact sheet's key."""

ENVELOPE: dict[str, Any] = {
    "version": "1.1",
    "messageId": "3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "source": "ref-esm",
    "siteId": "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
    "payload": {},
}

PAYLOADS: dict[Family, dict[str, Any]] = {
    Family.COMMAND_SITE_SETPOINT: {
        "type": "ENERGY",
        "targetValueKw": 40.5,
        "targetValueKwh": 10.0,
        "intervalMinutes": 15,
        "direction": "IMPORT",
        "includeConsumption": False,
        "priority": "NORMAL",
        "validFrom": "2026-01-02T03:15:00.000Z",
        "validUntil": "2026-01-02T03:30:00.000Z",
    },
    Family.COMMAND_DEVICE: {
        "commands": [
            {
                "deviceId": "B1",
                "assetType": "BESS",
                "command": "BESS_CHARGE",
                "params": {"powerKw": 12.5, "respectLimits": True},
            },
            {
                "deviceId": "PV-1_A",
                "assetType": "FVE",
                "command": "FVE_REDUCE_PERCENT",
                "params": {"percent": 60.0},
            },
            {"deviceId": "B2", "assetType": "BESS", "command": "BESS_STOP"},
        ]
    },
    Family.COMMAND_EMERGENCY: {"type": "STOP", "reason": "smoke in the battery room"},
    Family.COMMAND_MODE: {
        "mode": "ZERO_EXPORT",
        "reason": "Přetok – limit 50 %",
        "validUntil": "2026-01-02T04:00:00.000Z",
    },
    Family.CONFIG_CONSTRAINTS: {
        "maxImportKw": 100.0,
        "maxExportKw": 50.0,
        "socMinPercent": 10.0,
        "socMaxPercent": 95.0,
        "maxChargeKw": 50.0,
        "maxDischargeKw": 50.0,
    },
    Family.CONFIG_TOPOLOGY: {
        "assets": [
            {
                "deviceId": "B1",
                "assetType": "BESS",
                "name": "Baterie",
                "ratedPowerKw": 50.0,
                "capacityKwh": 100.0,
            },
            {"deviceId": "M1", "assetType": "METER"},
        ]
    },
    Family.CONFIG_FALLBACK: {"mode": "STANDARD", "afterSeconds": 900},
    Family.SCHEDULE_CREATE: {
        "scheduleId": "b7000000-0000-4000-8000-000000000001",
        "priority": "NORMAL",
        "slots": [
            {
                "from": "2026-01-02T04:00:00.000Z",
                "to": "2026-01-02T04:15:00.000Z",
                "type": "POWER",
                "targetValueKw": 20.0,
                "direction": "EXPORT",
                "includeConsumption": True,
            },
            {
                "from": "2026-01-02T04:15:00.000Z",
                "to": "2026-01-02T04:30:00.000Z",
                "type": "ENERGY",
                "targetValueKwh": 5.0,
                "direction": "IMPORT",
                "includeConsumption": False,
            },
        ],
    },
    Family.SCHEDULE_CANCEL: {"scheduleId": "b7000000-0000-4000-8000-000000000001", "reason": "replanned"},
    Family.EVENT_TELEMETRY_REALTIME: {
        "gridPowerKw": 1.25,
        "fvePowerKw": 3.5,
        "batteryPowerKw": -5.25,
        "consumptionPowerKw": 10.0,
        "socPercent": 61.5,
        "availableBatteryEnergyKwh": 50.5,
        "batteryTemperatureCelsius": -3.5,
        "currentOperatingMode": "STANDARD",
        "dataQuality": "GOOD",
        "devices": [
            {"deviceId": "B1", "assetType": "BESS", "powerKw": -5.0, "socPercent": 61.0, "status": "ONLINE"}
        ],
    },
    Family.EVENT_TELEMETRY_METER: {
        "readingAt": "2026-01-02T03:04:00.000Z",
        "dataQuality": "GOOD",
        "meters": [
            {
                "deviceId": "M1",
                "role": "GRID",
                "importRegisterKwh": 1234.5,
                "exportRegisterKwh": 99.25,
                "productionRegisterKwh": 2.5,
                "chargeRegisterKwh": 3.5,
                "dischargeRegisterKwh": 4.5,
            }
        ],
    },
    Family.EVENT_COMMAND_ACK: {
        "status": "PARTIAL",
        "commandType": "device",
        "message": "one of two",
        "rejectionCode": "DEVICE_FAULT",
        "results": [
            {"deviceId": "B1", "status": "ACCEPTED"},
            {"deviceId": "B2", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT", "message": "inverter"},
        ],
    },
    Family.EVENT_EXECUTION: {
        "commandType": "site-setpoint",
        "status": "DEVIATED",
        "actualValueKw": 18.5,
        "targetValueKw": 20.0,
        "deviationKw": -1.5,
        "reason": "cloud",
    },
    Family.EVENT_ALARM: {
        "alarmId": "a1",
        "severity": "WARNING",
        "code": "CONSTRAINT_VIOLATION",
        "message": "export above the limit",
        "deviceId": "M1",
        "raisedAt": "2026-01-02T03:04:05.000Z",
        "clearedAt": "2026-01-02T03:05:05.000Z",
        "actualValue": 51.5,
        "expectedValue": "<= 50",
        "breachedField": "maxExportKw",
        "tolerancePercent": 2.5,
        "metadata": {"window": {"s": 60}},
    },
    Family.EVENT_MODE: {
        "mode": "PEAK_SHAVING",
        "previousMode": "STANDARD",
        "reason": "tariff",
        "validUntil": "2026-01-02T04:00:00.000Z",
    },
    Family.EVENT_SCHEDULE: {
        "scheduleId": "b7000000-0000-4000-8000-000000000001",
        "status": "ACTIVE",
        "reason": "due",
    },
}

Mutation = Callable[[dict[str, Any]], object]


def payload_of(family: Family, *mutations: Mutation, **members: Any) -> dict[str, Any]:
    """A copy of the family's sample, some members replaced, then changed in place."""
    payload = copy.deepcopy(PAYLOADS[family])
    payload.update(members)
    for mutation in mutations:
        mutation(payload)
    return payload


def without(payload: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name not in names}


def body_of(**members: Any) -> bytes:
    """An envelope's bytes, some members replaced."""
    return json.dumps({**ENVELOPE, **members}).encode()


def failure(family: Family, payload: Any) -> vcp.ProtocolError:
    """The error that parsing this payload ends in."""
    try:
        parsed = vcp.parse_payload(family, payload)
    except vcp.ProtocolError as error:
        return error
    raise AssertionError(f"parsed as {parsed}")


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def set_at(document: Any, path: tuple[str | int, ...], value: Any) -> None:
    value_at(document, path[:-1])[path[-1]] = value


def delete_at(document: Any, path: tuple[str | int, ...]) -> None:
    del value_at(document, path[:-1])[path[-1]]


def dotted(path: tuple[str | int, ...]) -> str:
    """("commands", 2, "deviceId") as an error names it: payload.commands[2].deviceId."""
    return "payload" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


same_every_run = settings(derandomize=True, deadline=None, max_examples=500, database=None)
"""For property tests: no chance in CI, and seconds at most."""
