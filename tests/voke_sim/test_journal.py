"""What survives: kill and restart, dedupe, unsent events, plants; and what an outside checker can prove."""

import json
import sqlite3
from pathlib import Path

import pytest

from membroker import Message
from tests.voke_sim.harness import SLUG, Partner, config_document, site_documents
from vcp import Family
from voke_sim.config_load import parse_config
from voke_sim.journal import Journal
from voke_sim.protocol import Reception


@pytest.fixture
def partner(tmp_path: Path) -> Partner:
    partner = Partner(journal_path=str(tmp_path / "journal.sqlite3"))
    partner.publish_topology()
    return partner


def test_a_message_known_before_a_kill_is_a_duplicate_after_the_restart(partner: Partner) -> None:
    envelope = partner.envelope({"type": "HOLD"})
    partner.send_envelope(Family.COMMAND_EMERGENCY, envelope)
    partner.run(5)
    partner.restart()
    partner.send_envelope(Family.COMMAND_EMERGENCY, envelope)
    partner.run(5)

    assert partner.verdicts()[-2:] == ["ACCEPTED", "DUPLICATE"]
    assert len(partner.acks(envelope["correlationId"])) == 1
    assert partner.counts()["effects_doubled"] == 0


def test_a_kill_before_the_acknowledgement_neither_loses_nor_doubles(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope = partner.envelope({"type": "HOLD"})
    partner.send_envelope(Family.COMMAND_EMERGENCY, envelope)
    with monkeypatch.context() as broken:
        broken.setattr(partner.transport, "settle", _die)
        with pytest.raises(PowerCut):
            partner.tick()
    partner.restart()
    partner.run(5)

    assert partner.verdicts()[-2:] == ["ACCEPTED", "DUPLICATE"]
    assert partner.statuses(envelope["correlationId"]) == ["EXECUTING", "COMPLETED"]
    assert len(partner.acks(envelope["correlationId"])) == 1
    assert partner.vhost.depth(partner.names.command) == 0


def test_a_kill_in_the_middle_of_a_batch_leaves_no_half_of_it(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    correlations = [partner.emergency("HOLD"), partner.mode("ZERO_EXPORT")]
    handle, seen = Reception.handle, []

    def handle_one(*arguments: object) -> object:
        seen.append(arguments)
        return handle(*arguments) if len(seen) == 1 else _die()

    with monkeypatch.context() as broken:
        broken.setattr(Reception, "handle", handle_one)
        with pytest.raises(PowerCut):
            partner.tick()
    assert partner.counts()["commands"].get("command.emergency") is None

    partner.restart()
    partner.run(5)
    assert [len(partner.acks(correlation)) for correlation in correlations] == [1, 1]
    assert partner.counts()["duplicates"] == 0


class PowerCut(Exception):
    """The process dies here."""


def _die(*arguments: object, **options: object) -> None:
    raise PowerCut


def test_a_running_command_is_finished_by_the_next_run(partner: Partner) -> None:
    correlation = partner.setpoint(20)
    partner.tick(0.5)
    assert partner.statuses(correlation) == ["EXECUTING"]
    partner.restart()

    partner.completed(correlation)
    assert partner.statuses(correlation) == ["EXECUTING", "COMPLETED"]
    assert partner.site().plant.grid_kw == pytest.approx(-20, abs=0.6)


def test_topology_modes_and_limits_survive_a_restart(partner: Partner) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxChargeKw": 30})
    partner.completed(partner.mode("ZERO_EXPORT"))
    partner.restart()
    refused = partner.device(("B1", "BESS", "BESS_CHARGE", {"powerKw": 40}))
    partner.tick()

    assert partner.ack(refused)["rejectionCode"] == "CONSTRAINT_VIOLATION"
    assert partner.site().state.mode.mode.value == "ZERO_EXPORT"


def test_registers_and_soc_go_on_where_they_were(partner: Partner) -> None:
    partner.completed(partner.setpoint(40))
    partner.run(30)
    before = partner.site().plant
    partner.restart()
    after = partner.site().plant

    assert after.grid_register.negative_kwh == pytest.approx(before.grid_register.negative_kwh, rel=0.05)
    assert after.batteries["B1"].soc_pct == pytest.approx(before.batteries["B1"].soc_pct, abs=0.1)
    partner.run(1)
    assert partner.site().plant.grid_register.negative_kwh >= after.grid_register.negative_kwh


def test_a_plant_whose_devices_changed_starts_anew(partner: Partner) -> None:
    partner.completed(partner.mode("ZERO_EXPORT"))
    document = json.loads(json.dumps(site_documents()))
    document[0]["batteries"] = document[0]["batteries"][:1]
    partner.config = parse_config(config_document(sites=document))
    partner.restart()

    assert set(partner.site().plant.batteries) == {"B1"}
    assert partner.site().state.mode.mode.value == "STANDARD"


def test_events_without_confirmation_are_sent_again_as_the_same_bytes(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(partner.transport, "publish", _die)
        correlation = partner.mode("ZERO_EXPORT")
        with pytest.raises(PowerCut):
            partner.tick()
    [row] = partner.journal.rows(
        "SELECT message_id, body, state FROM published WHERE family = 'event.command.ack'"
    )
    partner.restart()
    partner.run(1)

    [event] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert (row["state"], event.message_id) == ("pending", row["message_id"])
    assert event.envelope == json.loads(row["body"])


def test_a_full_queue_of_the_partner_only_delays_events() -> None:
    partner = Partner()
    fill = partner.vhost.consume([partner.names.event_status])
    for _ in range(10_000):
        partner.vhost.publish(Message(routing_key=f"{SLUG}.event.mode.changed", body=b"{}"))
    correlation = partner.mode("ZERO_EXPORT")
    partner.engine.tick(partner.at)
    assert partner.counts()["published"]["event.command.ack"] == {"pending": 1}

    while deliveries := fill.get(1_000, 0):
        fill.ack(deliveries)
    fill.close()
    partner.read()
    partner.run(2)
    assert len(partner.acks(correlation)) == 1
    assert partner.counts()["unconfirmed"] == 0


def test_an_event_without_a_queue_is_journalled_as_returned() -> None:
    partner = Partner()
    partner.vhost.delete_queue(partner.names.event_execution)
    partner.mode("ZERO_EXPORT")
    partner.engine.tick(partner.at)

    assert partner.counts()["published"]["event.execution"] == {"returned": 2}


def test_telemetry_of_a_long_outage_is_bounded_and_other_events_are_kept() -> None:
    partner = Partner(factor=0.01, telemetry={"realtime_period_s": 1, "meter_period_s": 1000})
    partner.mode("ZERO_EXPORT", validUntil="2026-01-02T03:01:00.000Z")
    partner.tick()
    partner.transport.close()
    for _ in range(1_800):
        partner.tick(1)

    published = partner.counts()["published"]
    kept = sum(published[family].get("pending", 0) for family in published if "telemetry" in family)
    assert 5_000 <= kept <= 5_000 + 60 * 3
    assert published["event.telemetry.realtime"]["expired"] > 0
    assert published["event.command.ack"] == {"confirmed": 1}
    assert "expired" not in published["event.mode"]


def test_bodies_of_confirmed_telemetry_are_given_up_and_others_kept() -> None:
    partner = Partner()
    partner.mode("ZERO_EXPORT")
    partner.run(15)
    rows = partner.journal.rows(
        "SELECT family, body IS NULL AS is_empty FROM published WHERE state = 'confirmed'"
    )

    assert {row["is_empty"] for row in rows if row["family"].startswith("event.telemetry")} == {1}
    assert {row["is_empty"] for row in rows if not row["family"].startswith("event.telemetry")} == {0}


def test_an_outside_checker_can_prove_that_nothing_was_lost_or_doubled(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    partner = Partner(journal_path=str(path), faults=[{"kind": "duplicate", "probability": 0.3}])
    partner.publish_topology()
    sent = []
    for number in range(40):
        envelope = partner.envelope({"mode": "ZERO_EXPORT" if number % 2 else "STANDARD"})
        sent.append(envelope["messageId"])
        for _ in range(1 + number % 3):
            partner.send_envelope(Family.COMMAND_MODE, envelope)
        partner.tick(0.2)
        if number % 10 == 9:
            partner.restart()
    partner.run(2)
    partner.kill()

    with sqlite3.connect(path) as checker:
        received = {row[0] for row in checker.execute("SELECT message_id FROM messages")}
        effects = dict(checker.execute("SELECT message_id, COUNT(*) FROM effects GROUP BY message_id"))
        unconfirmed = checker.execute("SELECT COUNT(*) FROM published WHERE state <> 'confirmed'").fetchone()
        confirmed = {row[0] for row in checker.execute("SELECT message_id FROM published")}
    assert set(sent) <= received
    assert {effects[message_id] for message_id in sent} == {1}
    assert unconfirmed == (0,)
    assert confirmed == {event.message_id for event in partner.events}


def test_old_rows_are_forgotten_and_open_events_kept() -> None:
    partner = Partner(protocol={"keep_s": 3600})
    envelope = partner.envelope({"mode": "ZERO_EXPORT"})
    partner.send_envelope(Family.COMMAND_MODE, envelope)
    partner.tick()
    partner.tick(3 * 3600)

    assert partner.counts()["commands"] == {}
    assert not partner.journal.is_known(envelope["messageId"])


def test_a_transaction_that_fails_leaves_nothing() -> None:
    journal = Journal(":memory:")
    partner = Partner()
    with pytest.raises(PowerCut), journal.transaction():
        journal.remember("m1", partner.at)
        _die()

    assert not journal.is_known("m1")
