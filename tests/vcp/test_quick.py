"""The short way for readings: what it takes, what it leaves to the careful way, and that neither knows more members."""

import json
from typing import Any

import msgspec
import pytest

import vcp
from tests.vcp.samples import ENVELOPE, PAYLOADS
from vcp import Family, quick
from vcp.structs import WireStruct

REALTIME = PAYLOADS[Family.EVENT_TELEMETRY_REALTIME]
METERS = PAYLOADS[Family.EVENT_TELEMETRY_METER]


def body(payload: dict[str, Any], **envelope: Any) -> bytes:
    return json.dumps({**ENVELOPE, **envelope, "payload": payload}, ensure_ascii=False).encode()


def members(kind: type[WireStruct]) -> set[tuple[str, Any]]:
    """(wire name, type with its bounds) of a struct, without what is kept as received and what is nested."""
    nested = {"payload", "devices", "meters", kind.RAW}
    return {
        (one.encode_name, one.type) for one in msgspec.structs.fields(kind) if one.encode_name not in nested
    }


def test_a_realtime_message_is_read() -> None:
    sent = body(REALTIME, correlationId="c-1")

    read = vcp.quick_realtime(sent)

    assert read is not None
    assert (read.message_id, read.site_id) == (ENVELOPE["messageId"], ENVELOPE["siteId"])
    assert read.correlation_id == "c-1"
    assert read.measured_at == read.sent_at == vcp.parse_timestamp(ENVELOPE["timestamp"])
    assert isinstance(read.payload, vcp.RealtimeValues)
    assert (read.payload.battery_power_kw, read.payload.current_operating_mode) == (-5.25, "STANDARD")
    assert vcp.devices_as_sent(sent) == REALTIME["devices"]


def test_a_meter_message_is_read() -> None:
    read = vcp.quick_meters(body(METERS))

    assert read is not None
    assert isinstance(read.payload, vcp.MeterTelemetry)
    assert read.measured_at == read.payload.reading_at == vcp.parse_timestamp(METERS["readingAt"])
    assert read.sent_at == vcp.parse_timestamp(ENVELOPE["timestamp"])
    assert [(one.device_id, one.export_register_kwh) for one in read.payload.meters] == [("M1", 99.25)]


def test_a_site_without_devices_has_none() -> None:
    sent = body({"dataQuality": "GOOD"})

    assert vcp.quick_realtime(sent) is not None
    assert vcp.devices_as_sent(sent) == []


def test_members_of_devices_are_handed_on_as_they_were_sent() -> None:
    device = {"status": None, "deviceId": "B1", "powerKw": 61}
    sent = body({"dataQuality": "GOOD", "devices": [device]})

    assert vcp.quick_realtime(sent) is not None
    assert json.dumps(vcp.devices_as_sent(sent)) == json.dumps([device])


def test_devices_may_have_members_of_their_own() -> None:
    device = {"deviceId": "B1", "cells": [{"volts": 3.5}], "raw": "its own"}
    sent = body({"dataQuality": "GOOD", "gridPowerKw": 2, "devices": [device]})

    read = vcp.quick_realtime(sent)

    assert read is not None
    assert isinstance(read.payload, vcp.RealtimeValues)
    assert read.payload.grid_power_kw == 2.0
    assert vcp.devices_as_sent(sent) == [device]


@pytest.mark.parametrize(
    "sent",
    [
        body(REALTIME, traceId="t-1"),
        body({**REALTIME, "frequencyHz": 50.0}),
        body({**REALTIME, "devices": [{"deviceId": "B1", "cells": 10**400}]}),
        body({**REALTIME, "devices": [{"deviceId": "B1", "cells": [[]] * 70}]}),
        body({**REALTIME, "devices": [{"cells": [1, 2]}]}),
        body({**REALTIME, "devices": [{"deviceId": "B1", "socPercent": 101, "cells": []}]}),
        body({**REALTIME, "devices": [{"deviceId": ""}]}),
        body({**REALTIME, "devices": None}),
        body({**REALTIME, "socPercent": 100.5}),
        body({**REALTIME, "gridPowerKw": "1"}),
        body({**REALTIME, "gridPowerKw": 2**53}),
        body({**REALTIME, "dataQuality": "a line\nand another"}),
        body({**REALTIME, "dataQuality": "a NUL \0"}),
        body(REALTIME, version="2.0"),
        body(REALTIME, messageId=""),
        body(REALTIME, siteId="x" * 129),
        body(REALTIME, timestamp="2026-02-30T00:00:00.000Z"),
        body(REALTIME, timestamp="2026-01-02T03:04:05.678+00:00"),
        body(REALTIME, signatureAlgo="none"),
        body(REALTIME).replace(b"STANDARD", b"\xff"),
        body(REALTIME)[:-1],
        b"",
        b"[]",
        b'{"payload":' + b'{"devices":[' * 2000,
    ],
)
def test_what_is_unusual_is_left_to_the_careful_way(sent: bytes) -> None:
    assert vcp.quick_realtime(sent) is None


@pytest.mark.parametrize(
    "sent",
    [
        body({**METERS, "readingAt": "2026-01-02T03:04:60.000Z"}),
        body({**METERS, "readingAt": None}),
        body({**METERS, "meters": None}),
        body({**METERS, "meters": [{"deviceId": "M1", "importRegisterKwh": -1}]}),
        body({**METERS, "meters": [{"deviceId": "M1", "serial": "7"}]}),
        body({**METERS, "site": "x"}),
        body(METERS, timestamp="now"),
        body(REALTIME),
    ],
)
def test_meters_that_are_unusual_are_left_to_the_careful_way(sent: bytes) -> None:
    assert vcp.quick_meters(sent) is None


@pytest.mark.parametrize("sent", ["text", None, bytearray(body(REALTIME)), memoryview(body(REALTIME))])
def test_only_bytes_are_read(sent: Any) -> None:
    assert (vcp.quick_realtime(sent), vcp.quick_meters(sent)) == (None, None)


def test_both_ways_know_the_same_members_with_the_same_bounds() -> None:
    assert members(quick._Device) == members(vcp.DeviceTelemetry)
    assert members(quick._Realtime) == members(vcp.RealtimeTelemetry)
    assert members(quick._Registers) == members(vcp.MeterRegisters)
    own_rules = {"timestamp", "version", "signatureAlgo", "readingAt"}
    for ours, careful in ((quick._Message, vcp.Envelope), (quick._Meters, vcp.MeterTelemetry)):
        assert {name for name, _ in members(ours)} == {name for name, _ in members(careful)}
        assert {one for one in members(ours) if one[0] not in own_rules} <= members(careful)
