"""One pass and one refusal for each rule of the site configuration."""

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, failure, payload_of
from vcp import Family


def test_every_limit_is_optional() -> None:
    assert vcp.parse_payload(Family.CONFIG_CONSTRAINTS, {}) == vcp.Constraints()
    assert vcp.to_wire(vcp.Constraints()) == {}


@pytest.mark.parametrize("name", ["maxImportKw", "maxExportKw", "maxChargeKw", "maxDischargeKw"])
def test_a_power_limit_is_never_negative(name: str) -> None:
    error = failure(Family.CONFIG_CONSTRAINTS, {name: -1})

    assert (error.code, error.path) == ("INVALID_VALUE", f"payload.{name}")


@pytest.mark.parametrize("name", ["socMinPercent", "socMaxPercent"])
@pytest.mark.parametrize("value", [-0.5, 100.5])
def test_a_state_of_charge_lies_between_0_and_100(name: str, value: float) -> None:
    error = failure(Family.CONFIG_CONSTRAINTS, {name: value})

    assert (error.code, error.path) == ("INVALID_VALUE", f"payload.{name}")


def test_the_upper_state_of_charge_is_not_below_the_lower() -> None:
    error = failure(Family.CONFIG_CONSTRAINTS, {"socMinPercent": 50, "socMaxPercent": 49})

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.socMaxPercent")


def test_both_states_of_charge_may_be_equal() -> None:
    parsed = vcp.parse_payload(Family.CONFIG_CONSTRAINTS, {"socMinPercent": 50, "socMaxPercent": 50})

    assert parsed == vcp.Constraints(soc_min_pct=50.0, soc_max_pct=50.0)


def test_a_topology_may_be_empty_and_says_so() -> None:
    parsed = vcp.parse_payload(Family.CONFIG_TOPOLOGY, {"assets": []})

    assert vcp.to_wire(parsed) == {"assets": []}


def test_an_external_id_stands_once_in_a_topology() -> None:
    assets = [*PAYLOADS[Family.CONFIG_TOPOLOGY]["assets"], {"deviceId": "B1", "assetType": "FVE"}]

    error = failure(Family.CONFIG_TOPOLOGY, {"assets": assets})

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.assets[2].deviceId")


def test_a_topology_has_a_bounded_number_of_assets() -> None:
    assets = [{"deviceId": f"M{n}", "assetType": "METER"} for n in range(vcp.MAX_ASSETS + 1)]

    error = failure(Family.CONFIG_TOPOLOGY, {"assets": assets})

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.assets")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("deviceId", "b1"),
        ("assetType", "TOASTER"),
        ("name", "x" * 201),
        ("ratedPowerKw", -1),
        ("capacityKwh", -1),
    ],
)
def test_an_asset_member_out_of_bounds_is_refused(member: str, value: object) -> None:
    asset = {"deviceId": "B1", "assetType": "BESS", member: value}

    error = failure(Family.CONFIG_TOPOLOGY, {"assets": [asset]})

    assert (error.code, error.path) == ("INVALID_VALUE", f"payload.assets[0].{member}")


@pytest.mark.parametrize("seconds", [0, -1, vcp.MAX_FALLBACK_AFTER_S + 1])
def test_a_fallback_begins_after_a_second_to_a_week(seconds: int) -> None:
    error = failure(Family.CONFIG_FALLBACK, payload_of(Family.CONFIG_FALLBACK, afterSeconds=seconds))

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.afterSeconds")


def test_a_fallback_reads_as_typed_values() -> None:
    parsed = vcp.parse_payload(Family.CONFIG_FALLBACK, {"mode": "ZERO_EXPORT", "afterSeconds": 60})

    assert parsed == vcp.Fallback(mode=vcp.OperatingMode.ZERO_EXPORT, after_s=60)


def test_a_fallback_mode_is_one_of_the_seven() -> None:
    error = failure(Family.CONFIG_FALLBACK, {"mode": "TURBO", "afterSeconds": 60})

    assert (error.code, error.path) == ("INVALID_VALUE", "payload.mode")
