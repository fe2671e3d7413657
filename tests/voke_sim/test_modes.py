"""command.mode: all seven modes, each by what only it does, and the mode event."""

from datetime import timedelta

import pytest

from tests.voke_sim.harness import OFFICE, ROOF, Partner, site_documents
from vcp import Family, OperatingMode, format_timestamp

SUNNY_SURPLUS_KW = -20.0


def run_mode(mode: str, *, for_s: float = 20, **changes: object) -> Partner:
    partner = Partner(**changes)
    correlation = partner.mode(mode)
    partner.completed(correlation)
    partner.run(for_s)
    return partner


def at_night(**load: object) -> dict[str, object]:
    """The depot without sun: consumption only."""
    document = site_documents()[0]
    document["weather"] = {"start_hour": 0.0, "cloud_noise": 0.0}
    document["load"] = {"mean_kw": 30, "profile": "flat", "noise_pct": 0, **load}
    return {"sites": [document]}


@pytest.mark.parametrize("mode", list(OperatingMode))
def test_every_mode_is_accepted_completed_and_told_in_a_mode_event(mode: OperatingMode) -> None:
    partner = Partner()
    correlation = partner.mode(mode.value, reason="test")
    partner.tick()

    assert partner.ack(correlation) == {"status": "ACCEPTED", "commandType": "mode"}
    assert partner.statuses(correlation) == ["EXECUTING", "COMPLETED"]
    [event] = partner.of(Family.EVENT_MODE)
    assert event.routing_key == "acme.event.mode.changed"
    assert event.correlation_id == correlation
    assert event.payload == {"mode": mode.value, "previousMode": "STANDARD", "reason": "test"}


def test_telemetry_carries_the_mode() -> None:
    partner = run_mode("PEAK_SHAVING")

    assert partner.of(Family.EVENT_TELEMETRY_REALTIME)[-3].payload["currentOperatingMode"] == "PEAK_SHAVING"


def test_standard_leaves_batteries_idle_and_the_sun_free() -> None:
    partner = run_mode("STANDARD")
    plant = partner.site().plant

    assert plant.battery_total_kw == 0
    assert plant.grid_kw < SUNNY_SURPLUS_KW


def test_zero_export_stores_the_surplus_before_it_curtails() -> None:
    plant = run_mode("ZERO_EXPORT").site().plant

    assert plant.grid_kw == pytest.approx(0, abs=0.1)
    assert plant.battery_total_kw > 20


def test_zero_export_curtails_where_there_is_no_battery() -> None:
    partner = Partner()
    partner.completed(partner.mode("ZERO_EXPORT", site=ROOF))
    partner.run(10)
    plant = partner.site(ROOF).plant

    assert plant.grid_kw == pytest.approx(0, abs=0.1)
    assert plant.pv_total_kw == pytest.approx(plant.load_kw, abs=0.1)


def test_max_export_gives_all_that_the_limits_allow() -> None:
    partner = run_mode("MAX_EXPORT")
    assert partner.site().plant.battery_total_kw == pytest.approx(-70, abs=0.5)

    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 35})
    partner.run(10)
    assert partner.site().plant.grid_kw == pytest.approx(-35, abs=0.5)


def test_peak_shaving_keeps_the_import_below_the_threshold() -> None:
    plant = run_mode("PEAK_SHAVING", **at_night()).site().plant

    assert plant.grid_kw == pytest.approx(10, abs=0.2)
    assert plant.battery_total_kw == pytest.approx(-20, abs=0.2)


def test_local_optimization_covers_the_consumption_from_the_battery() -> None:
    plant = run_mode("LOCAL_OPTIMIZATION", **at_night()).site().plant

    assert plant.grid_kw == pytest.approx(0, abs=0.2)


def test_grid_target_holds_the_sites_value_in_both_directions() -> None:
    by_day = run_mode("GRID_TARGET").site().plant
    by_night = run_mode("GRID_TARGET", **at_night()).site().plant

    assert by_day.grid_kw == pytest.approx(7, abs=0.2)
    assert by_day.battery_total_kw > 0 > by_night.battery_total_kw
    assert by_night.grid_kw == pytest.approx(7, abs=0.2)


def test_lds_support_keeps_import_and_export_within_its_band() -> None:
    by_day = run_mode("LDS_SUPPORT").site().plant
    by_night = run_mode("LDS_SUPPORT", **at_night()).site().plant

    assert by_day.grid_kw == pytest.approx(-5, abs=0.2)
    assert by_night.grid_kw == pytest.approx(5, abs=0.2)


def test_an_override_ends_at_its_valid_until_with_an_event() -> None:
    partner = Partner()
    partner.completed(partner.mode("GRID_TARGET"))
    until = format_timestamp(partner.at + timedelta(seconds=30))
    partner.completed(partner.mode("ZERO_EXPORT", validUntil=until))
    assert partner.modes()[-1]["validUntil"] == until

    partner.run(31)
    last = partner.modes()[-1]
    assert (last["mode"], last["previousMode"]) == ("GRID_TARGET", "ZERO_EXPORT")
    assert "validUntil" not in last


def test_a_mode_without_valid_until_becomes_the_mode_to_return_to() -> None:
    partner = Partner()
    partner.completed(partner.mode("PEAK_SHAVING"))
    partner.completed(
        partner.mode("MAX_EXPORT", validUntil=format_timestamp(partner.at + timedelta(seconds=10)))
    )
    partner.run(12)

    assert partner.site().state.mode.mode is OperatingMode.PEAK_SHAVING


def test_an_override_that_has_ended_already_is_an_invalid_command() -> None:
    partner = Partner()
    correlation = partner.mode("MAX_EXPORT", validUntil=format_timestamp(partner.at - timedelta(seconds=1)))
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "INVALID_COMMAND"


@pytest.mark.parametrize(
    ("site", "mode"),
    [(ROOF, "PEAK_SHAVING"), (ROOF, "GRID_TARGET"), (OFFICE, "ZERO_EXPORT"), (OFFICE, "MAX_EXPORT")],
)
def test_a_mode_that_the_site_has_no_device_for_is_unsupported(site: str, mode: str) -> None:
    partner = Partner()
    correlation = partner.mode(mode, site=site)
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "UNSUPPORTED_FOR_TOPOLOGY"


def test_a_mode_command_ends_every_setpoint_that_has_begun_with_an_end_or_without() -> None:
    partner = Partner()
    partner.completed(partner.setpoint(20, validUntil=format_timestamp(partner.at + timedelta(minutes=5))))
    partner.completed(partner.setpoint(30))
    partner.completed(partner.mode("STANDARD"))
    partner.run(10)

    assert partner.site().setpoint_in_force(partner.at) is None


def test_a_setpoint_that_waits_under_a_stronger_one_ends_with_a_mode_command_too() -> None:
    partner = Partner()
    until = format_timestamp(partner.at + timedelta(minutes=5))
    partner.completed(partner.setpoint(5, "IMPORT", priority="HIGH", validUntil=until))
    waiting = partner.setpoint(20, validUntil=until)
    partner.run(2)
    partner.completed(partner.mode("STANDARD"))
    partner.run(10)

    assert partner.site().setpoint_in_force(partner.at) is None
    assert partner.executions(waiting)[-1]["status"] == "FAILED"


def test_a_setpoint_whose_time_is_to_come_is_not_ended_by_a_mode_command() -> None:
    partner = Partner()
    partner.setpoint(20, validFrom=format_timestamp(partner.at + timedelta(seconds=30)))
    partner.run(1)
    partner.completed(partner.mode("STANDARD"))
    partner.run(40)

    assert partner.site().setpoint_in_force(partner.at) is not None


def test_the_fallback_mode_comes_after_silence_and_goes_with_the_next_word() -> None:
    partner = Partner()
    partner.send(Family.CONFIG_FALLBACK, {"mode": "ZERO_EXPORT", "afterSeconds": 60})
    partner.run(59)
    assert partner.modes() == []

    partner.run(2)
    assert partner.modes()[-1]["mode"] == "ZERO_EXPORT"
    assert "fallback" in partner.modes()[-1]["reason"]

    partner.setpoint(5)
    partner.run(1)
    assert partner.modes()[-1]["mode"] == "STANDARD"
