"""POST /trading/plant/config/update."""

from typing import Any

import pytest
from pytest_django import Settings

from plants.models import Plant, UpdatePolicy
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import PERSON, Voke, newest_row, wire
from trading_api.mapping import parse_result_codes
from trading_api.models import ConfigUpdateRequest
from trading_api.services import approve_update, refuse_update

pytestmark = pytest.mark.django_db


def hold(voke: Voke) -> None:
    Plant.objects.filter(pk=voke.plant.pk).update(update_policy=UpdatePolicy.REVIEW)


def paths(answer: Any) -> list[str]:
    return [detail["path"] for detail in answer.json()["details"]]


def test_an_update_that_is_applied_is_answered_terminal(voke: Voke) -> None:
    voke.config()
    answer = voke.update(wire("00:00", "11:59"), wire("12:00", "23:59", power_kw=5))
    assert answer.status_code == 200
    assert sorted(answer.json()) == ["message", "requestId", "resultCode", "terminal"]
    assert (answer.json()["resultCode"], answer.json()["terminal"]) == ("APPLIED", True)
    assert [item["to"] for item in voke.config().json()["timeConfigs"]] == ["11:59", "23:59"]


def test_the_journal_shows_what_was_asked_and_what_came_of_it(voke: Voke) -> None:
    voke.config()
    voke.update(wire())
    row = newest_row()
    assert (row.endpoint, row.plant, row.version, row.result) == ("update", voke.plant, 1, "APPLIED")
    assert '"pBatMin":-10' in row.body
    assert row.bytes_in > 100
    assert row.bytes_out > 50


def test_an_update_that_is_held_is_answered_open_and_after_its_approval_terminal(voke: Voke) -> None:
    hold(voke)
    first = voke.update(wire()).json()
    approve_update(update_id=ConfigUpdateRequest.objects.get().pk, author=PERSON, at=AT)
    second = voke.update(wire()).json()
    assert [(answer["resultCode"], answer["terminal"]) for answer in (first, second)] == [
        ("ACCEPTED", False),
        ("APPLIED", True),
    ]
    assert first["requestId"] == second["requestId"]


def test_after_its_refusal_it_is_answered_rejected_with_the_same_id(voke: Voke) -> None:
    hold(voke)
    first = voke.update(wire()).json()
    refuse_update(update_id=ConfigUpdateRequest.objects.get().pk, author=PERSON, at=AT)
    second = voke.update(wire()).json()
    assert (second["resultCode"], second["terminal"], second["requestId"]) == (
        "REJECTED",
        True,
        first["requestId"],
    )


def test_blocks_that_break_rules_are_understood_and_rejected(voke: Voke) -> None:
    answer = voke.update(wire("00:00", "12:00"), wire("12:00", "23:59"))
    assert (answer.status_code, answer.json()["resultCode"], answer.json()["terminal"]) == (
        200,
        "REJECTED",
        True,
    )
    assert answer.json()["details"] == [
        {
            "path": "timeConfigs[1].from",
            "code": "VALIDATION_ERROR",
            "message": "overlaps the block from 00:00",
        }
    ]


def test_result_codes_follow_the_setting_also_in_the_journal(voke: Voke, settings: Settings) -> None:
    settings.TRADING_RESULT_CODES = parse_result_codes(["REJECTED=NOPE:terminal"])
    assert voke.update().json()["resultCode"] == "NOPE"
    assert newest_row().result == "NOPE"


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (wire(pBatMin="-10"), "pBatMin"),
        (wire(pBatMin=True), "pBatMin"),
        (wire(pBatMax=None), "pBatMax"),
        (wire(pBatMax=1e300), "pBatMax"),
        (wire(socMin=[20]), "socMin"),
        (wire("0:00"), "from"),
        (wire("00:00", "24:00"), "to"),
        (wire(to=2359), "to"),
        ({key: value for key, value in wire().items() if key != "socMax"}, "socMax"),
    ],
)
def test_a_field_of_the_wrong_type_is_400_with_its_path(voke: Voke, item: dict[str, Any], path: str) -> None:
    answer = voke.update(wire(), item)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert paths(answer) == [f"timeConfigs[1].{path}"]


def test_every_wrong_field_is_named(voke: Voke) -> None:
    answer = voke.update(wire(pBatMin="x"), wire("x"))
    assert paths(answer) == ["timeConfigs[0].pBatMin", "timeConfigs[1].from"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"timeConfigs": None}, "timeConfigs"),
        ({"timeConfigs": {}}, "timeConfigs"),
        ({"timeConfigs": ["x"]}, "timeConfigs[0]"),
        ({"timeConfigs": [wire()] * 97}, "timeConfigs"),
        ({"plantId": 7}, "plantId"),
        ({"plantId": None}, "plantId"),
        ({"plantId": ""}, "plantId"),
        ({"externalPlantId": "OTHER"}, "plantId"),
    ],
)
def test_a_body_of_the_wrong_shape_is_400_with_its_path(
    voke: Voke, changes: dict[str, Any], path: str
) -> None:
    answer = voke.update(wire(), **changes)
    assert (answer.status_code, paths(answer)) == (400, [path])


def test_a_body_without_its_plant_is_400(voke: Voke) -> None:
    answer = voke.post("/trading/plant/config/update", {"timeConfigs": [wire()]})
    assert (answer.status_code, paths(answer)) == (400, ["plantId"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"plantId":"A"', "MALFORMED_JSON"),
        ('{"plantId":"A","plantId":"B","timeConfigs":[]}', "DUPLICATE_KEY"),
        ('{"plantId":"A","timeConfigs":[{"from":"00:00","from":"01:00"}]}', "DUPLICATE_KEY"),
        ('{"plantId":"A","timeConfigs":NaN}', "INVALID_NUMBER"),
        ('{"plantId":"A\\u0000"}', "INVALID_TEXT"),
        ('{"plantId":"\\ud800"}', "INVALID_TEXT"),
        ('{"a":' * 100 + "1" + "}" * 100, "TOO_DEEP"),
        (b'{"plantId":"\xff"}', "INVALID_TEXT"),
        ("[]", "NOT_AN_OBJECT"),
    ],
)
def test_what_is_no_strict_json_object_is_400(voke: Voke, body: Any, code: str) -> None:
    answer = voke.post("/trading/plant/config/update", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert answer.json()["details"][0]["code"] == code
    assert newest_row().organisation == voke.plant.organisation


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
)
def test_a_body_that_is_not_json_in_utf_8_is_415(voke: Voke, kind: str) -> None:
    assert voke.post("/trading/plant/config/update", "{}", content_type=kind).status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=UTF-8"])
def test_json_may_be_announced_in_any_usual_way(voke: Voke, kind: str) -> None:
    assert voke.post("/trading/plant/config/update", "{}", content_type=kind).status_code == 400


def test_members_that_we_do_not_know_are_left_alone(voke: Voke) -> None:
    voke.config()
    assert voke.update(wire(id="7f3c", createdAt="x"), source="voke").json()["resultCode"] == "APPLIED"


def test_the_plant_may_be_named_by_either_name_or_both(voke: Voke) -> None:
    body = {"externalPlantId": voke.ref, "timeConfigs": []}
    assert voke.post("/trading/plant/config/update", body).status_code == 200
    assert voke.post("/trading/plant/config/update", body | {"plantId": voke.ref}).status_code == 200


@pytest.mark.parametrize("ref", ["UNKNOWN", "a b", "ž" * 100])
def test_an_update_of_an_unknown_plant_is_404(voke: Voke, ref: str) -> None:
    answer = voke.update(wire(), plantId=ref)
    assert (answer.status_code, answer.json()["code"]) == (404, "PLANT_NOT_FOUND")
    assert newest_row().plant_ref == ref


def test_an_update_of_another_organisations_plant_is_404_and_changes_nothing(voke: Voke) -> None:
    foreign = factories.plant(update_policy=UpdatePolicy.APPLY)
    assert voke.update(wire(), plantId=foreign.external_plant_id).status_code == 404
    assert ConfigUpdateRequest.objects.count() == 0


def test_a_body_beyond_the_limit_is_413(voke: Voke, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = voke.update(wire())
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert newest_row().credential == voke.credential
