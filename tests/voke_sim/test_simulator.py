"""The stand-in with its threads: started, watched by events, stopped; nothing here sleeps."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from membroker import MemBroker, Message
from tests.voke_sim.harness import DEPOT, KEY, SLUG, config_document
from vcp import Family, encode_envelope, format_timestamp, new_envelope, routing_key, signed_envelope
from voke_sim.clock import system_clock
from voke_sim.config_load import ConfigError, parse_config
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.journal_schema import PullRow
from voke_sim.notes import Action, Note
from voke_sim.simulator import Simulator, SimulatorFailed

WAIT_S = 30


class Bench:
    """A broker with a stand-in on it, and a partner that publishes by hand."""

    def __init__(self, path: Path, **changes: Any) -> None:
        self.broker = MemBroker()
        self.notes: list[Note] = []
        document = config_document(
            journal_path=str(path / "journal.sqlite3"),
            factor=600,
            telemetry={"realtime_period_s": 0.2, "meter_period_s": 0.5},
            transport={"kind": "memory", "declare_topology": True, "vhost": "partner-x"},
            tick_period_s=0.05,
            **changes,
        )
        self.simulator = Simulator(parse_config(document), broker=self.broker, on_note=self.notes.append)

    def send(self, family: Family, payload: dict[str, Any]) -> str:
        message_id = str(uuid.uuid4())
        envelope = new_envelope(
            message_id=message_id, timestamp=system_clock(), source="esm", site_id=DEPOT, payload=payload
        )
        body = encode_envelope(signed_envelope(envelope, KEY))
        self.broker.vhost("partner-x").publish(Message(routing_key=routing_key(SLUG, family), body=body))
        return message_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, rest={"api_key": "k"})
    with bench.simulator:
        yield bench


def test_commands_are_carried_out_and_told_while_telemetry_flows(bench: Bench) -> None:
    now = system_clock()
    bench.send(
        Family.COMMAND_SITE_SETPOINT,
        {
            "type": "POWER",
            "targetValueKw": 20,
            "direction": "EXPORT",
            "includeConsumption": True,
            "priority": "NORMAL",
            "validFrom": format_timestamp(now - timedelta(seconds=1)),
        },
    )
    counts = bench.simulator.wait_for(
        lambda c: (
            c["executions"].get("site-setpoint", {}).get("COMPLETED", 0) == 1
            and c["published"]["event.telemetry.realtime"].get("confirmed", 0) > 6
        ),
        timeout_s=WAIT_S,
    )

    assert counts["effects"] == 1
    assert {Action.TRANSPORT, Action.RECEIVED, Action.EXECUTION, Action.REPORTED} <= {
        note.action for note in bench.notes
    }
    assert any("COMPLETED, -2" in note.text for note in bench.notes)


def test_faults_change_under_a_running_stand_in(bench: Bench) -> None:
    bench.simulator.faults.add(FaultRule(kind=FaultKind.REJECT, families=("command.mode",)))
    bench.send(Family.COMMAND_MODE, {"mode": "STANDARD"})

    bench.simulator.wait_for(lambda c: c["commands"].get("command.mode") == {"REJECTED": 1}, timeout_s=WAIT_S)


def test_the_rest_side_serves_over_a_real_socket(bench: Bench) -> None:
    answer = httpx.get(
        f"{bench.simulator.rest_url}/api/v1/vcp/sites",
        headers={"x-api-key": "k"},
        timeout=WAIT_S,
        trust_env=False,
    )

    assert [site["externalPlantId"] for site in answer.json()["data"]] == ["DEPOT", "OFFICE", "ROOF"]


def test_stopping_publishes_what_is_due_and_leaves_the_journal_readable(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.simulator.start()
    bench.send(Family.COMMAND_MODE, {"mode": "ZERO_EXPORT"})
    bench.simulator.wait_for(lambda c: "command.mode" in c["commands"], timeout_s=WAIT_S)
    bench.simulator.stop()

    counts = bench.simulator.counts()
    assert counts["unconfirmed"] == 0
    assert counts["executions"]["mode"] == {"EXECUTING": 1, "COMPLETED": 1}
    bench.simulator.close()


def test_waiting_for_what_never_comes_ends_in_a_timeout_with_the_counts(bench: Bench) -> None:
    with pytest.raises(TimeoutError, match="counts"):
        bench.simulator.wait_for(lambda counts: counts["effects"] > 99, timeout_s=0.1)


def test_an_error_in_a_thread_reaches_whoever_waits_and_whoever_stops(tmp_path: Path) -> None:
    def burst(note: Note) -> None:
        raise RuntimeError("narrator fell asleep")

    document = config_document(transport={"kind": "memory", "declare_topology": True})
    simulator = Simulator(parse_config(document), broker=MemBroker(), on_note=burst)
    simulator.start()

    with pytest.raises(SimulatorFailed, match="narrator fell asleep"):
        simulator.wait_for(lambda counts: False, timeout_s=WAIT_S)
    with pytest.raises(SimulatorFailed):
        simulator.stop()
    simulator.close()


def test_the_reverse_channel_is_pulled_in_a_thread_of_its_own(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        reverse={
            "base_url": "http://127.0.0.1:9",  # nobody listens on the discard port
            "client_id": "a",
            "client_secret": "b",
            "retry_min_s": 0.05,
            "retry_max_s": 0.05,
        },
    )
    with bench.simulator as simulator:
        counts = simulator.wait_for(lambda c: c["pulls"].get("token", {}).get("0", 0) > 2, timeout_s=WAIT_S)

    assert simulator.config.reverse is not None
    assert set(counts["pulls"]) == {"token"}


def test_answered_pulls_are_counted_by_kind(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for kind, status in (("list", 200), ("list", 304), ("list", 500), ("config", 0)):
        bench.simulator.journal.record_pull(
            PullRow(at=system_clock(), kind=kind, status=status, latency_ms=1)
        )

    assert bench.simulator.pulled() == {"list": 2, "config": 0}
    bench.simulator.stop()
    bench.simulator.close()


def test_the_memory_transport_needs_a_broker() -> None:
    with pytest.raises(ConfigError) as refused:
        Simulator(parse_config(config_document()))

    assert refused.value.field == "transport.kind"


def test_limits_that_voke_changes_by_itself_are_shown_over_rest_and_only_at_a_site_that_it_has(
    bench: Bench,
) -> None:
    bench.simulator.set_limits("DEPOT", maxImportKw=12.5)

    answer = httpx.get(
        f"{bench.simulator.rest_url}/api/v1/vcp/sites/{DEPOT}/config",
        headers={"x-api-key": "k"},
        timeout=WAIT_S,
        trust_env=False,
    )
    assert answer.json()["constraints"]["maxImportKw"] == 12.5
    with pytest.raises(ValueError, match="NOWHERE"):
        bench.simulator.set_limits("NOWHERE", maxImportKw=1.0)
