"""The stand-in over a real RabbitMQ with TLS: the transport, and the whole program killed and restarted."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pika
import pytest

from tests.services.ca import CertificateAuthority
from tests.services.partner import Partner
from tests.services.rabbit import RabbitServer
from tests.voke_sim.harness import DEPOT, config_document
from vcp import encode_envelope, new_envelope, parse_amqps_uri, queue_names, signed_envelope
from voke_sim.clock import system_clock
from voke_sim.config import TransportConfig, TransportKind
from voke_sim.transport.amqp import AmqpTransport
from voke_sim.transport.port import Inbound, Intake, Outbound, Sent

REPOSITORY = Path(__file__).parents[2]
WAIT_S = 30.0


def make_transport(rabbit: RabbitServer, partner: Partner, **changes: Any) -> AmqpTransport:
    settings = TransportConfig(
        kind=TransportKind.AMQP,
        ca_file=str(rabbit.ca_file),
        reconnect_min_s=0.05,
        reconnect_max_s=0.2,
        heartbeat_s=5,
    )
    return AmqpTransport(
        parse_amqps_uri(changes.pop("uri", partner.voke_uri)),
        queue_names(partner.slug),
        partner.slug,
        msgspec.structs.replace(settings, **changes),
        Random(1),
    )


@pytest.fixture
def transport(rabbit: RabbitServer, partner: Partner) -> Iterator[AmqpTransport]:
    transport = make_transport(rabbit, partner)
    transport.start()
    until(lambda: transport.is_connected, "the transport connects")
    yield transport
    transport.close()


def until(happened: Callable[[], object], what: str) -> None:
    """Wait for a condition that nothing announces, such as a queue's depth at the broker."""
    deadline = time.monotonic() + WAIT_S
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < deadline, f"not in time: {what}"
        pause.wait(0.02)


def publish(rabbit: RabbitServer, partner: Partner, key: str, *bodies: bytes) -> None:
    """The partner's side: its own user, confirms, mandatory."""
    with rabbit.connect(partner.uri) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("vcp", f"{partner.slug}.{key}", body, mandatory=True)


def receive(transport: AmqpTransport, count: int) -> list[Inbound]:
    got: list[Inbound] = []
    deadline = time.monotonic() + WAIT_S
    while len(got) < count and time.monotonic() < deadline:
        got += transport.receive(100, 1.0)
    assert len(got) == count
    return got


def event(partner: Partner, family: str, body: bytes = b"{}") -> Outbound:
    return Outbound(
        routing_key=f"{partner.slug}.{family}", body=body, message_id=str(uuid.uuid4()), correlation_id="c1"
    )


def test_messages_of_all_three_queues_arrive_and_settle(
    rabbit: RabbitServer, partner: Partner, transport: AmqpTransport
) -> None:
    for key in ("command.mode", "config.topology", "schedule.create"):
        publish(rabbit, partner, key, key.encode())
    inbound = receive(transport, 3)
    transport.settle(done=inbound[:2], refused=inbound[2:])

    assert {message.body for message in inbound} == {b"command.mode", b"config.topology", b"schedule.create"}
    until(lambda: rabbit.queue_depth(partner, partner.dead_queue) == 1, "the refused one is dead-lettered")


def test_what_is_unsettled_at_close_is_redelivered_to_the_next_one(
    rabbit: RabbitServer, partner: Partner, transport: AmqpTransport
) -> None:
    publish(rabbit, partner, "command.mode", b"1", b"2")
    first = receive(transport, 2)
    transport.settle(done=first[:1], refused=[])
    transport.close()
    second = make_transport(rabbit, partner)
    second.start()
    [again] = receive(second, 1)
    second.close()

    assert (again.body, again.redelivered) == (b"2", True)


def test_published_events_are_confirmed_persistent_and_carry_their_properties(
    rabbit: RabbitServer, partner: Partner, transport: AmqpTransport
) -> None:
    sent = event(partner, "event.alarm", b'{"a":1}')
    assert transport.publish([sent]) == [Sent.CONFIRMED]

    with rabbit.connect(partner.uri) as connection:
        _, properties, body = connection.channel().basic_get(partner.queues["eventAlarm"], auto_ack=True)
    assert body == b'{"a":1}'
    assert (properties.message_id, properties.correlation_id) == (sent.message_id, "c1")
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)


def test_a_correlation_id_too_long_for_a_property_still_goes_out_in_the_body(
    partner: Partner, transport: AmqpTransport
) -> None:
    long = Outbound(
        routing_key=f"{partner.slug}.event.alarm", body=b"{}", message_id="m", correlation_id="𝛘" * 128
    )

    assert transport.publish([long]) == [Sent.CONFIRMED]


def test_an_event_without_a_queue_is_returned_and_the_rest_of_the_batch_goes_on(
    partner: Partner, transport: AmqpTransport
) -> None:
    batch = [event(partner, "event.alarm"), event(partner, "event.nobody"), event(partner, "event.execution")]

    assert transport.publish(batch) == [Sent.CONFIRMED, Sent.RETURNED, Sent.CONFIRMED]


def test_a_lost_connection_is_made_again_and_old_deliveries_are_skipped(
    rabbit: RabbitServer, partner: Partner, transport: AmqpTransport
) -> None:
    publish(rabbit, partner, "command.mode", b"1")
    [old] = receive(transport, 1)
    rabbit.ctl("close_all_connections", "--vhost", partner.vhost, "test")
    [again] = receive(transport, 1)
    transport.settle(done=[old], refused=[])
    transport.settle(done=[again], refused=[])

    assert again.redelivered
    assert transport.publish([event(partner, "event.alarm")]) == [Sent.CONFIRMED]
    until(lambda: rabbit.queue_depth(partner, partner.queues["command"]) == 0, "the queue is empty")


@pytest.mark.parametrize("lost", ["before it was asked of the broker", "after the broker had confirmed it"])
def test_what_is_bound_stays_as_it_was_asked_for_over_a_lost_connection(
    rabbit: RabbitServer,
    partner: Partner,
    transport: AmqpTransport,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    change = transport._set_intake_now
    failures = ["lost"] if lost.startswith("before") else []

    def fail_first(intake: Intake, channel: Any) -> None:
        if failures:
            raise pika.exceptions.StreamLostError(failures.pop())
        change(intake, channel)

    monkeypatch.setattr(transport, "_set_intake_now", fail_first)
    assert transport.set_intake(Intake.UNBOUND)
    if lost.startswith("after"):
        until(lambda: transport.intake is Intake.UNBOUND, "the broker confirms it")
        rabbit.ctl("close_all_connections", "--vhost", partner.vhost, "test")
        until(lambda: transport._session == 2 and transport.is_connected, "it connects again")
    until(lambda: transport.intake is Intake.UNBOUND and transport.is_connected, "nothing is bound")

    with pytest.raises(pika.exceptions.UnroutableError):
        publish(rabbit, partner, "command.mode", b"1")
    assert transport.set_intake(Intake.OPEN)
    until(lambda: transport.intake is Intake.OPEN, "all is bound again")
    publish(rabbit, partner, "command.mode", b"2")


def test_a_deleted_queue_counts_as_a_lost_connection(
    rabbit: RabbitServer, partner: Partner, transport: AmqpTransport
) -> None:
    with rabbit.voke_connection(partner) as connection:
        connection.channel().queue_delete(partner.queues["schedule"])
    until(lambda: not transport.is_connected, "the session ends")

    assert transport.publish([event(partner, "event.alarm")]) == [Sent.UNAVAILABLE]


def test_an_unknown_authority_is_not_trusted(
    rabbit: RabbitServer, partner: Partner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = CertificateAuthority(tmp_path)
    assert_refused(make_transport(rabbit, partner, ca_file=str(stranger.ca_file)), monkeypatch)


def test_a_certificate_for_another_host_is_not_trusted(
    rabbit: RabbitServer, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`127.1` reaches the same broker, but its certificate does not name it."""
    uri = partner.voke_uri.replace("@localhost:", "@127.1:")
    assert_refused(make_transport(rabbit, partner, uri=uri), monkeypatch)


def assert_refused(transport: AmqpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TLS handshake fails again and again; no session ever begins."""
    failures: queue.Queue[BaseException] = queue.Queue()
    connect = pika.BlockingConnection

    def watched(*arguments: Any, **options: Any) -> Any:
        try:
            return connect(*arguments, **options)
        except BaseException as error:
            failures.put(error)
            raise

    monkeypatch.setattr(pika, "BlockingConnection", watched)
    transport.start()
    first, second = failures.get(timeout=WAIT_S), failures.get(timeout=WAIT_S)
    transport.close()

    assert not transport.is_connected
    assert all("CERTIFICATE_VERIFY_FAILED" in repr(error) for error in (first, second))


def test_topology_is_declared_only_when_asked_for(rabbit: RabbitServer, partner: Partner) -> None:
    other = queue_names(f"{partner.slug}x")
    transport = AmqpTransport(
        parse_amqps_uri(partner.voke_uri),
        other,
        f"{partner.slug}x",
        TransportConfig(ca_file=str(rabbit.ca_file), declare_topology=True, reconnect_min_s=0.05),
        Random(1),
    )
    transport.start()
    until(lambda: transport.is_connected, "the transport connects")
    outcome = transport.publish(
        [
            Outbound(
                routing_key=f"{partner.slug}x.event.alarm", body=b"{}", message_id="m", correlation_id=None
            )
        ]
    )
    transport.close()

    assert outcome == [Sent.CONFIRMED]
    assert rabbit.queue_depth(partner, other.event_alarm) == 1


# The whole program --------------------------------------------------------------------------------------


class Program:
    """`python -m voke_sim` as a process; its lines of JSON are events that can be awaited."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "voke_sim", "--config", str(config)],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.log: list[str] = []
        threading.Thread(target=self._read_out, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log += self.process.stderr

    def line(self) -> dict[str, Any]:
        """The next line of standard output."""
        try:
            document: dict[str, Any] = json.loads(self.lines.get(timeout=WAIT_S))
        except queue.Empty:
            raise AssertionError("".join(self.log[-20:])) from None
        return document

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


@pytest.fixture
def config(tmp_path: Path, partner: Partner) -> Path:
    document = config_document(
        partner={"slug": partner.slug, "signing_key": "00" * 32},
        transport={"kind": "amqp", "reconnect_min_s": 0.1},
        journal_path=str(tmp_path / "journal.sqlite3"),
        telemetry={"realtime_period_s": 0.5, "meter_period_s": 1},
        rest={"api_key": "k"},
    )
    path = tmp_path / "sim.json"
    path.write_text(json.dumps(document))
    return path


def mode_message(partner: Partner) -> tuple[str, bytes]:
    message_id = str(uuid.uuid4())
    envelope = new_envelope(
        message_id=message_id,
        timestamp=system_clock(),
        source="esm",
        site_id=DEPOT,
        payload={"mode": "ZERO_EXPORT"},
        correlation_id=message_id,
    )
    return message_id, encode_envelope(signed_envelope(envelope, partner.signing_key))


def collect(rabbit: RabbitServer, partner: Partner, member: str, *, until_seen: set[str]) -> list[str]:
    """correlationIds of a queue's messages, read until all of `until_seen` came."""
    seen: list[str] = []
    with rabbit.connect(partner.uri) as connection:
        channel = connection.channel()
        for method, _, body in channel.consume(partner.queues[member], auto_ack=True, inactivity_timeout=1.0):
            if method is not None:
                seen.append(str(json.loads(body).get("correlationId")))
            if until_seen <= set(seen) and method is None:
                break
    return seen


def test_killed_in_the_middle_it_loses_nothing_doubles_nothing_and_stops_on_sigterm(
    rabbit: RabbitServer, partner: Partner, config: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "signing-key"
    secret.write_text(partner.signing_key)
    environment = {
        "VOKE_SIM_AMQPS_URI": partner.voke_uri,
        "VOKE_SIM_AMQPS_CA_FILE": str(rabbit.ca_file),
        "VOKE_SIM_SIGNING_KEY_FILE": str(secret),
    }
    messages = [mode_message(partner) for _ in range(200)]
    first = Program(config, environment)
    ready = first.line()
    assert ready["ready"] is True
    publish(rabbit, partner, "command.mode", *(body for _, body in messages[:100]))
    until(lambda: rabbit.queue_depth(partner, partner.queues["eventStatus"]) > 5, "the first acks are out")
    first.end(signal.SIGKILL)

    publish(rabbit, partner, "command.mode", *(body for _, body in messages[50:]))
    second = Program(config, environment)
    second.line()
    ids = {message_id for message_id, _ in messages}
    acked = collect(rabbit, partner, "eventStatus", until_seen=ids)
    code = second.end(signal.SIGTERM)
    counts = second.line()["counts"]

    assert code == 0
    assert ids <= set(acked)
    assert (counts["effects"], counts["effects_doubled"]) == (200, 0)
    assert counts["duplicates"] >= 50
    assert counts["commands"]["command.mode"]["ACCEPTED"] == 200
    log = "".join(first.log + second.log)
    assert partner.signing_key not in log
    assert parse_amqps_uri(partner.voke_uri).password not in log


def test_without_a_broker_it_keeps_trying_and_still_stops_on_sigterm(config: Path) -> None:
    program = Program(
        config, {"VOKE_SIM_AMQPS_URI": "amqps://voke:hush@127.0.0.1:9/x", "VOKE_SIM_LOG_LEVEL": "INFO"}
    )
    until(lambda: sum("session ended" in line for line in program.log) > 1, "two attempts were logged")
    code = program.end(signal.SIGTERM)

    assert (code, program.line()["stopped"]) == (0, True)
    assert "hush" not in "".join(program.log)
