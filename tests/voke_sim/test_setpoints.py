"""command.site-setpoint: targets, validity, priorities, energy."""

from datetime import timedelta

import pytest

from tests.voke_sim.harness import OFFICE, ROOF, START, Partner, site_documents
from vcp import Family, format_timestamp
from voke_sim.faults import FaultKind, FaultRule


def later(partner: Partner, seconds: float) -> str:
    return format_timestamp(partner.at + timedelta(seconds=seconds))


def energy(partner: Partner, kwh: float, minutes: int, **members: object) -> str:
    return partner.setpoint(
        0,
        **{
            "type": "ENERGY",
            "targetValueKw": None,
            "targetValueKwh": kwh,
            "intervalMinutes": minutes,
            "direction": "IMPORT",
            **members,
        },
    )


def test_a_power_setpoint_is_accepted_then_executing_then_completed_with_its_values() -> None:
    partner = Partner()
    correlation = partner.setpoint(20)
    partner.tick()

    assert partner.ack(correlation) == {"status": "ACCEPTED", "commandType": "site-setpoint"}
    last = partner.completed(correlation)
    assert partner.statuses(correlation) == ["EXECUTING", "COMPLETED"]
    assert (last["targetValueKw"], last["commandType"]) == (-20, "site-setpoint")
    assert last["actualValueKw"] == pytest.approx(-20, abs=0.6)


@pytest.mark.parametrize(("direction", "sign"), [("IMPORT", 1), ("EXPORT", -1)])
def test_with_consumption_the_target_is_the_power_at_the_grid(direction: str, sign: int) -> None:
    partner = Partner()
    partner.completed(partner.setpoint(25, direction, includeConsumption=True))

    assert partner.site().plant.grid_kw == pytest.approx(sign * 25, abs=0.6)


@pytest.mark.parametrize(("direction", "sign"), [("IMPORT", 1), ("EXPORT", -1)])
def test_without_consumption_the_target_is_what_the_devices_alone_take_or_give(
    direction: str, sign: int
) -> None:
    partner = Partner()
    partner.completed(partner.setpoint(25, direction, includeConsumption=False))

    plant = partner.site().plant
    assert plant.battery_total_kw - plant.pv_total_kw == pytest.approx(sign * 25, abs=0.6)
    assert plant.grid_kw == pytest.approx(sign * 25 + plant.load_kw, abs=0.6)


def test_a_target_that_devices_cannot_reach_is_deviated_with_the_deviation() -> None:
    partner = Partner()
    correlation = partner.setpoint(500)
    partner.run(15)

    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]
    last = partner.executions(correlation)[-1]
    assert last["deviationKw"] == pytest.approx(last["actualValueKw"] - last["targetValueKw"], abs=0.01)
    assert last["deviationKw"] > 300
    assert last["reason"]


def test_a_deviated_command_that_reaches_its_target_later_is_completed_after_all() -> None:
    partner = Partner()
    fault = partner.engine.faults.add(device_fault("B1"))
    correlation = partner.setpoint(100)
    partner.run(15)
    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]

    assert partner.engine.faults.remove(fault)
    partner.run(15)
    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED", "COMPLETED"]


def device_fault(device: str) -> FaultRule:
    return FaultRule(kind=FaultKind.DEVICE_FAULT, device=device)


def test_curtailment_serves_a_target_below_the_sun_on_a_site_without_battery() -> None:
    partner = Partner()
    partner.completed(partner.setpoint(8, site=ROOF))

    plant = partner.site(ROOF).plant
    assert plant.grid_kw == pytest.approx(-8, abs=0.6)
    assert plant.pv_total_kw < sum(plant.pv_available_kw.values())


def test_a_later_valid_from_queues_the_command_until_its_time() -> None:
    partner = Partner()
    correlation = partner.setpoint(20, validFrom=later(partner, 30))
    partner.run(29)
    assert (partner.ack(correlation)["status"], partner.statuses(correlation)) == ("QUEUED", [])
    assert partner.counts()["effects"] == 0

    partner.run(1)
    assert partner.statuses(correlation) == ["EXECUTING"]
    assert len(partner.acks(correlation)) == 1
    partner.completed(correlation)


def test_after_valid_until_the_site_returns_to_its_mode() -> None:
    partner = Partner()
    partner.completed(partner.setpoint(20, validUntil=later(partner, 20)))
    partner.run(30)

    plant = partner.site().plant
    assert plant.battery_total_kw == pytest.approx(0, abs=0.1)
    assert plant.pv_total_kw == pytest.approx(sum(plant.pv_available_kw.values()), abs=0.5)


def test_a_target_whose_validity_ends_before_it_is_reached_is_deviated() -> None:
    partner = Partner()
    correlation = partner.setpoint(500, validUntil=later(partner, 3))
    partner.run(5)

    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]
    assert "validity" in partner.executions(correlation)[-1]["reason"]


def test_a_validity_that_has_passed_is_an_invalid_command() -> None:
    partner = Partner()
    correlation = partner.setpoint(20, validFrom=later(partner, -60), validUntil=later(partner, -1))
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "INVALID_COMMAND"


def test_validity_is_judged_on_the_wire_clock_however_fast_the_plant_runs() -> None:
    partner = Partner(factor=600)
    correlation = partner.setpoint(20, validFrom=later(partner, 10))
    partner.run(9)

    assert partner.site().plant.time_s - 12 * 3600 == pytest.approx(9 * 600)
    assert partner.statuses(correlation) == []


def test_high_pre_empts_normal_and_normal_comes_back_after_it() -> None:
    partner = Partner()
    normal = partner.setpoint(20)
    partner.tick(0.5)
    high = partner.setpoint(5, "IMPORT", priority="HIGH", validUntil=later(partner, 20))
    partner.completed(high)

    assert partner.site().plant.grid_kw == pytest.approx(5, abs=0.6)
    assert partner.statuses(normal) == ["EXECUTING", "DEVIATED"]
    assert "HIGH" in partner.executions(normal)[-1]["reason"]
    partner.completed(normal)
    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_a_normal_setpoint_under_a_high_one_is_queued_and_begins_after_it() -> None:
    partner = Partner()
    partner.completed(partner.setpoint(5, "IMPORT", priority="HIGH", validUntil=later(partner, 30)))
    normal = partner.setpoint(20)
    partner.tick(0.5)
    assert (partner.ack(normal)["status"], partner.statuses(normal)) == ("QUEUED", [])

    partner.completed(normal)
    assert partner.statuses(normal) == ["EXECUTING", "COMPLETED"]


def test_emergency_priority_beats_high() -> None:
    partner = Partner()
    partner.completed(partner.setpoint(10, priority="HIGH"))
    partner.completed(partner.setpoint(30, priority="EMERGENCY"))
    late_high = partner.setpoint(15, priority="HIGH")
    partner.run(5)

    assert partner.site().plant.grid_kw == pytest.approx(-30, abs=1)
    assert partner.statuses(late_high) == []


def test_of_two_setpoints_of_one_priority_the_later_start_wins() -> None:
    partner = Partner()
    first = partner.setpoint(10)
    partner.tick(0.5)
    second = partner.setpoint(20)
    partner.completed(second)

    assert partner.statuses(first) == ["EXECUTING", "DEVIATED"]
    assert len(partner.site().state.setpoints) == 1


def test_an_energy_target_completes_after_its_interval_in_plant_time() -> None:
    partner = Partner(factor=60)
    before = partner.site().plant.grid_register
    correlation = energy(partner, 5, 15)
    began = partner.at
    last = partner.completed(correlation, within_s=30)

    assert partner.at - began == timedelta(seconds=15)
    assert last["targetValueKw"] == pytest.approx(20)
    assert last["actualValueKw"] == pytest.approx(20, abs=0.7)
    after = partner.site().plant.grid_register
    moved_kwh = after.positive_kwh - before.positive_kwh - (after.negative_kwh - before.negative_kwh)
    assert moved_kwh == pytest.approx(5, abs=0.2)


def test_an_energy_target_makes_up_for_a_slow_beginning() -> None:
    partner = Partner(factor=60)
    correlation = energy(partner, 5, 15)
    partner.tick(0.5)
    fault = partner.engine.faults.add(device_fault("B1"))
    partner.run(5)
    partner.engine.faults.remove(fault)

    last = partner.completed(correlation, within_s=30)
    assert last["actualValueKw"] == pytest.approx(20, abs=0.7)


def test_an_energy_target_that_was_not_moved_is_deviated_at_the_interval_end() -> None:
    partner = Partner(factor=60)
    correlation = energy(partner, 100, 15)
    partner.run(20)

    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]
    assert partner.site().state.setpoints == []


def test_a_setpoint_on_a_site_with_neither_battery_nor_pv_is_unsupported() -> None:
    partner = Partner()
    correlation = partner.setpoint(5, site=OFFICE)
    partner.tick()

    ack = partner.ack(correlation)
    assert (ack["status"], ack["rejectionCode"]) == ("REJECTED", "UNSUPPORTED_FOR_TOPOLOGY")


def test_a_topology_without_controllable_assets_makes_setpoints_unsupported() -> None:
    partner = Partner()
    partner.send(Family.CONFIG_TOPOLOGY, {"assets": [{"deviceId": "M1", "assetType": "METER"}]})
    partner.tick()
    correlation = partner.setpoint(5)
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "UNSUPPORTED_FOR_TOPOLOGY"


@pytest.mark.parametrize(
    ("kw", "direction", "consumption", "field"),
    [
        (41, "EXPORT", True, "maxExportKw"),
        (61, "IMPORT", True, "maxImportKw"),
        (50, "IMPORT", False, "maxImportKw"),  # 50 kW on top of 15 kW of consumption
        (56, "EXPORT", False, "maxExportKw"),
    ],
)
def test_a_target_beyond_a_grid_limit_is_a_constraint_violation(
    kw: float, direction: str, consumption: bool, field: str
) -> None:
    partner = Partner()
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 40, "maxImportKw": 60})
    partner.tick()
    correlation = partner.setpoint(kw, direction, includeConsumption=consumption)
    partner.tick()

    ack = partner.ack(correlation)
    [alarm] = partner.alarms("CONSTRAINT_VIOLATION")
    assert (ack["status"], ack["rejectionCode"]) == ("REJECTED", "CONSTRAINT_VIOLATION")
    assert alarm["breachedField"] == field


def test_an_energy_target_is_held_against_the_grid_limits_by_its_mean_power() -> None:
    partner = Partner()
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxImportKw": 60})
    partner.tick()
    too_much, fits = energy(partner, 16, 15), energy(partner, 14, 15)
    partner.tick()

    assert partner.ack(too_much)["rejectionCode"] == "CONSTRAINT_VIOLATION"
    assert partner.ack(fits)["status"] == "ACCEPTED"


def test_limits_known_before_the_partner_published_any_count_too() -> None:
    partner = Partner(sites=[limited_site()])
    correlation = partner.setpoint(41)
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "CONSTRAINT_VIOLATION"


def limited_site() -> dict[str, object]:
    return {**site_documents()[0], "limits": {"maxExportKw": 40}}


def test_constraints_hold_the_plant_even_where_no_command_asks_for_more() -> None:
    partner = Partner()
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 5})
    partner.run(10)

    assert partner.site().plant.grid_kw >= -5.01


def test_the_number_of_open_commands_of_a_site_is_bounded() -> None:
    partner = Partner(protocol={"max_waiting": 3})
    correlations = [partner.setpoint(10, validFrom=later(partner, 600 + n)) for n in range(4)]
    partner.tick()

    assert [partner.ack(correlation)["status"] for correlation in correlations] == ["QUEUED"] * 3 + [
        "REJECTED"
    ]


def test_a_thousand_open_ended_setpoints_leave_one_on_the_stack() -> None:
    partner = Partner(execution={"stable_plant_s": 0, "deadline_plant_s": 5})
    for number in range(1_000):
        partner.setpoint(10 + number % 20)
        partner.tick(0.01)

    assert len(partner.site().state.setpoints) <= 2
    assert len(partner.site().state.open_commands) <= 2


def test_with_factor_sixty_a_command_completes_within_three_real_seconds() -> None:
    partner = Partner(factor=60, execution={})
    correlation = partner.setpoint(20)
    partner.completed(correlation)

    assert partner.at - START <= timedelta(seconds=3)
