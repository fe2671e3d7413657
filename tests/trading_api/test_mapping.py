"""The wire's spelling of list, config and update."""

import msgspec
import pytest
from pytest_django import Settings

from tests.trading_api.conftest import block, wire
from trading_api import mapping
from trading_api.mapping import Outcome, ResultCode, parse_result_codes, parse_wire_names

ROW = ("PLANT-7", "Depot", "", 100.0, 80.5, 1, True, "READY")


def test_a_plant_carries_both_id_names_and_whole_numbers_without_a_fraction() -> None:
    assert msgspec.to_builtins(mapping.plants_to_wire([ROW])[0]) == {
        "plantId": "PLANT-7",
        "externalPlantId": "PLANT-7",
        "name": "Depot",
        "description": None,
        "capacityKwh": 100,
        "fvePeakPowerKwp": 80.5,
        "plantWithLoad": True,
        "configEnabled": True,
        "esiState": "READY",
    }


def test_the_list_is_a_bare_array_or_wrapped_under_the_key_of_the_setting(settings: Settings) -> None:
    bare = mapping.list_to_wire([{"name": "Depot"}])
    settings.TRADING_LIST_KEY = "plants"
    assert (bare, mapping.list_to_wire([{"name": "Depot"}])) == (
        [{"name": "Depot"}],
        {"plants": [{"name": "Depot"}]},
    )


def test_the_last_minute_of_a_block_is_inclusive_on_the_wire_and_the_day_ends_at_23_59() -> None:
    assert mapping.blocks_to_wire([block(0, 360), block(360, 1440)]) == [
        {"from": "00:00", "to": "05:59", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95},
        {"from": "06:00", "to": "23:59", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95},
    ]


@pytest.mark.parametrize(("start", "end"), [("00:00", "23:59"), ("00:00", "00:00"), ("05:30", "05:59")])
def test_a_block_survives_the_way_in_and_out(start: str, end: str) -> None:
    assert mapping.blocks_to_wire([mapping.block_from_wire(wire(start, end))]) == [wire(start, end)]


@pytest.mark.parametrize("text", ["24:00", "5:00", "05:60", "0500", "05:00 ", "٠٥:٠٠", "", "05:00:00"])
def test_a_wall_clock_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM"):
        mapping.parse_wall_clock(text)


def test_battery_power_changes_its_sign_where_the_wire_counts_discharging_as_positive(
    settings: Settings,
) -> None:
    settings.TRADING_PBAT_SIGN = "discharge"
    inside = mapping.block_from_wire(wire(pBatMin=-5, pBatMax=30))
    assert (inside.p_bat_min_kw, inside.p_bat_max_kw) == (-30.0, 5.0)
    assert mapping.blocks_to_wire([inside]) == [wire(pBatMin=-5, pBatMax=30)]


def test_result_codes_take_the_names_and_flags_of_the_setting(settings: Settings) -> None:
    settings.TRADING_RESULT_CODES = parse_result_codes(["ACCEPTED=QUEUED:open", "APPLIED=DONE:terminal"])
    answer = mapping.update_to_wire(Outcome.ACCEPTED, message="m", request_id="r")
    assert answer == {"resultCode": "QUEUED", "terminal": False, "message": "m", "requestId": "r"}
    assert mapping.result_code(Outcome.REJECTED) == ResultCode(name="REJECTED", terminal=True)


@pytest.mark.parametrize(
    "word",
    [
        "ACCEPTED",
        "ACCEPTED=X",
        "ACCEPTED=X:maybe",
        "OTHER=X:open",
        "ACCEPTED=a b:open",
        "ACCEPTED=APPLIED:open",
    ],
)
def test_a_result_code_that_makes_no_sense_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"OUTCOME|name of its own"):
        parse_result_codes([word])


@pytest.mark.parametrize("words", [[], ["plantId", "plantId"], ["plant-id"], ["x" * 33]])
def test_wire_names_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="different names"):
        parse_wire_names(words)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TRADING_LIST_KEY", "data"), ("TRADING_PBAT_SIGN", "discharge"), ("TRADING_PLANT_ID_FIELDS", ("id",))],
)
def test_the_digest_follows_every_setting_that_changes_a_body(
    settings: Settings, name: str, value: object
) -> None:
    before = mapping.mapping_digest()
    setattr(settings, name, value)
    assert mapping.mapping_digest() != before
