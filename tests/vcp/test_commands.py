"""One pass and one refusal for each rule of the four commands."""

from datetime import UTC, datetime
from typing import Any

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, failure, payload_of, without
from vcp import AssetType, DeviceCommandType, Family

AT = datetime(2026, 1, 2, 3, 15, tzinfo=UTC)
POWER = {
    "type": "POWER",
    "targetValueKw": 12.5,
    "direction": "EXPORT",
    "includeConsumption": True,
    "priority": "HIGH",
    "validFrom": "2026-01-02T03:15:00.000Z",
}


def setpoint(**changes: Any) -> vcp.SiteSetpoint:
    members: dict[str, Any] = {
        "type": vcp.SetpointType.POWER,
        "target_value_kw": 5.0,
        "direction": vcp.Direction.IMPORT,
        "include_consumption": False,
        "priority": vcp.Priority.NORMAL,
        "valid_from": AT,
    }
    return vcp.SiteSetpoint(**{**members, **changes})


class TestSiteSetpoint:
    def test_a_power_setpoint_reads_as_typed_values(self) -> None:
        parsed = vcp.parse_payload(Family.COMMAND_SITE_SETPOINT, POWER)

        assert parsed == setpoint(
            target_value_kw=12.5,
            direction=vcp.Direction.EXPORT,
            include_consumption=True,
            priority=vcp.Priority.HIGH,
        )

    def test_without_valid_until_it_holds_until_replaced(self) -> None:
        parsed = vcp.parse_payload(Family.COMMAND_SITE_SETPOINT, POWER)

        assert isinstance(parsed, vcp.SiteSetpoint)
        assert parsed.valid_until is None
        assert "validUntil" not in vcp.to_wire(parsed)

    @pytest.mark.parametrize(
        ("members", "path"),
        [
            (without(POWER, "targetValueKw"), "targetValueKw"),
            ({**without(POWER, "targetValueKw"), "type": "ENERGY", "intervalMinutes": 15}, "targetValueKwh"),
            ({**POWER, "type": "ENERGY", "targetValueKwh": 3}, "intervalMinutes"),
        ],
    )
    def test_each_type_needs_its_own_target(self, members: dict[str, Any], path: str) -> None:
        error = failure(Family.COMMAND_SITE_SETPOINT, members)

        assert (error.code, error.path) == ("MISSING_FIELD", f"payload.{path}")

    @pytest.mark.parametrize("name", ["targetValueKw", "targetValueKwh"])
    def test_a_value_has_no_sign_the_direction_is_the_sign(self, name: str) -> None:
        error = failure(Family.COMMAND_SITE_SETPOINT, {**POWER, name: -0.001})

        assert (error.code, error.path) == ("INVALID_VALUE", f"payload.{name}")

    def test_zero_is_a_value(self) -> None:
        parsed = vcp.parse_payload(Family.COMMAND_SITE_SETPOINT, {**POWER, "targetValueKw": 0})

        assert parsed == setpoint(
            target_value_kw=0.0,
            direction=vcp.Direction.EXPORT,
            include_consumption=True,
            priority=vcp.Priority.HIGH,
        )

    @pytest.mark.parametrize("minutes", [1, 1440])
    def test_an_interval_may_last_from_a_minute_to_a_day(self, minutes: int) -> None:
        payload = payload_of(Family.COMMAND_SITE_SETPOINT, intervalMinutes=minutes)

        parsed = vcp.parse_payload(Family.COMMAND_SITE_SETPOINT, payload)

        assert isinstance(parsed, vcp.SiteSetpoint)
        assert parsed.interval_minutes == minutes

    @pytest.mark.parametrize("minutes", [0, -15, 1441, 2**60])
    def test_another_interval_is_refused(self, minutes: int) -> None:
        error = failure(
            Family.COMMAND_SITE_SETPOINT, payload_of(Family.COMMAND_SITE_SETPOINT, intervalMinutes=minutes)
        )

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.intervalMinutes")

    def test_an_interval_is_whole_minutes(self) -> None:
        error = failure(
            Family.COMMAND_SITE_SETPOINT, payload_of(Family.COMMAND_SITE_SETPOINT, intervalMinutes=7.5)
        )

        assert (error.code, error.path) == ("WRONG_TYPE", "payload.intervalMinutes")

    @pytest.mark.parametrize("until", ["2026-01-02T03:15:00.000Z", "2026-01-02T03:14:59.999Z"])
    def test_valid_until_lies_after_valid_from(self, until: str) -> None:
        error = failure(Family.COMMAND_SITE_SETPOINT, {**POWER, "validUntil": until})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.validUntil")

    def test_valid_until_may_lie_a_millisecond_after_valid_from(self) -> None:
        parsed = vcp.parse_payload(
            Family.COMMAND_SITE_SETPOINT, {**POWER, "validUntil": "2026-01-02T03:15:00.001Z"}
        )

        assert isinstance(parsed, vcp.SiteSetpoint)
        assert parsed.valid_until == datetime(2026, 1, 2, 3, 15, 0, 1000, tzinfo=UTC)

    @pytest.mark.parametrize("name", ["type", "direction", "priority"])
    @pytest.mark.parametrize("word", ["", "power", "NORMAL ", "ANYTHING"])
    def test_what_we_send_uses_closed_vocabularies(self, name: str, word: str) -> None:
        error = failure(Family.COMMAND_SITE_SETPOINT, {**POWER, name: word})

        assert (error.code, error.path) == ("INVALID_VALUE", f"payload.{name}")

    @pytest.mark.parametrize(
        "word", ["9007199254740991", "out of range", "Expected `a`, got `b`", "timezone", "x - at `$.y`", "`"]
    )
    def test_a_word_that_looks_like_an_error_of_another_class_stays_a_bad_word(self, word: str) -> None:
        error = failure(Family.COMMAND_SITE_SETPOINT, {**POWER, "direction": word})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.direction")

    @pytest.mark.parametrize("priority", ["NORMAL", "HIGH", "EMERGENCY"])
    def test_there_are_three_priorities(self, priority: str) -> None:
        parsed = vcp.parse_payload(Family.COMMAND_SITE_SETPOINT, {**POWER, "priority": priority})

        assert vcp.to_wire(parsed)["priority"] == priority

    def test_the_rules_hold_for_a_struct_built_in_python_too(self) -> None:
        with pytest.raises(vcp.MissingField) as missing:
            setpoint(target_value_kw=None)
        with pytest.raises(vcp.InvalidValue) as late:
            setpoint(valid_until=AT)
        with pytest.raises(vcp.InvalidTimestamp) as naive:
            setpoint(valid_until=datetime(2026, 1, 2, 4))

        assert [caught.value.path for caught in (missing, late, naive)] == [
            "targetValueKw",
            "validUntil",
            "validUntil",
        ]

    def test_a_word_as_plain_text_means_the_same_as_the_enumeration_member(self) -> None:
        assert vcp.to_wire(setpoint(type="POWER")) == vcp.to_wire(setpoint())


class TestDeviceBatch:
    @pytest.mark.parametrize("count", [1, 32])
    def test_a_batch_holds_one_to_thirty_two_commands(self, count: int) -> None:
        commands = PAYLOADS[Family.COMMAND_DEVICE]["commands"][:1] * count

        parsed = vcp.parse_payload(Family.COMMAND_DEVICE, {"commands": commands})

        assert isinstance(parsed, vcp.DeviceBatch)
        assert len(parsed.commands) == count

    @pytest.mark.parametrize("count", [0, 33])
    def test_another_number_of_commands_is_refused(self, count: int) -> None:
        commands = PAYLOADS[Family.COMMAND_DEVICE]["commands"][:1] * count

        error = failure(Family.COMMAND_DEVICE, {"commands": commands})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.commands")

    @pytest.mark.parametrize("device_id", ["B", "BAT-1_A", "0" * 32])
    def test_an_external_id_is_capitals_digits_dash_underscore(self, device_id: str) -> None:
        command = {"deviceId": device_id, "assetType": "BESS", "command": "BESS_STOP"}

        parsed = vcp.parse_payload(Family.COMMAND_DEVICE, {"commands": [command]})

        assert isinstance(parsed, vcp.DeviceBatch)
        assert parsed.commands[0].device_id == device_id

    @pytest.mark.parametrize("device_id", ["", "b1", "B1\n", " B1", "B.1", "Ž1", "0" * 33])
    def test_another_external_id_is_refused(self, device_id: str) -> None:
        command = {"deviceId": device_id, "assetType": "BESS", "command": "BESS_STOP"}

        error = failure(Family.COMMAND_DEVICE, {"commands": [command]})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.commands[0].deviceId")

    @pytest.mark.parametrize(
        ("name", "value"), [("percent", -1), ("percent", 100.5), ("powerKw", -0.5), ("percent", 2**60)]
    )
    def test_a_parameter_out_of_range_is_refused(self, name: str, value: float) -> None:
        commands = [{"deviceId": "P", "assetType": "FVE", "command": "FVE_STOP", "params": {name: value}}]

        error = failure(Family.COMMAND_DEVICE, {"commands": commands})

        assert (error.code, error.path) == ("INVALID_VALUE", f"payload.commands[0].params.{name}")

    @pytest.mark.parametrize("asset_type", list(AssetType))
    def test_every_documented_asset_type_has_a_valid_shape(self, asset_type: AssetType) -> None:
        command = {"deviceId": "B1", "assetType": asset_type.value, "command": "BESS_STOP"}

        parsed = vcp.parse_payload(Family.COMMAND_DEVICE, {"commands": [command]})

        assert isinstance(parsed, vcp.DeviceBatch)
        assert parsed.commands[0].asset_type is asset_type

    @pytest.mark.parametrize("name", ["assetType", "command"])
    def test_an_unknown_word_is_a_broken_shape(self, name: str) -> None:
        command = {"deviceId": "B1", "assetType": "BESS", "command": "BESS_STOP", name: "BESS_EXPLODE"}

        error = failure(Family.COMMAND_DEVICE, {"commands": [command]})

        assert (error.code, error.path) == ("INVALID_VALUE", f"payload.commands[0].{name}")


FVE_COMMANDS = [command for command in DeviceCommandType if command.startswith("FVE_")]
BESS_COMMANDS = [command for command in DeviceCommandType if command.startswith("BESS_")]
ALL_PARAMS = vcp.DeviceParams(power_kw=5.0, percent=50.0, respect_limits=True)


def device_command(
    command: DeviceCommandType, asset_type: AssetType, params: vcp.DeviceParams | None = ALL_PARAMS
) -> vcp.DeviceCommand:
    return vcp.DeviceCommand(device_id="D1", asset_type=asset_type, command=command, params=params)


class TestCheckDeviceCommand:
    @pytest.mark.parametrize("command", FVE_COMMANDS)
    @pytest.mark.parametrize("asset_type", [AssetType.FVE, AssetType.INVERTER])
    def test_fve_commands_fit_pv_and_inverters(
        self, command: DeviceCommandType, asset_type: AssetType
    ) -> None:
        vcp.check_device_command(device_command(command, asset_type))

    @pytest.mark.parametrize("command", BESS_COMMANDS)
    def test_bess_commands_fit_batteries(self, command: DeviceCommandType) -> None:
        vcp.check_device_command(device_command(command, AssetType.BESS))

    @pytest.mark.parametrize(
        ("command", "asset_type"),
        [(c, a) for c in FVE_COMMANDS for a in AssetType if a not in (AssetType.FVE, AssetType.INVERTER)]
        + [(c, a) for c in BESS_COMMANDS for a in AssetType if a is not AssetType.BESS],
    )
    def test_a_command_on_another_asset_is_an_invalid_command(
        self, command: DeviceCommandType, asset_type: AssetType
    ) -> None:
        with pytest.raises(vcp.InvalidCommand) as caught:
            vcp.check_device_command(device_command(command, asset_type), path="payload.commands[3]")

        assert caught.value.code == vcp.RejectionCode.INVALID_COMMAND
        assert caught.value.path == "payload.commands[3].assetType"

    @pytest.mark.parametrize(
        ("command", "asset_type", "name"),
        [
            (DeviceCommandType.FVE_REDUCE_PERCENT, AssetType.FVE, "percent"),
            (DeviceCommandType.FVE_REDUCE_POWER, AssetType.FVE, "powerKw"),
            (DeviceCommandType.BESS_CHARGE, AssetType.BESS, "powerKw"),
            (DeviceCommandType.BESS_DISCHARGE, AssetType.BESS, "powerKw"),
        ],
    )
    @pytest.mark.parametrize("params", [None, vcp.DeviceParams(respect_limits=True)])
    def test_a_missing_parameter_is_an_invalid_command(
        self,
        command: DeviceCommandType,
        asset_type: AssetType,
        name: str,
        params: vcp.DeviceParams | None,
    ) -> None:
        with pytest.raises(vcp.InvalidCommand) as caught:
            vcp.check_device_command(device_command(command, asset_type, params))

        assert caught.value.path == f"params.{name}"

    @pytest.mark.parametrize(
        "command",
        [
            c
            for c in DeviceCommandType
            if c.value not in ("FVE_REDUCE_PERCENT", "FVE_REDUCE_POWER", "BESS_CHARGE", "BESS_DISCHARGE")
        ],
    )
    def test_the_other_commands_need_no_parameter(self, command: DeviceCommandType) -> None:
        asset_type = AssetType.FVE if command in FVE_COMMANDS else AssetType.BESS

        vcp.check_device_command(device_command(command, asset_type, None))

    def test_the_shape_alone_is_valid_so_that_the_two_answers_can_differ(self) -> None:
        commands = [{"deviceId": "M1", "assetType": "METER", "command": "BESS_CHARGE"}]

        parsed = vcp.parse_payload(Family.COMMAND_DEVICE, {"commands": commands})

        assert isinstance(parsed, vcp.DeviceBatch)
        with pytest.raises(vcp.InvalidCommand):
            vcp.check_device_command(parsed.commands[0])


class TestEmergencyAndMode:
    @pytest.mark.parametrize("kind", ["STOP", "HOLD"])
    def test_an_emergency_stops_or_holds(self, kind: str) -> None:
        assert vcp.parse_payload(Family.COMMAND_EMERGENCY, {"type": kind}) == vcp.Emergency(
            type=vcp.EmergencyType(kind)
        )

    def test_another_emergency_is_refused(self) -> None:
        error = failure(Family.COMMAND_EMERGENCY, {"type": "PANIC"})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.type")

    @pytest.mark.parametrize(
        "mode",
        [
            "STANDARD",
            "ZERO_EXPORT",
            "MAX_EXPORT",
            "PEAK_SHAVING",
            "LOCAL_OPTIMIZATION",
            "GRID_TARGET",
            "LDS_SUPPORT",
        ],
    )
    def test_there_are_seven_modes(self, mode: str) -> None:
        parsed = vcp.parse_payload(Family.COMMAND_MODE, {"mode": mode})

        assert parsed == vcp.Mode(mode=vcp.OperatingMode(mode))

    def test_another_mode_is_refused(self) -> None:
        error = failure(Family.COMMAND_MODE, {"mode": "TURBO"})

        assert (error.code, error.path) == ("INVALID_VALUE", "payload.mode")

    @pytest.mark.parametrize(
        ("family", "needed"),
        [
            (Family.COMMAND_EMERGENCY, {"type": "STOP"}),
            (Family.COMMAND_MODE, {"mode": "STANDARD"}),
            (Family.SCHEDULE_CANCEL, {"scheduleId": "s"}),
        ],
    )
    @pytest.mark.parametrize(
        ("reason", "is_valid"),
        [("x" * 500, True), ("x" * 501, False), ("ž" * 500, True), ("🔋" * 250, True), ("🔋" * 251, False)],
    )
    def test_a_reason_has_at_most_five_hundred_utf16_units(
        self, family: Family, needed: dict[str, Any], reason: str, is_valid: bool
    ) -> None:
        payload = {**needed, "reason": reason}

        if is_valid:
            assert vcp.to_wire(vcp.parse_payload(family, payload)) == payload
        else:
            error = failure(family, payload)
            assert (error.code, error.path) == ("INVALID_VALUE", "payload.reason")
