"""schedule.create and schedule.cancel: stored, followed slot by slot, told by schedule events."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.voke_sim.harness import DEPOT, OFFICE, Partner
from vcp import Family, format_timestamp
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.rest_views import site_config


def slot(partner: Partner, start_s: float, end_s: float, kw: float, **members: Any) -> dict[str, Any]:
    return {
        "from": format_timestamp(partner.at + timedelta(seconds=start_s)),
        "to": format_timestamp(partner.at + timedelta(seconds=end_s)),
        "type": "POWER",
        "targetValueKw": kw,
        "direction": "EXPORT",
        "includeConsumption": True,
        **members,
    }


def create(
    partner: Partner,
    *slots: dict[str, Any],
    schedule_id: str = "s1",
    priority: str = "NORMAL",
    site: str = "",
) -> str:
    payload = {"scheduleId": schedule_id, "priority": priority, "slots": list(slots)}
    where = {"site": site} if site else {}
    return partner.send(Family.SCHEDULE_CREATE, payload, **where)


def told(partner: Partner, correlation: str) -> list[tuple[str, str]]:
    """(last word of the routing key, status) of a schedule's events."""
    events = partner.of(Family.EVENT_SCHEDULE, correlation)
    return [(event.routing_key.split(".")[-1], event.payload["status"]) for event in events]


def test_a_schedule_is_accepted_activated_followed_and_completed() -> None:
    partner = Partner()
    correlation = create(partner, slot(partner, 10, 30, 20), slot(partner, 30, 50, 5))
    partner.run(5)
    assert told(partner, correlation) == [("accepted", "ACCEPTED")]

    partner.run(20)
    assert told(partner, correlation)[-1] == ("activated", "ACTIVE")
    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)
    partner.run(20)
    assert partner.site().plant.grid_kw == pytest.approx(-5, abs=0.6)
    partner.run(10)
    assert told(partner, correlation)[-1] == ("completed", "COMPLETED")
    assert partner.alarms() == []


def test_a_schedule_is_not_acknowledged_as_a_command() -> None:
    partner = Partner()
    correlation = create(partner, slot(partner, 10, 30, 20))
    partner.run(2)

    assert partner.acks(correlation) == []


def test_between_slots_the_site_runs_its_mode() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 10, 20), slot(partner, 40, 50, 20))
    partner.run(30)

    assert partner.site().plant.battery_total_kw == pytest.approx(0, abs=0.1)


def test_an_energy_slot_is_followed_as_its_mean_power() -> None:
    partner = Partner()
    energy = slot(partner, 0, 36, 0, type="ENERGY", targetValueKwh=0.2)
    del energy["targetValueKw"]
    create(partner, energy)
    partner.run(20)

    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_a_cancelled_schedule_is_no_longer_followed() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20))
    partner.run(10)
    correlation = partner.send(Family.SCHEDULE_CANCEL, {"scheduleId": "s1", "reason": "replanned"})
    partner.run(10)

    [event] = partner.of(Family.EVENT_SCHEDULE, correlation)
    assert event.routing_key == "acme.event.schedule.cancelled"
    assert event.payload == {"scheduleId": "s1", "status": "CANCELLED", "reason": "replanned"}
    assert partner.site().plant.battery_total_kw == pytest.approx(0, abs=0.1)


def test_cancelling_an_unknown_schedule_is_rejected() -> None:
    partner = Partner()
    correlation = partner.send(Family.SCHEDULE_CANCEL, {"scheduleId": "ghost"})
    partner.tick()

    assert told(partner, correlation) == [("rejected", "REJECTED")]


def test_a_schedule_sent_again_replaces_itself() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20))
    partner.run(5)
    create(partner, slot(partner, 0, 600, 5))
    partner.run(10)

    assert partner.site().plant.grid_kw == pytest.approx(-5, abs=0.6)
    assert len(partner.site().state.schedules) == 1


def test_a_high_setpoint_pre_empts_the_schedule_and_a_high_schedule_pre_empts_a_normal_setpoint() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20))
    partner.completed(partner.setpoint(10, priority="HIGH"))
    assert partner.site().plant.grid_kw == pytest.approx(-10, abs=0.6)

    partner.completed(partner.mode("STANDARD"))
    create(partner, slot(partner, 0, 600, 3), schedule_id="s2", priority="HIGH")
    partner.setpoint(15)
    partner.run(10)
    assert partner.site().plant.grid_kw == pytest.approx(-3, abs=0.6)


def test_a_schedule_whose_slots_have_all_passed_is_rejected() -> None:
    partner = Partner()
    correlation = create(partner, slot(partner, -60, -30, 20))
    partner.tick()

    assert told(partner, correlation) == [("rejected", "REJECTED")]
    assert partner.counts()["effects"] == 0


def test_a_schedule_for_a_site_without_assets_is_rejected() -> None:
    partner = Partner()
    correlation = create(partner, slot(partner, 0, 30, 20), site=OFFICE)
    partner.tick()

    assert told(partner, correlation) == [("rejected", "REJECTED")]


def test_a_slot_beyond_a_grid_limit_rejects_the_schedule_with_an_alarm() -> None:
    partner = Partner()
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 30})
    partner.tick()
    correlation = create(partner, slot(partner, 0, 30, 20), slot(partner, 30, 60, 31))
    partner.tick()

    [event] = partner.of(Family.EVENT_SCHEDULE, correlation)
    assert "slot 1" in event.payload["reason"]
    assert partner.alarms()[0]["breachedField"] == "maxExportKw"


def test_a_broken_schedule_is_acknowledged_as_invalid_payload() -> None:
    partner = Partner()
    correlation = partner.send(
        Family.SCHEDULE_CREATE, {"scheduleId": "s1", "priority": "NORMAL", "slots": []}
    )
    partner.tick()

    ack = partner.ack(correlation)
    assert (ack["rejectionCode"], ack["commandType"]) == ("INVALID_PAYLOAD", "schedule.create")


def test_a_slot_that_is_never_reached_raises_schedule_slot_missed() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 10, 500), slot(partner, 10, 60, 20))
    partner.run(20)

    [alarm] = partner.alarms()
    assert alarm["code"] == "SCHEDULE_SLOT_MISSED"
    assert alarm["metadata"] == {"scheduleId": "s1", "slot": 0}


def test_the_number_of_schedules_of_a_site_is_bounded() -> None:
    partner = Partner()
    correlations = [create(partner, slot(partner, 10, 30, 20), schedule_id=f"s{n}") for n in range(17)]
    partner.tick()

    assert [told(partner, correlation)[0][0] for correlation in correlations] == ["accepted"] * 16 + [
        "rejected"
    ]


# --- which target is followed -----------------------------------------------------------------------------------------


def targets(partner: Partner, site: str = DEPOT) -> list[tuple[str, float | None]]:
    """(source, kW) of every target that a site followed, in order."""
    rows = partner.journal.rows("SELECT source, target_kw FROM targets WHERE site_id = ? ORDER BY seq", site)
    return [(row["source"], row["target_kw"]) for row in rows]


def active(partner: Partner) -> dict[str, Any] | None:
    return site_config(partner.engine, partner.site(), partner.at)["activeSchedule"]


def test_a_high_setpoint_with_an_end_pre_empts_the_schedule_which_resumes_by_itself() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20))
    partner.run(5)
    until = format_timestamp(partner.at + timedelta(seconds=30))
    partner.setpoint(10, priority="HIGH", validUntil=until)
    partner.run(40)

    assert targets(partner) == [
        ("mode", None),
        ("schedule", -20.0),
        ("setpoint", -10.0),
        ("schedule", -20.0),
    ]
    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_a_released_emergency_gives_the_schedule_its_site_back() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20))
    partner.run(5)
    partner.emergency("STOP")
    partner.run(5)
    partner.mode("STANDARD")
    partner.run(5)

    assert [source for source, _ in targets(partner)][1:] == ["schedule", "emergency", "schedule"]


def test_of_two_schedules_the_later_accepted_wins_even_over_a_slot_that_began_later() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 20, 20), slot(partner, 20, 40, 15), schedule_id="old")
    partner.run(2)
    create(partner, slot(partner, 5, 60, 5), schedule_id="new")
    partner.run(30)

    assert targets(partner) == [("mode", None), ("schedule", -20.0), ("schedule", -5.0)]


def test_the_earlier_schedule_shows_through_the_gaps_of_the_later() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 600, 20), schedule_id="old")
    create(partner, slot(partner, 10, 20, 5), slot(partner, 40, 50, 6), schedule_id="new")
    partner.run(45)

    assert [kw for _, kw in targets(partner)][1:] == [-20.0, -5.0, -20.0, -6.0]


def test_the_active_schedule_is_the_one_that_is_followed() -> None:
    partner = Partner()
    assert active(partner) is None
    create(partner, slot(partner, 0, 600, 20), schedule_id="normal")
    partner.run(2)
    create(partner, slot(partner, 0, 20, 5), schedule_id="high", priority="HIGH")
    partner.run(4)
    assert (active(partner) or {})["scheduleId"] == "high"

    partner.run(30)

    shown = active(partner) or {}
    assert (shown["scheduleId"], shown["status"], shown["activeSlot"]) == ("normal", "ACTIVE", 0)


def test_between_its_slots_a_schedule_is_still_the_active_one() -> None:
    partner = Partner()
    create(partner, slot(partner, 0, 10, 20), slot(partner, 40, 50, 20))
    partner.run(30)

    shown = active(partner) or {}
    assert (shown["scheduleId"], shown["activeSlot"]) == ("s1", None)


# --- schedules that end without the partner ---------------------------------------------------------------------------


def test_a_restart_keeps_schedules(tmp_path: Path) -> None:
    partner = Partner(journal_path=str(tmp_path / "journal.sqlite3"))
    create(partner, slot(partner, 0, 600, 20))
    partner.run(5)

    partner.restart()
    partner.run(5)

    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_forgotten_schedules_are_gone_without_a_word_and_what_comes_next_is_kept() -> None:
    partner = Partner()
    correlation = create(partner, slot(partner, 0, 600, 20))
    partner.run(5)
    partner.engine.faults.add(FaultRule(kind=FaultKind.FORGET_SCHEDULES, count=1))
    partner.run(5)
    later = create(partner, slot(partner, 0, 600, 5), schedule_id="s2")
    partner.run(5)

    assert told(partner, correlation)[-1] == ("activated", "ACTIVE")
    assert [kw for _, kw in targets(partner)] == [None, -20.0, None, -5.0]
    assert told(partner, later)[-1] == ("activated", "ACTIVE")


def test_a_schedule_that_voke_cancels_by_itself_is_told_with_the_creations_correlation() -> None:
    partner = Partner(faults=[{"kind": "cancel-schedules", "site": "DEPOT", "count": 1}])
    correlation = create(partner, slot(partner, 0, 600, 20))
    partner.run(5)

    assert told(partner, correlation)[-1] == ("cancelled", "CANCELLED")
    assert partner.site().state.schedules == {}


def test_a_schedule_is_refused_on_request() -> None:
    partner = Partner(
        faults=[{"kind": "reject", "families": ["schedule.create"], "count": 1, "message": "not today"}]
    )
    refused = create(partner, slot(partner, 0, 600, 20))
    taken = create(partner, slot(partner, 0, 600, 20), schedule_id="s2")
    partner.tick()

    [event] = partner.of(Family.EVENT_SCHEDULE, refused)
    assert (event.payload["status"], event.payload["reason"]) == ("REJECTED", "not today")
    assert told(partner, taken)[0] == ("accepted", "ACCEPTED")


def test_a_swallowed_schedule_is_not_known_to_anybody() -> None:
    partner = Partner(faults=[{"kind": "swallow", "families": ["schedule.create"], "count": 1}])
    correlation = create(partner, slot(partner, 0, 600, 20))
    partner.run(5)

    assert told(partner, correlation) == []
    assert partner.site().state.schedules == {}
