"""Alarms: raised with all their fields, cleared under the same id."""

from datetime import timedelta

from tests.voke_sim.harness import Partner
from vcp import Family, format_timestamp


def breach(partner: Partner) -> str:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 30})
    partner.tick()
    correlation = partner.setpoint(45)
    partner.tick()
    return correlation


def test_a_constraint_alarm_tells_what_was_asked_and_what_is_allowed() -> None:
    partner = Partner()
    correlation = breach(partner)

    [event] = partner.of(Family.EVENT_ALARM)
    alarm = event.payload
    assert event.routing_key == "acme.event.alarm"
    assert (alarm["actualValue"], alarm["expectedValue"]) == (45, 30)
    assert (alarm["severity"], alarm["raisedAt"]) == ("WARNING", format_timestamp(partner.at))
    assert alarm["metadata"] == {"commandType": "site-setpoint", "correlationId": correlation}
    assert "clearedAt" not in alarm


def test_an_alarm_is_cleared_after_a_while_under_the_same_id() -> None:
    partner = Partner(alarms={"clear_after_s": 30})
    breach(partner)
    raised_at = partner.at
    partner.run(29)
    assert len(partner.alarms()) == 1

    partner.run(2)
    raised, cleared = partner.alarms()
    assert cleared["alarmId"] == raised["alarmId"]
    assert cleared["raisedAt"] == raised["raisedAt"]
    assert cleared["clearedAt"] == format_timestamp(raised_at + timedelta(seconds=30))
    assert partner.counts()["alarms"] == {"raised": 1, "cleared": 1}


def test_each_refused_command_has_an_alarm_of_its_own() -> None:
    partner = Partner()
    breach(partner)
    partner.setpoint(46)
    partner.tick()

    first, second = partner.alarms()
    assert first["alarmId"] != second["alarmId"]


def test_active_alarms_are_bounded_by_clearing_the_oldest() -> None:
    partner = Partner(alarms={"clear_after_s": 10_000})
    breach(partner)
    for number in range(260):
        partner.setpoint(40 + number)
    partner.run(2)

    assert len(partner.site().state.alarms) == 256
    assert partner.counts()["alarms"] == {"raised": 261, "cleared": 5}


def test_a_mode_that_the_plant_cannot_keep_raises_an_alarm_until_it_can() -> None:
    partner = Partner(
        alarms={"mode_grace_plant_s": 60}, telemetry={"realtime_period_s": 1000, "meter_period_s": 1000}
    )
    partner.completed(partner.mode("PEAK_SHAVING"))
    partner.completed(partner.mode("GRID_TARGET"))
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxChargeKw": 0, "maxDischargeKw": 0})
    partner.run(20)
    [raised] = partner.alarms()
    assert (raised["code"], raised["severity"]) == ("OPERATING_MODE_NOT_HONORED", "ERROR")
    assert raised["metadata"]["mode"] == "GRID_TARGET"

    partner.send(Family.CONFIG_CONSTRAINTS, {})
    partner.run(20)
    assert [alarm["alarmId"] for alarm in partner.alarms()] == [raised["alarmId"]] * 2
    assert "clearedAt" in partner.alarms()[-1]


def test_alarms_survive_a_restart_and_are_cleared_by_the_next_run(tmp_path: object) -> None:
    partner = Partner(journal_path=f"{tmp_path}/journal.sqlite3", alarms={"clear_after_s": 30})
    breach(partner)
    partner.restart()
    partner.run(31)

    raised, cleared = partner.alarms()
    assert raised["alarmId"] == cleared["alarmId"]
