"""One pass and one refusal for each rule of the schedules."""

from typing import Any

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, failure, payload_of, set_at
from vcp import Family


def slot(minute_from: int, minute_to: int) -> dict[str, Any]:
    return {
        "from": f"2026-01-02T04:{minute_from:02}:00.000Z",
        "to": f"2026-01-02T04:{minute_to:02}:00.000Z",
        "type": "POWER",
        "targetValueKw": 1.0,
        "direction": "EXPORT",
        "includeConsumption": True,
    }


def test_slots_may_touch_and_may_leave_gaps() -> None:
    payload = payload_of(Family.SCHEDULE_CREATE, slots=[slot(0, 15), slot(15, 30), slot(45, 50)])

    assert vcp.to_wire(vcp.parse_payload(Family.SCHEDULE_CREATE, payload)) == payload


@pytest.mark.parametrize("second", [slot(14, 30), slot(0, 15), slot(5, 6)])
def test_a_slot_never_begins_before_the_one_before_ends(second: dict[str, Any]) -> None:
    error = failure(Family.SCHEDULE_CREATE, payload_of(Family.SCHEDULE_CREATE, slots=[slot(0, 15), second]))

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.slots[1].from")


def test_a_slot_ends_after_it_begins() -> None:
    payload = payload_of(Family.SCHEDULE_CREATE, slots=[slot(0, 15), slot(20, 20)])

    error = failure(Family.SCHEDULE_CREATE, payload)

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.slots[1].to")


def test_a_schedule_has_at_least_one_slot() -> None:
    error = failure(Family.SCHEDULE_CREATE, payload_of(Family.SCHEDULE_CREATE, slots=[]))

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.slots")


def test_a_schedule_has_a_bounded_number_of_slots() -> None:
    payload = payload_of(Family.SCHEDULE_CREATE, slots=[slot(0, 15)] * (vcp.MAX_SLOTS + 1))

    error = failure(Family.SCHEDULE_CREATE, payload)

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.slots")


def test_a_slot_value_has_no_sign() -> None:
    payload = payload_of(
        Family.SCHEDULE_CREATE, lambda payload: set_at(payload, ("slots", 0, "targetValueKw"), -1)
    )

    error = failure(Family.SCHEDULE_CREATE, payload)

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.slots[0].targetValueKw")


@pytest.mark.parametrize("schedule_id", ["", "s" * 129])
@pytest.mark.parametrize("family", [Family.SCHEDULE_CREATE, Family.SCHEDULE_CANCEL])
def test_a_schedule_id_has_one_to_128_characters(family: Family, schedule_id: str) -> None:
    error = failure(family, payload_of(family, scheduleId=schedule_id))

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.scheduleId")


def test_slots_read_as_half_open_utc_times() -> None:
    parsed = vcp.parse_payload(Family.SCHEDULE_CREATE, PAYLOADS[Family.SCHEDULE_CREATE])

    assert isinstance(parsed, vcp.ScheduleCreate)
    assert [vcp.format_timestamp(at) for at in (parsed.slots[0].starts_at, parsed.slots[0].ends_at)] == [
        "2026-01-02T04:00:00.000Z",
        "2026-01-02T04:15:00.000Z",
    ]
