"""Misbehaviour: each kind by what the partner sees of it, and that it can change at run time."""

import random
from typing import Any

import msgspec
import pytest

from tests.voke_sim.harness import DEPOT, ROOF, Partner, config_document
from vcp import Family
from voke_sim.config_load import ConfigError, parse_config
from voke_sim.faults import FaultBoard, FaultKind, FaultRule


def rule(kind: str, **members: Any) -> FaultRule:
    return msgspec.convert({"kind": kind, **members}, FaultRule)


def states(partner: Partner, family: Family) -> list[str]:
    query = "SELECT state FROM published WHERE family = ? ORDER BY seq"
    return [row["state"] for row in partner.journal.rows(query, family.value)]


def test_drop_loses_the_event_for_ever_but_journals_it() -> None:
    partner = Partner(faults=[{"kind": "drop", "families": ["event.command.ack"], "count": 1}])
    lost, heard = partner.mode("ZERO_EXPORT"), partner.mode("STANDARD")
    partner.run(5)

    assert (partner.acks(lost), len(partner.acks(heard))) == ([], 1)
    assert states(partner, Family.EVENT_COMMAND_ACK) == ["dropped", "confirmed"]
    assert partner.statuses(lost) == ["EXECUTING", "COMPLETED"]


def test_delay_publishes_later_with_the_timestamp_of_its_making() -> None:
    partner = Partner(faults=[{"kind": "delay", "families": ["event.command.ack"], "delay_s": 10}])
    correlation = partner.mode("ZERO_EXPORT")
    made_at = partner.at
    partner.run(9)
    assert partner.acks(correlation) == []

    partner.run(2)
    [event] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert event.envelope["timestamp"].startswith(made_at.strftime("%Y-%m-%dT%H:%M:%S"))


def test_duplicate_publishes_the_same_bytes_twice() -> None:
    partner = Partner(faults=[{"kind": "duplicate", "families": ["event.execution"]}])
    correlation = partner.mode("ZERO_EXPORT")
    partner.run(2)

    events = partner.of(Family.EVENT_EXECUTION, correlation)
    assert [event.payload["status"] for event in events] == [
        "EXECUTING",
        "EXECUTING",
        "COMPLETED",
        "COMPLETED",
    ]
    assert events[0].envelope == events[1].envelope
    assert partner.counts()["executions"] == {"mode": {"EXECUTING": 1, "COMPLETED": 1}}


def test_reorder_lets_the_next_event_overtake() -> None:
    partner = Partner(faults=[{"kind": "reorder", "families": ["event.command.ack"], "delay_s": 30}])
    correlation = partner.mode("ZERO_EXPORT")
    partner.run(2)

    order = [event.family for event in partner.events if event.correlation_id == correlation]
    assert order.index("event.execution") < order.index("event.command.ack")


def test_a_reordered_event_with_no_successor_goes_when_its_time_is_over() -> None:
    partner = Partner(telemetry={"realtime_period_s": 1000, "meter_period_s": 1000})
    partner.engine.faults.add(rule("reorder", families=["event.alarm"], delay_s=5))
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxExportKw": 30})
    partner.tick()
    partner.setpoint(45, site=DEPOT)
    partner.tick()
    assert partner.alarms() == []

    partner.run(6)
    assert len(partner.alarms()) == 1


def test_reject_answers_with_the_chosen_code() -> None:
    partner = Partner(
        faults=[
            {
                "kind": "reject",
                "families": ["command.site-setpoint"],
                "rejection_code": "DEVICE_FAULT",
                "message": "test",
                "count": 1,
            }
        ]
    )
    first, second = partner.setpoint(10), partner.setpoint(10)
    partner.tick()

    ack = partner.ack(first)
    assert (ack["status"], ack["rejectionCode"], ack["message"]) == ("REJECTED", "DEVICE_FAULT", "test")
    assert partner.ack(second)["status"] == "ACCEPTED"


def test_an_offline_site_queues_the_command_and_executes_it_when_it_is_back() -> None:
    partner = Partner()
    number = partner.engine.faults.add(rule("offline", site="DEPOT"))
    correlation = partner.setpoint(20)
    partner.run(10)
    assert partner.ack(correlation)["status"] == "QUEUED"
    assert (partner.statuses(correlation), partner.counts()["effects"]) == ([], 0)

    partner.engine.faults.remove(number)
    partner.completed(correlation)
    assert partner.statuses(correlation) == ["EXECUTING", "COMPLETED"]
    assert len(partner.acks(correlation)) == 1


def test_an_offline_site_may_delay_its_ack_until_it_is_back() -> None:
    partner = Partner()
    number = partner.engine.faults.add(rule("offline", site=DEPOT, offline_ack="delayed"))
    correlation = partner.setpoint(20)
    partner.run(10)
    assert partner.acks(correlation) == []

    partner.engine.faults.remove(number)
    partner.completed(correlation)
    assert partner.ack(correlation)["status"] == "ACCEPTED"
    assert partner.statuses(correlation) == ["EXECUTING", "COMPLETED"]


def test_what_can_be_refused_without_the_site_is_refused_while_it_is_offline() -> None:
    partner = Partner(faults=[{"kind": "offline", "offline_ack": "delayed"}])
    correlation = partner.device(("B9", "BESS", "BESS_STOP", None))
    partner.tick()

    assert partner.ack(correlation)["rejectionCode"] == "DEVICE_OFFLINE"


def test_a_command_whose_time_passes_while_the_site_is_offline_fails() -> None:
    partner = Partner()
    number = partner.engine.faults.add(rule("offline", site="DEPOT"))
    correlation = partner.setpoint(20, validUntil="2026-01-02T03:00:10.000Z")
    partner.run(20)
    partner.engine.faults.remove(number)
    partner.run(1)

    assert partner.statuses(correlation) == ["FAILED"]


def test_an_offline_site_reports_nothing_while_the_others_do() -> None:
    partner = Partner(faults=[{"kind": "offline", "site": "DEPOT"}])
    partner.run(30)

    sites = {event.envelope["siteId"] for event in partner.of(Family.EVENT_TELEMETRY_REALTIME)}
    assert DEPOT not in sites
    assert ROOF in sites


def test_a_silent_voke_takes_messages_and_says_nothing() -> None:
    partner = Partner(faults=[{"kind": "silent"}])
    partner.mode("ZERO_EXPORT")
    partner.run(30)

    assert (partner.events, partner.verdicts(), partner.counts()["effects"]) == ([], ["SILENCED"], 0)
    assert partner.vhost.depth(partner.names.command) == 0


def test_a_dispatch_failure_ends_an_accepted_command_failed_without_effect() -> None:
    partner = Partner(faults=[{"kind": "dispatch-failure", "families": ["command.mode"]}])
    correlation = partner.mode("ZERO_EXPORT")
    partner.run(2)

    assert partner.ack(correlation)["status"] == "ACCEPTED"
    assert partner.statuses(correlation) == ["FAILED"]
    assert (partner.modes(), partner.counts()["effects"]) == ([], 0)


def test_a_broken_device_gives_no_power_and_reports_degraded() -> None:
    partner = Partner(faults=[{"kind": "device-fault", "site": "DEPOT", "device": "PV1"}])
    partner.run(10)

    assert partner.site().plant.pv_kw["PV1"] == 0
    devices = partner.of(Family.EVENT_TELEMETRY_REALTIME)[-3].payload["devices"]
    assert {"deviceId": "PV1", "assetType": "FVE", "powerKw": 0, "status": "DEGRADED"} in devices


def test_rules_can_be_replaced_at_run_time() -> None:
    partner = Partner(faults=[{"kind": "silent"}])
    partner.engine.faults.replace([rule("reject", families=["command.mode"])])
    correlation = partner.mode("ZERO_EXPORT")
    partner.tick()

    assert partner.ack(correlation)["status"] == "REJECTED"
    assert [kept.kind for kept in partner.engine.faults.rules().values()] == [FaultKind.REJECT]


def test_a_rule_for_one_site_spares_the_others() -> None:
    partner = Partner(faults=[{"kind": "reject", "site": "ROOF", "families": ["command"]}])
    spared, met = partner.mode("ZERO_EXPORT"), partner.mode("ZERO_EXPORT", site=ROOF)
    partner.tick()

    assert [partner.ack(c)["status"] for c in (spared, met)] == ["ACCEPTED", "REJECTED"]


def test_chance_is_drawn_from_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        board = FaultBoard([rule("drop", probability=0.5)], random.Random(seed))
        return [board.for_message(FaultKind.DROP, Family.EVENT_ALARM, ("x",)) is not None for _ in range(200)]

    assert hits(1) == hits(1) != hits(2)
    assert 60 < sum(hits(1)) < 140


def test_a_rule_with_a_count_is_used_up() -> None:
    board = FaultBoard([rule("drop", count=2)], random.Random(1))
    hits = [board.for_message(FaultKind.DROP, Family.EVENT_ALARM, ("x",)) is not None for _ in range(4)]

    assert hits == [True, True, False, False]
    assert board.rules() == {}


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"kind": "explode"}, "kind"),
        ({"kind": "drop", "families": ["event.nothing"]}, "families"),
        ({"kind": "drop", "families": ["command.mode"]}, "event families only"),
        ({"kind": "reject", "families": ["event.alarm"]}, "command and schedule families only"),
        ({"kind": "offline", "families": ["command.mode"]}, "families"),
        ({"kind": "offline", "count": 2}, "lasting"),
        ({"kind": "drop", "device": "B1"}, "device"),
        ({"kind": "drop", "probability": 0}, "probability"),
        ({"kind": "offline", "site": "NOWHERE"}, "site"),
    ],
)
def test_a_rule_that_makes_no_sense_refuses_to_start(document: dict[str, Any], word: str) -> None:
    base = {**config_document(), "faults": [document]}

    with pytest.raises(ConfigError) as refused:
        parse_config(base)
    assert refused.value.field.startswith("faults[0]")
    assert word in str(refused.value)
