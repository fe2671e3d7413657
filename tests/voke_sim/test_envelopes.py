"""What becomes of a message before any family's own rules: one test per sentence of the behaviour table."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tests.voke_sim.harness import DEPOT, KEY, SLUG, Partner
from vcp import Family, encode_envelope, format_timestamp, signed_envelope

MODE = {"mode": "ZERO_EXPORT"}


def setpoint_payload(partner: Partner) -> dict[str, Any]:
    return {
        "type": "POWER",
        "targetValueKw": 10,
        "direction": "EXPORT",
        "includeConsumption": True,
        "priority": "NORMAL",
        "validFrom": format_timestamp(partner.at),
    }


def answers(partner: Partner) -> int:
    """Everything that Voke says about commands."""
    return len(partner.of(Family.EVENT_COMMAND_ACK)) + len(partner.of(Family.EVENT_EXECUTION))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'{"version":"1.1"}',
        b'{"version":"2.0","messageId":"x","timestamp":"2026-01-02T03:00:00Z","source":"s","siteId":"d","payload":{}}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_message_is_dead_lettered_in_silence(body: bytes) -> None:
    partner = Partner()
    partner.send_bytes(f"{SLUG}.command.site-setpoint", body)
    partner.tick()

    assert (partner.dead_letters(), answers(partner), partner.verdicts()) == (1, 0, ["MALFORMED"])


def test_a_message_beyond_one_megabyte_is_malformed() -> None:
    partner = Partner()
    partner.send_bytes(f"{SLUG}.command.mode", b'{"a":"' + b"x" * 1_100_000 + b'"}')
    partner.tick()

    assert partner.verdicts() == ["MALFORMED"]


def test_a_routing_key_of_no_family_is_malformed() -> None:
    partner = Partner()
    envelope = partner.envelope(MODE)
    partner.send_bytes(f"{SLUG}.command.dance", encode_envelope(signed_envelope(envelope, KEY)))
    partner.tick()

    assert (partner.dead_letters(), partner.verdicts()) == (1, ["MALFORMED"])


@pytest.mark.parametrize(
    ("family", "payload"),
    [
        (
            Family.COMMAND_DEVICE,
            {"commands": [{"deviceId": "B1", "assetType": "BESS", "command": "BESS_STOP"}]},
        ),
        (Family.COMMAND_MODE, MODE),
        (Family.SCHEDULE_CANCEL, {"scheduleId": "s1"}),
    ],
)
def test_an_unsigned_message_of_a_signed_family_is_acknowledged_and_dropped_in_silence(
    family: Family, payload: dict[str, Any]
) -> None:
    partner = Partner()
    partner.send(family, payload, sign=False)
    partner.tick()

    assert partner.verdicts() == ["UNSIGNED"]
    assert (partner.dead_letters(), answers(partner), partner.counts()["effects"]) == (0, 0, 0)
    assert partner.vhost.depth(partner.names.command) == 0


def test_a_sub_key_of_a_signed_family_must_be_signed_too() -> None:
    partner = Partner()
    body = encode_envelope(partner.envelope({"commands": []}))
    partner.send_bytes(f"{SLUG}.command.device.charge", body)
    partner.tick()

    assert partner.verdicts() == ["UNSIGNED"]


def test_a_badly_signed_message_is_dropped_in_silence() -> None:
    partner = Partner()
    envelope = signed_envelope(partner.envelope(MODE), KEY)
    partner.send_envelope(Family.COMMAND_MODE, {**envelope, "payload": {"mode": "MAX_EXPORT"}}, sign=False)
    partner.tick()

    assert (partner.verdicts(), answers(partner), partner.modes()) == (["BAD_SIGNATURE"], 0, [])


def test_a_signed_message_that_names_a_key_twice_is_dropped_as_badly_signed() -> None:
    partner = Partner()
    body = encode_envelope(signed_envelope(partner.envelope(MODE), KEY))
    doubled = body.replace(b'"mode":', b'"mode":"MAX_EXPORT","mode":')
    partner.send_bytes(f"{SLUG}.command.mode", doubled)
    partner.tick()

    assert (partner.verdicts(), partner.modes()) == (["BAD_SIGNATURE"], [])


def test_a_forged_message_does_not_block_the_real_one_with_its_id() -> None:
    partner = Partner()
    envelope = partner.envelope(MODE)
    partner.send_envelope(Family.COMMAND_MODE, {**envelope, "signature": "A" * 43}, sign=False)
    partner.send_envelope(Family.COMMAND_MODE, envelope)
    partner.tick()

    assert partner.verdicts() == ["BAD_SIGNATURE", "ACCEPTED"]


@pytest.mark.parametrize("family", [Family.COMMAND_SITE_SETPOINT, Family.COMMAND_EMERGENCY])
def test_families_outside_the_signed_set_are_judged_without_a_signature(family: Family) -> None:
    partner = Partner()
    payload = setpoint_payload(partner) if family is Family.COMMAND_SITE_SETPOINT else {"type": "HOLD"}
    correlation = partner.send(family, payload, sign=False)
    partner.tick()

    assert partner.ack(correlation)["status"] == "ACCEPTED"


def test_a_known_message_id_gets_no_second_ack_and_no_second_effect() -> None:
    partner = Partner()
    envelope = partner.envelope(setpoint_payload(partner))
    for _ in range(3):
        partner.send_envelope(Family.COMMAND_SITE_SETPOINT, envelope)
        partner.tick(1)

    counts = partner.counts()
    assert partner.verdicts() == ["ACCEPTED", "DUPLICATE", "DUPLICATE"]
    assert len(partner.acks(envelope["correlationId"])) == 1
    assert (counts["effects"], counts["effects_doubled"], counts["duplicates"]) == (1, 0, 2)


def test_two_copies_in_one_batch_have_one_effect() -> None:
    partner = Partner()
    envelope = partner.envelope(setpoint_payload(partner))
    partner.send_envelope(Family.COMMAND_SITE_SETPOINT, envelope)
    partner.send_envelope(Family.COMMAND_SITE_SETPOINT, envelope)
    partner.tick()

    assert partner.verdicts() == ["ACCEPTED", "DUPLICATE"]


@pytest.mark.parametrize("age_s", [301, -301])
def test_a_message_outside_the_replay_tolerance_is_dropped_in_silence(age_s: int) -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE, timestamp=partner.at - timedelta(seconds=age_s))
    partner.tick()

    assert (partner.verdicts(), partner.acks(correlation)) == (["STALE"], [])


def test_a_message_just_inside_the_replay_tolerance_is_judged() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE, timestamp=partner.at - timedelta(seconds=299))
    partner.tick()

    assert partner.ack(correlation)["status"] == "ACCEPTED"


def test_a_message_for_an_unknown_site_is_dropped_in_silence() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE, site=str(uuid.uuid4()))
    partner.tick()

    assert (partner.verdicts(), partner.acks(correlation)) == (["UNKNOWN_SITE"], [])


def test_the_external_plant_id_names_a_site_as_well_as_its_uuid() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE, site="DEPOT")
    partner.tick()

    [ack] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert (ack.payload["status"], ack.envelope["siteId"]) == ("ACCEPTED", DEPOT)


def test_a_payload_of_the_wrong_shape_is_rejected_with_the_guilty_field() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, {"mode": "SIDEWAYS"})
    partner.tick()

    ack = partner.ack(correlation)
    assert (ack["status"], ack["rejectionCode"], ack["commandType"]) == (
        "REJECTED",
        "INVALID_PAYLOAD",
        "mode",
    )
    assert "payload.mode" in ack["message"]


def test_a_broken_config_payload_is_rejected_as_invalid_payload() -> None:
    partner = Partner()
    correlation = partner.send(Family.CONFIG_CONSTRAINTS, {"maxImportKw": -1})
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "INVALID_PAYLOAD"


def test_a_message_without_correlation_id_is_answered_by_its_message_id() -> None:
    partner = Partner()
    envelope = partner.envelope(MODE, correlation_id=None)
    partner.send_envelope(Family.COMMAND_MODE, envelope)
    partner.tick()

    assert len(partner.acks(envelope["messageId"])) == 1


def test_answers_are_enveloped_as_voke_does() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE)
    partner.tick()

    [event] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert event.routing_key == f"{SLUG}.event.command.ack"
    assert event.envelope["source"] == "voke"
    assert event.envelope["version"] == "1.1"
    assert event.envelope["timestamp"] == format_timestamp(partner.at)
    assert uuid.UUID(event.message_id).version == 4


def test_executions_go_out_under_the_bare_key_with_the_commands_correlation_id() -> None:
    partner = Partner()
    correlation = partner.send(Family.COMMAND_MODE, MODE)
    partner.tick()

    keys = {event.routing_key for event in partner.of(Family.EVENT_EXECUTION, correlation)}
    assert keys == {f"{SLUG}.event.execution"}


def test_the_wire_can_name_sites_by_their_external_id_and_use_another_prefix() -> None:
    partner = Partner(protocol={"site_id_kind": "external", "source": "voke-eu"})
    correlation = partner.send(Family.COMMAND_MODE, MODE)
    partner.tick()

    [event] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert (event.envelope["siteId"], event.envelope["source"]) == ("DEPOT", "voke-eu")


def test_the_utf8_reading_of_the_signing_key_is_one_setting_away() -> None:
    partner = Partner(partner={"slug": SLUG, "signing_key": KEY, "key_decoding": "UTF8"})
    partner.send(Family.COMMAND_MODE, MODE)
    partner.tick()

    assert partner.verdicts() == ["BAD_SIGNATURE"]
