"""Keeping the draft while one edits: nobody overwrites anybody, nothing that has begun is changed."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from esm import clock
from metering.days import local_day_of
from people.models import AuditEntry
from plants.models import Plant
from schedules.models import PlanVersion
from tests import factories
from tests.console.plans.test_day_page import TODAY, TOMORROW, address, document
from tests.console.seed_plans import draft_of, published
from tests.factories import AT

SLOT = {"type": "POWER", "value": 20.5, "direction": "EXPORT", "withConsumption": True, "priority": "NORMAL"}


def save(
    client: Client, plant: Plant, rows: list[Any], *, mark: object, day: Any = TOMORROW, **more: Any
) -> Any:
    return client.post(
        address(plant, day, "save/"),
        json.dumps({"slots": rows} | more),
        content_type="application/json",
        headers={"If-Match": f'"{mark}"'},
    )


def rows_with(*places: int, slot: Any = SLOT, size: int = 96) -> list[Any]:
    return [slot if place in places else None for place in range(size)]


def test_a_first_save_makes_the_draft_and_names_the_new_mark(operator_client: Client, plant: Plant) -> None:
    answer = save(operator_client, plant, rows_with(40, 41), mark=0, note="Dear evening").json()

    version = PlanVersion.objects.get()
    assert (answer["outcome"], answer["version"]["id"]) == ("saved", version.pk)
    assert answer["mark"] == document(operator_client, plant, TOMORROW)["mark"] > 0
    assert [row.value for row in version.slots.all()] == [20.5, 20.5]
    assert (version.note, version.made_by_name) == ("Dear evening", "operator")
    assert AuditEntry.objects.get().action == "plan.drafted"


def test_saving_again_keeps_one_draft_and_one_line_of_audit(operator_client: Client, plant: Plant) -> None:
    mark = save(operator_client, plant, rows_with(40), mark=0).json()["mark"]

    save(operator_client, plant, rows_with(40, 50), mark=mark)

    assert PlanVersion.objects.get().slots.count() == 2
    assert AuditEntry.objects.count() == 1


def test_the_second_saver_is_shown_what_the_first_one_made_and_writes_nothing(
    operator_client: Client, plant: Plant
) -> None:
    theirs = draft_of(plant, TOMORROW, at=AT)

    answer = save(operator_client, plant, rows_with(40), mark=0).json()

    assert answer["outcome"] == "changed"
    assert answer["by"] == "operator"
    assert answer["version"]["id"] == theirs.pk
    assert sum(row is not None for row in answer["rows"]) == theirs.slots.count() > 1


def test_with_the_mark_of_what_was_shown_the_second_saver_wins(operator_client: Client, plant: Plant) -> None:
    theirs = draft_of(plant, TOMORROW, at=AT)
    mark = save(operator_client, plant, rows_with(40), mark=0).json()["mark"]

    answer = save(operator_client, plant, rows_with(40), mark=mark).json()

    assert answer["outcome"] == "saved"
    assert theirs.slots.count() == 1


def test_slots_that_have_begun_stay_as_they_are_published(operator_client: Client, plant: Plant) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))
    read = document(operator_client, plant, TODAY)
    rows = [None if row else SLOT for row in read["rows"]]

    answer = save(operator_client, plant, rows, mark=read["mark"], day=TODAY).json()

    kept = document(operator_client, plant, TODAY)["rows"]
    assert answer["refused"] == list(range(17))
    assert kept[:17] == read["published"]["rows"][:17]
    assert kept[17:] == rows[17:]


def test_a_slot_that_begins_between_typing_and_saving_is_named(operator_client: Client, plant: Plant) -> None:
    with clock.frozen(AT + timedelta(minutes=16)):
        answer = save(operator_client, plant, rows_with(17, 18), mark=0, day=TODAY).json()

    assert answer["refused"] == [17]
    assert PlanVersion.objects.get().slots.count() == 1


def test_a_day_as_it_was_makes_no_draft(operator_client: Client, plant: Plant) -> None:
    answer = save(operator_client, plant, rows_with(), mark=0).json()

    assert answer["outcome"] == "saved"
    assert not PlanVersion.objects.exists()


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (rows_with(size=95), "OTHER_GRID"),
        ("all", "OTHER_GRID"),
        (rows_with(3, slot={**SLOT, "value": -1}), "OUT_OF_RANGE"),
        (rows_with(3, slot={**SLOT, "value": True}), "NOT_A_NUMBER"),
        (rows_with(3, slot={**SLOT, "direction": "UP"}), "UNKNOWN_WORD"),
        (rows_with(3, slot={**SLOT, "priority": "EMERGENCY"}), "UNKNOWN_WORD"),
        (rows_with(3, slot=[]), "NOT_A_SLOT"),
    ],
)
def test_what_is_no_day_is_refused_with_its_code(
    operator_client: Client, plant: Plant, rows: Any, code: str
) -> None:
    answer = save(operator_client, plant, rows, mark=0)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not PlanVersion.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"slots": 1e999}', b"[" * 100_000])
def test_bytes_that_are_no_day_are_refused(operator_client: Client, plant: Plant, body: bytes) -> None:
    answer = operator_client.post(address(plant, TOMORROW, "save/"), body, content_type="application/json")

    assert answer.status_code == 422


def test_a_save_that_does_not_say_what_it_knew_is_refused(operator_client: Client, plant: Plant) -> None:
    answer = operator_client.post(
        address(plant, TOMORROW, "save/"),
        json.dumps({"slots": rows_with(3)}),
        content_type="application/json",
    )

    assert answer.json()["code"] == "MARK_MISSING"


def test_a_viewer_saves_nothing(viewer_client: Client, plant: Plant) -> None:
    assert save(viewer_client, plant, rows_with(3), mark=0).status_code == 403
    assert not PlanVersion.objects.exists()


def test_the_plant_of_somebody_else_is_not_saved(operator_client: Client) -> None:
    assert save(operator_client, factories.plant(), rows_with(3), mark=0).status_code == 404


# --- checking while one types -----------------------------------------------------------------------------------------


def check(client: Client, plant: Plant, rows: list[Any], day: Any = TOMORROW) -> Any:
    return client.post(
        address(plant, day, "check/"), json.dumps({"slots": rows}), content_type="application/json"
    )


def test_a_check_names_slot_limit_excess_and_what_fits_and_stores_nothing(
    operator_client: Client, plant: Plant
) -> None:
    answer = check(operator_client, plant, rows_with(40, slot={**SLOT, "value": 70})).json()

    found = next(one for one in answer["findings"] if one["code"] == "SITE_LIMIT")
    assert (found["slot"], found["limit"], found["overBy"], found["nearest"]) == (40, 50.0, 20.0, 50.0)
    assert found["severity"] == "ERROR"
    assert not PlanVersion.objects.exists()


def test_the_nearest_value_fits_when_it_is_used(operator_client: Client, plant: Plant) -> None:
    first = check(operator_client, plant, rows_with(40, slot={**SLOT, "value": 70})).json()["findings"]
    nearest = min(one["nearest"] for one in first if one["severity"] == "ERROR")

    again = check(operator_client, plant, rows_with(40, slot={**SLOT, "value": nearest})).json()["findings"]

    assert not [one for one in again if one["severity"] == "ERROR"]


def test_the_expected_charge_falls_with_an_export_and_rests_between_slots(
    operator_client: Client, make_plant: Any
) -> None:
    plant = make_plant(capacity_kwh=80.0)

    points = check(operator_client, plant, rows_with(40)).json()["charge"]["points"]

    assert points[39] > points[40] == points[41] == points[95]


def test_a_plant_without_a_battery_has_no_charge(operator_client: Client, plant: Plant) -> None:
    assert check(operator_client, plant, rows_with(40)).json()["charge"] is None


def test_the_day_of_a_check_is_the_plants_own(operator_client: Client, make_plant: Any) -> None:
    plant = make_plant(time_zone="Pacific/Auckland")
    day = local_day_of(AT, zone="Pacific/Auckland").day

    answer = check(operator_client, plant, rows_with(3), day=day).json()

    assert answer["locked"] == 65
