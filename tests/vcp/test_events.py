"""One pass and one refusal for each rule of what Voke reports."""

from datetime import UTC, datetime

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, failure, payload_of, without
from vcp import Family

ACK = Family.EVENT_COMMAND_ACK
REJECTION_CODES = (
    "CONSTRAINT_VIOLATION INVALID_COMMAND INVALID_PAYLOAD "
    "DEVICE_OFFLINE DEVICE_FAULT UNSUPPORTED_FOR_TOPOLOGY"
)
LONG_TEXT = "ž" * 100_000


def test_an_ack_reads_with_the_result_of_each_device() -> None:
    parsed = vcp.parse_payload(ACK, PAYLOADS[ACK])

    assert parsed == vcp.CommandAck(
        status="PARTIAL",
        command_type="device",
        message="one of two",
        rejection_code="DEVICE_FAULT",
        results=(
            vcp.CommandResult(device_id="B1", status="ACCEPTED"),
            vcp.CommandResult(
                device_id="B2", status="REJECTED", rejection_code="DEVICE_FAULT", message="inverter"
            ),
        ),
    )


@pytest.mark.parametrize("results", [None, []])
def test_a_partial_ack_needs_results(results: object) -> None:
    error = failure(ACK, payload_of(ACK, results=results))

    assert (error.code, error.path) == ("MISSING_FIELD", "payload.results")


@pytest.mark.parametrize("status", ["ACCEPTED", "REJECTED", "QUEUED", "PONDERING"])
def test_any_other_ack_needs_none(status: str) -> None:
    parsed = vcp.parse_payload(ACK, {"status": status, "commandType": "mode", "results": None})

    assert parsed == vcp.CommandAck(status=status, command_type="mode")


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (vcp.AckStatus, "ACCEPTED REJECTED PARTIAL QUEUED"),
        (vcp.RejectionCode, REJECTION_CODES),
        (vcp.ExecutionStatus, "EXECUTING COMPLETED DEVIATED FAILED"),
        (vcp.DataQuality, "GOOD INTERPOLATED STALE MISSING"),
        (vcp.AlarmCode, "CONSTRAINT_VIOLATION OPERATING_MODE_NOT_HONORED SCHEDULE_SLOT_MISSED"),
        (vcp.Severity, "INFO WARNING ERROR CRITICAL"),
        (vcp.ScheduleStatus, "ACCEPTED ACTIVE COMPLETED CANCELLED REJECTED"),
        (vcp.DeviceStatus, "ONLINE OFFLINE DEGRADED UNKNOWN"),
        (vcp.MeterRole, "GRID"),
    ],
)
def test_an_open_vocabulary_knows_the_fact_sheets_words_and_keeps_others(
    vocabulary: type[vcp.AckStatus], words: str
) -> None:
    assert [known.value for known in vocabulary] == words.split()
    assert all(vcp.known(vocabulary, word) is vocabulary(word) for word in words.split())
    assert vcp.known(vocabulary, "NEW_NEXT_YEAR") == vcp.Unknown("NEW_NEXT_YEAR")


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (ACK, "status"),
        (ACK, "rejectionCode"),
        (ACK, "commandType"),
        (Family.EVENT_EXECUTION, "status"),
        (Family.EVENT_EXECUTION, "commandType"),
        (Family.EVENT_ALARM, "severity"),
        (Family.EVENT_ALARM, "code"),
        (Family.EVENT_MODE, "mode"),
        (Family.EVENT_SCHEDULE, "status"),
    ],
)
def test_a_word_new_to_us_survives_the_way_in_and_out(family: Family, name: str) -> None:
    payload = payload_of(family, **{name: "NEW_NEXT_YEAR"})

    assert vcp.to_wire(vcp.parse_payload(family, payload)) == payload


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (ACK, "message"),
        (Family.EVENT_EXECUTION, "reason"),
        (Family.EVENT_ALARM, "message"),
        (Family.EVENT_ALARM, "actualValue"),
        (Family.EVENT_MODE, "reason"),
        (Family.EVENT_SCHEDULE, "reason"),
    ],
)
def test_a_long_free_text_from_voke_survives(family: Family, name: str) -> None:
    payload = payload_of(family, **{name: LONG_TEXT})

    assert vcp.to_wire(vcp.parse_payload(family, payload)) == payload


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (Family.EVENT_ALARM, "alarmId"),
        (Family.EVENT_ALARM, "deviceId"),
        (Family.EVENT_SCHEDULE, "scheduleId"),
    ],
)
@pytest.mark.parametrize("text", ["", "x" * 129])
def test_an_id_that_keys_a_row_has_one_to_128_characters(family: Family, name: str, text: str) -> None:
    error = failure(family, payload_of(family, **{name: text}))

    assert (error.code, error.path) == ("INVALID_VALUE", f"payload.{name}")


def test_an_execution_may_report_negative_powers_and_none() -> None:
    parsed = vcp.parse_payload(
        Family.EVENT_EXECUTION,
        {"commandType": "mode", "status": "COMPLETED", "actualValueKw": -4, "targetValueKw": None},
    )

    assert parsed == vcp.Execution(command_type="mode", status="COMPLETED", actual_value_kw=-4.0)


def test_an_alarm_without_cleared_at_is_raised() -> None:
    payload = without(PAYLOADS[Family.EVENT_ALARM], "clearedAt")

    parsed = vcp.parse_payload(Family.EVENT_ALARM, payload)

    assert isinstance(parsed, vcp.Alarm)
    assert (parsed.raised_at, parsed.cleared_at) == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None)


def test_an_alarm_with_cleared_at_is_cleared() -> None:
    parsed = vcp.parse_payload(Family.EVENT_ALARM, PAYLOADS[Family.EVENT_ALARM])

    assert isinstance(parsed, vcp.Alarm)
    assert parsed.cleared_at == datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"), [(5, 5.0), (-1.5, -1.5), ("STANDARD", "STANDARD"), (None, None)]
)
def test_an_alarm_value_is_text_or_number(value: object, expected: object) -> None:
    parsed = vcp.parse_payload(
        Family.EVENT_ALARM, payload_of(Family.EVENT_ALARM, actualValue=value, expectedValue=value)
    )

    assert isinstance(parsed, vcp.Alarm)
    assert (parsed.actual_value, parsed.expected_value) == (expected, expected)


@pytest.mark.parametrize("value", [True, {}, []])
def test_an_alarm_value_is_nothing_else(value: object) -> None:
    error = failure(Family.EVENT_ALARM, payload_of(Family.EVENT_ALARM, expectedValue=value))

    assert (error.code, error.path) == ("WRONG_TYPE", "payload.expectedValue")


def test_alarm_metadata_is_kept_as_it_is() -> None:
    parsed = vcp.parse_payload(Family.EVENT_ALARM, payload_of(Family.EVENT_ALARM, metadata={"a": [1, None]}))

    assert isinstance(parsed, vcp.Alarm)
    assert parsed.metadata == {"a": [1, None]}


def test_a_mode_event_reads_with_the_end_of_its_override() -> None:
    parsed = vcp.parse_payload(Family.EVENT_MODE, PAYLOADS[Family.EVENT_MODE])

    assert parsed == vcp.ModeEvent(
        mode="PEAK_SHAVING",
        previous_mode="STANDARD",
        reason="tariff",
        valid_until=datetime(2026, 1, 2, 4, tzinfo=UTC),
    )
