"""One pass and one refusal for each rule of the measurements."""

from datetime import UTC, datetime

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, failure, payload_of, set_at
from vcp import Family

REALTIME = Family.EVENT_TELEMETRY_REALTIME
METER = Family.EVENT_TELEMETRY_METER


def realtime(payload: dict[str, object]) -> vcp.RealtimeTelemetry:
    parsed = vcp.parse_payload(REALTIME, payload)
    assert isinstance(parsed, vcp.RealtimeTelemetry)
    return parsed


def test_all_values_read_in_their_units() -> None:
    parsed = realtime(PAYLOADS[REALTIME])

    assert parsed == vcp.RealtimeTelemetry(
        grid_power_kw=1.25,
        fve_power_kw=3.5,
        battery_power_kw=-5.25,
        consumption_power_kw=10.0,
        soc_pct=61.5,
        available_battery_energy_kwh=50.5,
        battery_temperature_c=-3.5,
        current_operating_mode="STANDARD",
        data_quality="GOOD",
        devices=(
            vcp.DeviceTelemetry(
                device_id="B1",
                asset_type="BESS",
                power_kw=-5.0,
                soc_pct=61.0,
                status="ONLINE",
                raw=PAYLOADS[REALTIME]["devices"][0],
            ),
        ),
    )


def test_a_site_without_a_battery_sends_nulls() -> None:
    parsed = realtime(
        {
            "gridPowerKw": -2,
            "fvePowerKw": 2,
            "batteryPowerKw": None,
            "socPercent": None,
            "dataQuality": "GOOD",
        }
    )

    assert (parsed.grid_power_kw, parsed.battery_power_kw, parsed.soc_pct) == (-2.0, None, None)


@pytest.mark.parametrize("value", [-0.01, 100.01])
def test_a_state_of_charge_lies_between_0_and_100(value: float) -> None:
    site = failure(REALTIME, payload_of(REALTIME, socPercent=value))
    device = failure(
        REALTIME, payload_of(REALTIME, lambda payload: set_at(payload, ("devices", 0, "socPercent"), value))
    )

    assert (site.code, site.path) == ("INVALID_VALUE", "payload.socPercent")
    assert (device.code, device.path) == ("INVALID_VALUE", "payload.devices[0].socPercent")


@pytest.mark.parametrize("value", [0, 100])
def test_the_ends_of_the_state_of_charge_are_inside(value: float) -> None:
    assert realtime(payload_of(REALTIME, socPercent=value)).soc_pct == value


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ("GOOD", vcp.DataQuality.GOOD),
        ("STALE", vcp.DataQuality.STALE),
        ("ESTIMATED", vcp.Unknown("ESTIMATED")),
        ("", vcp.Unknown("")),
    ],
)
def test_a_quality_new_to_us_survives_as_unknown(quality: str, expected: object) -> None:
    parsed = realtime(payload_of(REALTIME, dataQuality=quality))

    assert vcp.known(vcp.DataQuality, parsed.data_quality) == expected


def test_modes_asset_types_and_device_states_new_to_us_survive() -> None:
    device = {"deviceId": "h-1", "assetType": "HYDROGEN", "status": "DREAMING"}

    parsed = realtime({"dataQuality": "GOOD", "currentOperatingMode": "TURBO", "devices": [device]})

    assert (parsed.current_operating_mode, parsed.devices[0].asset_type) == ("TURBO", "HYDROGEN")
    assert parsed.devices[0].status == "DREAMING"


def test_a_word_too_long_for_a_database_key_is_refused() -> None:
    error = failure(REALTIME, payload_of(REALTIME, dataQuality="G" * 129))

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.dataQuality")


def test_a_device_keeps_the_members_that_are_unknown_to_us() -> None:
    device = {"deviceId": "B1", "powerKw": 1.0, "cells": [1, 2], "raw": "its own raw"}

    parsed = realtime({"dataQuality": "GOOD", "devices": [device]})

    assert parsed.devices[0].raw == device
    assert vcp.to_wire(parsed)["devices"] == [device]


def test_a_device_built_in_python_goes_out_without_its_raw() -> None:
    sent = vcp.RealtimeTelemetry(
        data_quality="GOOD", devices=(vcp.DeviceTelemetry(device_id="B1", power_kw=2.0),)
    )

    assert vcp.to_wire(sent)["devices"] == [{"deviceId": "B1", "powerKw": 2.0}]


@pytest.mark.parametrize("devices", [None, []])
def test_a_site_may_report_no_devices(devices: object) -> None:
    assert realtime(payload_of(REALTIME, devices=devices)).devices == ()


def test_registers_read_in_kwh_at_the_reading_time() -> None:
    parsed = vcp.parse_payload(METER, PAYLOADS[METER])

    assert parsed == vcp.MeterTelemetry(
        reading_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        data_quality="GOOD",
        meters=(
            vcp.MeterRegisters(
                device_id="M1",
                role="GRID",
                import_register_kwh=1234.5,
                export_register_kwh=99.25,
                production_register_kwh=2.5,
                charge_register_kwh=3.5,
                discharge_register_kwh=4.5,
            ),
        ),
    )


def test_a_meter_sends_only_the_registers_it_has() -> None:
    payload = payload_of(METER, meters=[{"deviceId": "M1", "importRegisterKwh": 0}])

    parsed = vcp.parse_payload(METER, payload)

    assert isinstance(parsed, vcp.MeterTelemetry)
    assert parsed.meters[0] == vcp.MeterRegisters(device_id="M1", import_register_kwh=0.0)


@pytest.mark.parametrize("name", ["importRegisterKwh", "exportRegisterKwh", "productionRegisterKwh"])
def test_a_register_is_never_negative(name: str) -> None:
    error = failure(METER, payload_of(METER, meters=[{"deviceId": "M1", name: -0.5}]))

    assert (error.code, error.path) == ("INVALID_VALUE", f"payload.meters[0].{name}")


@pytest.mark.parametrize("device_id", ["", "M" * 129])
def test_a_device_id_has_one_to_128_characters(device_id: str) -> None:
    meter = failure(METER, payload_of(METER, meters=[{"deviceId": device_id}]))
    device = failure(REALTIME, payload_of(REALTIME, devices=[{"deviceId": device_id}]))

    assert (meter.code, meter.path) == ("INVALID_VALUE", "payload.meters[0].deviceId")
    assert (device.code, device.path) == ("INVALID_VALUE", "payload.devices[0].deviceId")
