"""What sites report: signs, balance, rhythm, registers."""

import pytest

from tests.voke_sim.harness import DEPOT, OFFICE, ROOF, SLUG, START, Event, Partner
from vcp import Family, RealtimeTelemetry, format_timestamp, parse_payload


def reports(partner: Partner, family: Family, site: str = DEPOT) -> list[Event]:
    return [event for event in partner.of(family) if event.envelope["siteId"] == site]


def test_realtime_values_are_balanced_and_signed_as_the_protocol_says() -> None:
    partner = Partner(factor=60)
    partner.publish_topology()
    partner.device(("B1", "BESS", "BESS_CHARGE", {"powerKw": 45}))
    partner.run(60)

    for event in reports(partner, Family.EVENT_TELEMETRY_REALTIME)[1:]:
        values = event.payload
        assert values["consumptionPowerKw"] == pytest.approx(
            values["gridPowerKw"] + values["fvePowerKw"] - values["batteryPowerKw"], abs=0.0015
        )
        assert values["batteryPowerKw"] > 0  # + = charging
        assert 0 <= values["socPercent"] <= 100


def test_export_is_negative_and_import_is_positive() -> None:
    partner = Partner()
    partner.run(10)

    assert reports(partner, Family.EVENT_TELEMETRY_REALTIME)[-1].payload["gridPowerKw"] < 0
    assert reports(partner, Family.EVENT_TELEMETRY_REALTIME, OFFICE)[-1].payload["gridPowerKw"] > 0


def test_what_a_site_has_no_device_for_is_absent() -> None:
    partner = Partner()
    roof = reports(partner, Family.EVENT_TELEMETRY_REALTIME, ROOF)[0].payload
    office = reports(partner, Family.EVENT_TELEMETRY_REALTIME, OFFICE)[0].payload

    assert {"batteryPowerKw", "socPercent", "batteryTemperatureCelsius"}.isdisjoint(roof)
    assert "fvePowerKw" not in office


def test_devices_are_listed_with_their_own_values() -> None:
    partner = Partner()
    payload = reports(partner, Family.EVENT_TELEMETRY_REALTIME)[0].payload
    devices = {device["deviceId"]: device for device in payload["devices"]}

    assert set(devices) == {"B1", "B2", "PV1", "PV2", "M1"}
    assert devices["B1"] == {
        "deviceId": "B1",
        "assetType": "BESS",
        "powerKw": 0,
        "socPercent": 50,
        "status": "ONLINE",
    }
    assert devices["M1"]["powerKw"] == payload["gridPowerKw"]


def test_telemetry_comes_in_its_real_time_rhythm_whatever_the_factor() -> None:
    partner = Partner(factor=600, telemetry={"realtime_period_s": 2, "meter_period_s": 5})
    partner.run(20)

    realtime = reports(partner, Family.EVENT_TELEMETRY_REALTIME)
    assert len(realtime) == 11
    assert len(reports(partner, Family.EVENT_TELEMETRY_METER)) == 5
    assert realtime[0].envelope["timestamp"] == format_timestamp(START)
    assert realtime[-1].envelope["timestamp"] == format_timestamp(partner.at)


def test_telemetry_keys_end_in_the_site() -> None:
    partner = Partner()

    assert reports(partner, Family.EVENT_TELEMETRY_REALTIME)[0].routing_key == (
        f"{SLUG}.event.telemetry.realtime.{DEPOT}"
    )
    assert (
        reports(partner, Family.EVENT_TELEMETRY_METER)[0].routing_key
        == f"{SLUG}.event.telemetry.meter.{DEPOT}"
    )


def test_telemetry_reads_as_the_protocol_structs_say() -> None:
    partner = Partner()
    event = reports(partner, Family.EVENT_TELEMETRY_REALTIME)[0]
    parsed = parse_payload(Family.EVENT_TELEMETRY_REALTIME, event.payload)

    assert isinstance(parsed, RealtimeTelemetry)
    assert parsed.available_battery_energy_kwh == pytest.approx(63)  # 45 % of 140 kWh


def test_registers_only_grow_and_count_what_flowed() -> None:
    partner = Partner(factor=600, telemetry={"realtime_period_s": 1000, "meter_period_s": 2})
    partner.setpoint(30, "IMPORT", validUntil="2026-01-02T03:00:15.000Z")
    partner.run(30)

    readings = [event.payload for event in reports(partner, Family.EVENT_TELEMETRY_METER)]
    for name in ("importRegisterKwh", "exportRegisterKwh"):
        values = [reading["meters"][0][name] for reading in readings]
        assert values == sorted(values)
        assert values[-1] > 1
    assert [meter["role"] for meter in readings[0]["meters"]] == [
        "GRID",
        "PRODUCTION",
        "PRODUCTION",
        "STORAGE",
        "STORAGE",
    ]
    assert [reading["readingAt"] for reading in readings] == sorted({r["readingAt"] for r in readings})


def test_each_meter_has_only_the_registers_of_its_kind() -> None:
    partner = Partner()
    meters = reports(partner, Family.EVENT_TELEMETRY_METER)[0].payload["meters"]
    registers = {meter["deviceId"]: {key for key in meter if key.endswith("Kwh")} for meter in meters}

    assert registers["M1"] == {"importRegisterKwh", "exportRegisterKwh"}
    assert registers["PV1"] == {"productionRegisterKwh"}
    assert registers["B1"] == {"chargeRegisterKwh", "dischargeRegisterKwh"}
