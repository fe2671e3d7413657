"""command.emergency: HOLD against STOP, and the way out."""

import pytest

from tests.voke_sim.harness import OFFICE, Partner


@pytest.fixture
def partner() -> Partner:
    partner = Partner()
    partner.publish_topology()
    return partner


def test_stop_takes_batteries_and_pv_to_zero_and_leaves_the_consumption(partner: Partner) -> None:
    partner.completed(partner.setpoint(40))
    last = partner.completed(partner.emergency("STOP"))

    plant = partner.site().plant
    assert (plant.battery_total_kw, plant.pv_total_kw) == (
        pytest.approx(0, abs=0.01),
        pytest.approx(0, abs=0.01),
    )
    assert plant.grid_kw == pytest.approx(plant.load_kw, abs=0.01)
    assert (last["commandType"], last["targetValueKw"]) == ("emergency", 0)


def test_stop_discards_every_order_also_those_that_wait(partner: Partner) -> None:
    running = partner.setpoint(500)
    partner.tick()
    partner.device(("B1", "BESS", "BESS_CHARGE", {"powerKw": 10}))
    waiting = partner.setpoint(20, validFrom="2026-01-02T04:00:00.000Z")
    partner.tick(0.5)
    partner.completed(partner.emergency("STOP"))

    assert partner.statuses(running) == ["EXECUTING", "DEVIATED"]
    assert partner.statuses(waiting) == ["FAILED"]
    assert "STOP" in partner.executions(waiting)[-1]["reason"]
    assert (partner.site().state.setpoints, partner.site().state.device_orders) == ([], {})


@pytest.mark.parametrize("kind", ["setpoint", "device"])
def test_under_a_stop_other_commands_are_refused(partner: Partner, kind: str) -> None:
    partner.completed(partner.emergency("STOP"))
    correlation = (
        partner.setpoint(20) if kind == "setpoint" else partner.device(("B1", "BESS", "BESS_STOP", None))
    )
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "INVALID_COMMAND"


def test_hold_freezes_batteries_and_does_not_let_pv_rise(partner: Partner) -> None:
    partner.completed(partner.device(("B1", "BESS", "BESS_DISCHARGE", {"powerKw": 30})))
    partner.completed(partner.device(("PV1", "FVE", "FVE_REDUCE_POWER", {"powerKw": 6})))
    partner.completed(partner.emergency("HOLD"))
    partner.run(20)

    plant = partner.site().plant
    assert plant.batteries["B1"].power_kw == pytest.approx(-30, abs=0.01)
    assert plant.pv_kw["PV1"] == pytest.approx(6, abs=0.01)


def test_a_command_under_hold_is_queued_and_begins_after_the_release(partner: Partner) -> None:
    partner.completed(partner.emergency("HOLD"))
    correlation = partner.setpoint(20, validUntil="2026-01-02T05:00:00.000Z")
    partner.run(3)
    assert (partner.ack(correlation)["status"], partner.statuses(correlation)) == ("QUEUED", [])

    partner.mode("STANDARD")
    partner.completed(correlation)
    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_what_was_in_force_comes_back_after_a_hold_but_not_after_a_stop(partner: Partner) -> None:
    for kind, comes_back in (("HOLD", True), ("STOP", False)):
        partner.completed(partner.setpoint(20, validUntil="2026-01-02T05:00:00.000Z"))
        partner.completed(partner.emergency(kind))
        partner.completed(partner.mode("STANDARD"))
        partner.run(10)

        is_tracking = abs(partner.site().plant.grid_kw + 20) < 0.6
        assert is_tracking is comes_back


def test_stop_beats_hold_in_either_order(partner: Partner) -> None:
    partner.completed(partner.setpoint(40))
    partner.completed(partner.emergency("STOP"))
    partner.completed(partner.emergency("HOLD"))
    assert partner.site().is_stopped

    partner.completed(partner.mode("STANDARD"))
    partner.completed(partner.setpoint(40))
    partner.completed(partner.emergency("HOLD"))
    partner.completed(partner.emergency("STOP"))
    assert partner.site().plant.battery_total_kw == pytest.approx(0, abs=0.01)


def test_of_two_stops_at_once_both_are_completed(partner: Partner) -> None:
    partner.completed(partner.setpoint(40))
    first, second = partner.emergency("STOP"), partner.emergency("STOP")

    partner.completed(second)

    assert partner.statuses(first) == partner.statuses(second) == ["EXECUTING", "COMPLETED"]


def test_a_hold_does_not_end_the_stop_that_it_can_not_weaken(partner: Partner) -> None:
    partner.completed(partner.setpoint(40))
    stop, hold = partner.emergency("STOP"), partner.emergency("HOLD")

    partner.completed(stop)

    assert partner.statuses(stop) == ["EXECUTING", "COMPLETED"]
    assert partner.statuses(hold)[-1] == "COMPLETED"
    assert partner.site().is_stopped


@pytest.mark.parametrize("newer", ["STOP", "HOLD"])
def test_a_hold_that_has_begun_is_ended_by_a_newer_emergency(partner: Partner, newer: str) -> None:
    partner.completed(partner.setpoint(40))
    older = partner.emergency("HOLD")
    partner.completed(partner.emergency(newer))

    assert partner.statuses(older) == ["EXECUTING", "DEVIATED"]
    assert "another emergency" in partner.executions(older)[-1]["reason"]


def test_only_a_mode_command_releases_an_emergency(partner: Partner) -> None:
    partner.completed(partner.emergency("STOP"))
    partner.run(60)
    assert partner.site().is_stopped

    partner.completed(partner.mode("STANDARD"))
    partner.run(5)
    assert partner.site().state.emergency is None
    assert partner.site().plant.pv_total_kw > 10


def test_an_emergency_needs_something_to_stop(partner: Partner) -> None:
    correlation = partner.emergency("STOP", site=OFFICE)
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "UNSUPPORTED_FOR_TOPOLOGY"
