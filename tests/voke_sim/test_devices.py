"""command.device: one order per device, judged one by one, carried out together."""

from typing import Any

import pytest

from tests.voke_sim.harness import ROOF, Partner
from vcp import Family
from voke_sim.faults import FaultKind, FaultRule


@pytest.fixture
def partner() -> Partner:
    partner = Partner()
    partner.publish_topology()
    return partner


def battery(command: str, device: str = "B1", **params: Any) -> tuple[str, str, str, dict[str, Any] | None]:
    return (device, "BESS", command, params or None)


def pv(command: str, **params: Any) -> tuple[str, str, str, dict[str, Any] | None]:
    return ("PV1", "FVE", command, params or None)


def power_kw(partner: Partner, device: str) -> float:
    plant = partner.site().plant
    return plant.batteries[device].power_kw if device in plant.batteries else plant.pv_kw[device]


def code(partner: Partner, correlation: str) -> str:
    partner.tick()
    ack = partner.ack(correlation)
    assert ack["status"] == "REJECTED"
    return str(ack["rejectionCode"])


@pytest.mark.parametrize(
    ("command", "params", "expected_kw"),
    [
        ("BESS_CHARGE", {"powerKw": 12.5}, 12.5),
        ("BESS_DISCHARGE", {"powerKw": 30}, -30),
        ("BESS_CONTINUOUS_CHARGE", {}, 50),
        ("BESS_CONTINUOUS_CHARGE", {"powerKw": 8}, 8),
    ],
)
def test_a_battery_runs_at_the_power_it_was_told(
    partner: Partner, command: str, params: dict[str, Any], expected_kw: float
) -> None:
    correlation = partner.device(battery(command, **params))
    last = partner.completed(correlation)

    assert power_kw(partner, "B1") == pytest.approx(expected_kw, abs=0.01)
    assert last["targetValueKw"] == pytest.approx(expected_kw)
    assert last["commandType"] == "device"


def test_stop_takes_a_battery_to_zero(partner: Partner) -> None:
    partner.completed(partner.device(battery("BESS_CHARGE", powerKw=40)))
    partner.completed(partner.device(battery("BESS_STOP")))

    assert power_kw(partner, "B1") == pytest.approx(0, abs=0.01)


def test_charge_only_forbids_discharging_but_leaves_charging_to_whoever_steers(partner: Partner) -> None:
    partner.completed(partner.device(battery("BESS_CHARGE_ONLY", "B1"), battery("BESS_CHARGE_ONLY", "B2")))
    partner.mode("LOCAL_OPTIMIZATION")
    partner.tick()
    partner.completed(partner.device(battery("BESS_CHARGE_ONLY", "B1"), battery("BESS_CHARGE_ONLY", "B2")))
    partner.run(5)
    assert power_kw(partner, "B1") > 5  # surplus of the sun

    partner.completed(partner.device(pv("FVE_STOP"), ("PV2", "INVERTER", "FVE_STOP", None)))
    partner.run(10)
    assert power_kw(partner, "B1") == pytest.approx(0, abs=0.01)


def test_discharge_only_forbids_charging(partner: Partner) -> None:
    partner.mode("LOCAL_OPTIMIZATION")
    partner.tick()
    partner.completed(
        partner.device(battery("BESS_DISCHARGE_ONLY", "B1"), battery("BESS_DISCHARGE_ONLY", "B2"))
    )
    partner.run(5)

    assert power_kw(partner, "B1") == pytest.approx(0, abs=0.01)
    assert partner.site().plant.grid_kw < -20


def test_percent_is_a_ceiling_in_percent_of_the_peak_power(partner: Partner) -> None:
    partner.completed(partner.device(pv("FVE_REDUCE_PERCENT", percent=25)))

    assert power_kw(partner, "PV1") == pytest.approx(10, abs=0.01)


def test_percent_can_be_read_as_a_cut_by_setting() -> None:
    partner = Partner(protocol={"fve_reduction": "cut"})
    partner.publish_topology()
    partner.completed(partner.device(pv("FVE_REDUCE_PERCENT", percent=70)))

    assert power_kw(partner, "PV1") == pytest.approx(12, abs=0.01)


def test_reduce_power_is_a_ceiling_and_produce_max_lifts_it(partner: Partner) -> None:
    partner.completed(partner.device(pv("FVE_REDUCE_POWER", powerKw=7)))
    assert power_kw(partner, "PV1") == pytest.approx(7, abs=0.01)

    partner.completed(partner.device(pv("FVE_PRODUCE_MAX")))
    assert power_kw(partner, "PV1") == pytest.approx(partner.site().plant.pv_available_kw["PV1"], abs=0.5)


def test_fve_stop_takes_pv_to_zero(partner: Partner) -> None:
    partner.completed(partner.device(pv("FVE_STOP")))

    assert power_kw(partner, "PV1") == 0


def test_an_unknown_device_is_offline(partner: Partner) -> None:
    assert code(partner, partner.device(battery("BESS_STOP", "B9"))) == "DEVICE_OFFLINE"


def test_a_device_that_is_published_but_does_not_stand_there_is_offline(partner: Partner) -> None:
    assert code(partner, partner.device(battery("BESS_STOP", "GONE"))) == "DEVICE_OFFLINE"


def test_before_a_topology_was_published_every_device_is_offline() -> None:
    partner = Partner()

    assert code(partner, partner.device(battery("BESS_STOP"))) == "DEVICE_OFFLINE"


def test_a_device_that_left_the_topology_is_offline(partner: Partner) -> None:
    partner.send(Family.CONFIG_TOPOLOGY, {"assets": [{"deviceId": "B2", "assetType": "BESS"}]})
    partner.tick()

    assert code(partner, partner.device(battery("BESS_STOP", "B1"))) == "DEVICE_OFFLINE"


def test_a_device_that_cannot_be_reached_is_offline(partner: Partner) -> None:
    partner.engine.faults.add(FaultRule(kind=FaultKind.DEVICE_OFFLINE, device="B1"))

    assert code(partner, partner.device(battery("BESS_STOP"))) == "DEVICE_OFFLINE"


def test_a_broken_device_answers_device_fault(partner: Partner) -> None:
    partner.engine.faults.add(FaultRule(kind=FaultKind.DEVICE_FAULT, device="B1", site="DEPOT"))

    assert code(partner, partner.device(battery("BESS_STOP"))) == "DEVICE_FAULT"


@pytest.mark.parametrize(
    "command",
    [
        ("PV1", "FVE", "BESS_STOP", None),
        ("B1", "BESS", "FVE_STOP", None),
        ("B1", "FVE", "FVE_STOP", None),
        ("M1", "METER", "BESS_STOP", None),
        ("B1", "BESS", "BESS_CHARGE", None),
        ("PV1", "FVE", "FVE_REDUCE_PERCENT", {"powerKw": 5}),
    ],
)
def test_a_command_that_does_not_fit_its_asset_is_an_invalid_command(
    partner: Partner, command: tuple[str, str, str, dict[str, Any] | None]
) -> None:
    assert code(partner, partner.device(command)) == "INVALID_COMMAND"


def test_a_command_that_no_asset_of_the_site_could_carry_out_is_unsupported(partner: Partner) -> None:
    correlation = partner.device(("PV1", "FVE", "BESS_CHARGE", {"powerKw": 5}), site=ROOF)

    assert code(partner, correlation) == "UNSUPPORTED_FOR_TOPOLOGY"


def test_a_mixed_batch_is_partial_with_one_result_per_device(partner: Partner) -> None:
    correlation = partner.device(
        battery("BESS_CHARGE", powerKw=10), battery("BESS_STOP", "B9"), pv("FVE_REDUCE_POWER", powerKw=5)
    )
    partner.tick()

    ack = partner.ack(correlation)
    assert ack["status"] == "PARTIAL"
    assert [(r["deviceId"], r["status"], r.get("rejectionCode")) for r in ack["results"]] == [
        ("B1", "ACCEPTED", None),
        ("B9", "REJECTED", "DEVICE_OFFLINE"),
        ("PV1", "ACCEPTED", None),
    ]
    partner.completed(correlation)
    assert power_kw(partner, "B1") == pytest.approx(10, abs=0.01)
    assert power_kw(partner, "PV1") == pytest.approx(5, abs=0.01)


def test_a_batch_refused_as_a_whole_is_rejected_with_all_results(partner: Partner) -> None:
    correlation = partner.device(battery("BESS_STOP", "B9"), ("B1", "BESS", "FVE_STOP", None))
    partner.tick()

    ack = partner.ack(correlation)
    assert (ack["status"], ack["rejectionCode"], len(ack["results"])) == ("REJECTED", "DEVICE_OFFLINE", 2)
    assert partner.statuses(correlation) == []


def test_a_device_named_twice_in_a_batch_is_refused_the_second_time(partner: Partner) -> None:
    correlation = partner.device(battery("BESS_CHARGE", powerKw=10), battery("BESS_STOP"))
    partner.tick()

    assert [r["status"] for r in partner.ack(correlation)["results"]] == ["ACCEPTED", "REJECTED"]


@pytest.mark.parametrize(
    ("command", "limits", "field"),
    [
        (battery("BESS_CHARGE", powerKw=31), {"maxChargeKw": 30}, "maxChargeKw"),
        (battery("BESS_DISCHARGE", powerKw=31), {"maxDischargeKw": 30}, "maxDischargeKw"),
        (battery("BESS_CHARGE", powerKw=5), {"socMaxPercent": 50}, "socMaxPercent"),
        (battery("BESS_DISCHARGE", powerKw=5), {"socMinPercent": 50}, "socMinPercent"),
    ],
)
def test_a_breach_of_a_site_limit_is_a_constraint_violation_with_its_alarm(
    partner: Partner,
    command: tuple[str, str, str, dict[str, Any] | None],
    limits: dict[str, float],
    field: str,
) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, limits)
    partner.tick()

    assert code(partner, partner.device(command)) == "CONSTRAINT_VIOLATION"
    [alarm] = partner.alarms()
    assert (alarm["code"], alarm["breachedField"], alarm["deviceId"]) == ("CONSTRAINT_VIOLATION", field, "B1")
    assert alarm["expectedValue"] == limits[field]


def test_the_limits_hold_for_the_batch_together(partner: Partner) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxChargeKw": 30})
    partner.tick()
    correlation = partner.device(
        battery("BESS_CHARGE", "B1", powerKw=20), battery("BESS_CHARGE", "B2", powerKw=20)
    )
    partner.tick()

    assert [r["status"] for r in partner.ack(correlation)["results"]] == ["ACCEPTED", "REJECTED"]


def test_respect_limits_clamps_instead_of_refusing(partner: Partner) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxChargeKw": 30})
    partner.tick()
    correlation = partner.device(battery("BESS_CHARGE", powerKw=45, respectLimits=True))
    last = partner.completed(correlation)

    assert partner.ack(correlation)["status"] == "ACCEPTED"
    assert (power_kw(partner, "B1"), last["targetValueKw"]) == (pytest.approx(30, abs=0.01), 30)
    assert partner.alarms() == []


def test_respect_limits_clamps_to_the_rating_where_the_site_has_no_limit(partner: Partner) -> None:
    last = partner.completed(partner.device(battery("BESS_CHARGE", powerKw=900, respectLimits=True)))

    assert last["targetValueKw"] == 50


def test_without_respect_limits_a_power_beyond_the_rating_ends_deviated(partner: Partner) -> None:
    correlation = partner.device(battery("BESS_CHARGE", powerKw=900, respectLimits=False))
    partner.run(15)

    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]
    assert "B1" in partner.executions(correlation)[-1]["reason"]


def test_a_newer_order_for_the_device_ends_the_older_command(partner: Partner) -> None:
    first = partner.device(battery("BESS_CHARGE", powerKw=50))
    partner.tick(0.1)
    second = partner.device(battery("BESS_DISCHARGE", powerKw=20))
    partner.completed(second)

    assert partner.statuses(first) == ["EXECUTING", "DEVIATED"]
    assert power_kw(partner, "B1") == pytest.approx(-20, abs=0.01)


def test_a_newer_normal_setpoint_takes_the_devices_back(partner: Partner) -> None:
    partner.completed(partner.device(battery("BESS_CHARGE", powerKw=50), pv("FVE_STOP")))
    partner.completed(partner.setpoint(20))

    assert partner.site().state.device_orders == {}
    assert power_kw(partner, "PV1") > 10


def test_a_newer_device_order_is_kept_under_a_normal_setpoint_which_uses_the_other_devices(
    partner: Partner,
) -> None:
    partner.completed(partner.setpoint(10, "IMPORT"))
    partner.completed(partner.device(battery("BESS_DISCHARGE", "B2", powerKw=15)))
    partner.run(5)

    assert power_kw(partner, "B2") == pytest.approx(-15, abs=0.01)
    assert partner.site().plant.grid_kw == pytest.approx(10, abs=0.6)


def test_a_device_command_under_a_high_setpoint_is_queued_until_that_ends(partner: Partner) -> None:
    partner.completed(partner.setpoint(10, priority="HIGH"))
    correlation = partner.device(battery("BESS_DISCHARGE", powerKw=20))
    partner.run(3)
    assert (partner.ack(correlation)["status"], partner.statuses(correlation)) == ("QUEUED", [])

    partner.mode("STANDARD")  # ends the open-ended HIGH target
    partner.completed(correlation)
    assert power_kw(partner, "B1") == pytest.approx(-20, abs=0.01)


def test_grid_limits_stand_above_an_order_to_a_device(partner: Partner) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxImportKw": 5})
    partner.tick()
    correlation = partner.device(battery("BESS_CHARGE", powerKw=50), pv("FVE_STOP"))
    partner.run(15)

    assert partner.site().plant.grid_kw <= 5.01
    assert "COMPLETED" not in partner.statuses(correlation)
