"""The private broker refuses what Voke's broker refuses, and keeps what a broker must keep."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

from tests.services.ca import CertificateAuthority, client_context
from tests.services.partner import EXCHANGE, Partner, amqps_uri, vhost_of
from tests.services.rabbit import RabbitServer
from tests.services_test.processes import process_tree, still_running

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.fixture
def channel(rabbit: RabbitServer, partner: Partner) -> Iterator[BlockingChannel]:
    """The partner's own channel, with publisher confirms."""
    connection = rabbit.connect(partner.uri)
    opened = connection.channel()
    opened.confirm_delivery()
    yield opened
    connection.close()


def _refusal(rabbit: RabbitServer, uri: str) -> AMQPConnectionError:
    with pytest.raises(AMQPConnectionError) as caught:
        rabbit.connect(uri)
    return caught.value


def test_a_broker_signed_by_another_authority_is_not_trusted(rabbit: RabbitServer, tmp_path: Path) -> None:
    parameters = pika.URLParameters(rabbit.partner_uri)
    stranger = CertificateAuthority(tmp_path / "stranger")
    parameters.ssl_options = pika.SSLOptions(stranger.client_context(), "localhost")

    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate in certificate chain"):
        pika.BlockingConnection(parameters)


def test_the_certificate_holds_for_localhost_only(rabbit: RabbitServer, partner: Partner) -> None:
    parameters = pika.URLParameters(partner.uri)
    parameters.ssl_options = pika.SSLOptions(client_context(rabbit.ca_file), "amqp.example.com")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        pika.BlockingConnection(parameters)


def test_a_wrong_api_key_is_refused(rabbit: RabbitServer, partner: Partner) -> None:
    uri = amqps_uri(partner.slug, "guess", rabbit.port, partner.vhost)

    assert isinstance(_refusal(rabbit, uri), ProbableAuthenticationError)


def test_another_partners_vhost_is_refused(rabbit: RabbitServer, partner: Partner) -> None:
    uri = amqps_uri(partner.slug, partner.api_key, rabbit.port, rabbit.partner.vhost)

    error = _refusal(rabbit, uri)

    assert isinstance(error, ProbableAccessDeniedError | ConnectionClosedByBroker)


def test_there_is_no_default_vhost_and_no_guest(rabbit: RabbitServer) -> None:
    error = _refusal(rabbit, amqps_uri("guest", "guest", rabbit.port, "/"))

    assert isinstance(error, ProbableAuthenticationError)


@pytest.mark.parametrize("name", ["vcp.other.event.alarm", "mine", ""])
def test_declaring_a_queue_is_refused(channel: BlockingChannel, name: str) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.queue_declare(name, durable=True)

    assert caught.value.reply_code == 403


def test_declaring_an_exchange_is_refused(channel: BlockingChannel) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.exchange_declare("vcp2", exchange_type="topic", durable=True)

    assert caught.value.reply_code == 403


def test_consuming_a_queue_that_is_not_an_event_queue_is_refused(
    channel: BlockingChannel, partner: Partner
) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.basic_consume(partner.queues["command"], on_message_callback=print)

    assert caught.value.reply_code == 403


def test_consuming_ones_own_event_queues_is_allowed(channel: BlockingChannel, partner: Partner) -> None:
    events = [name for member, name in partner.queues.items() if member.startswith("event")]

    tags = [channel.basic_consume(name, on_message_callback=print) for name in events]

    assert len(tags) == 4


@pytest.mark.parametrize(
    "key", ["other.command.mode", "{slug}.event.alarm", "{slug}.commands.mode", "x{slug}.command.mode"]
)
def test_a_routing_key_that_is_not_ones_own_is_refused(
    channel: BlockingChannel, partner: Partner, key: str
) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.basic_publish(EXCHANGE, key.format(slug=partner.slug), b"{}", mandatory=True)

    assert caught.value.reply_code == 403


def test_publishing_past_the_exchange_into_a_queue_is_refused(
    channel: BlockingChannel, partner: Partner
) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.basic_publish("", partner.queues["eventAlarm"], b"{}")

    assert caught.value.reply_code == 403


@pytest.mark.parametrize(
    ("key", "member"),
    [
        ("command.site-setpoint", "command"),
        ("command.device.charge", "command"),
        ("config.topology", "config"),
        ("schedule.create", "schedule"),
    ],
)
def test_a_message_of_the_partner_lands_in_its_queue(
    rabbit: RabbitServer, channel: BlockingChannel, partner: Partner, key: str, member: str
) -> None:
    channel.basic_publish(EXCHANGE, f"{partner.slug}.{key}", b"{}", PERSISTENT, mandatory=True)

    assert rabbit.queue_depth(partner, partner.queues[member]) == 1


def test_a_permitted_key_that_no_queue_is_bound_to_is_returned(
    channel: BlockingChannel, partner: Partner
) -> None:
    with pytest.raises(UnroutableError):
        channel.basic_publish(EXCHANGE, f"{partner.slug}.schedule.create.twice", b"{}", mandatory=True)


@pytest.mark.parametrize(
    ("key", "member"),
    [
        ("event.telemetry.realtime", "eventTelemetry"),
        ("event.telemetry.meter.7a1d2c3b", "eventTelemetry"),
        ("event.command.ack", "eventStatus"),
        ("event.mode.changed", "eventStatus"),
        ("event.schedule.accepted", "eventStatus"),
        ("event.alarm", "eventAlarm"),
        ("event.alarm.raised", "eventAlarm"),
        ("event.execution", "eventExecution"),
    ],
)
def test_an_event_of_voke_lands_in_its_queue_and_in_no_other(
    rabbit: RabbitServer, partner: Partner, key: str, member: str
) -> None:
    with rabbit.voke_connection(partner) as connection:
        voke = connection.channel()
        voke.confirm_delivery()
        voke.basic_publish(EXCHANGE, f"{partner.slug}.{key}", b"{}", PERSISTENT, mandatory=True)

    depths = {name: rabbit.queue_depth(partner, queue) for name, queue in partner.queues.items()}
    assert depths == {name: int(name == member) for name in partner.queues}


def test_a_rejected_event_is_dead_lettered(
    rabbit: RabbitServer, channel: BlockingChannel, partner: Partner
) -> None:
    queue = partner.queues["eventAlarm"]
    with rabbit.voke_connection(partner) as connection:
        voke = connection.channel()
        voke.confirm_delivery()
        voke.basic_publish(EXCHANGE, f"{partner.slug}.event.alarm", b"not json", PERSISTENT)

    method, _, _ = channel.basic_get(queue)
    channel.basic_reject(method.delivery_tag, requeue=False)

    with rabbit.voke_connection(partner) as connection:
        _, properties, body = next(connection.channel().consume(partner.dead_queue, inactivity_timeout=10))
    assert body == b"not json"
    assert properties.headers["x-death"][0]["queue"] == queue


def test_purge_empties_all_queues_of_a_partner(
    rabbit: RabbitServer, channel: BlockingChannel, partner: Partner
) -> None:
    channel.basic_publish(EXCHANGE, f"{partner.slug}.command.mode", b"{}", PERSISTENT, mandatory=True)

    rabbit.purge(partner)

    assert rabbit.queue_depth(partner, partner.queues["command"]) == 0


def test_a_partner_is_handed_out_once_and_the_pool_refills_itself(rabbit: RabbitServer) -> None:
    partners = [rabbit.lease_partner() for _ in range(25)]

    assert len({partner.slug for partner in partners}) == len({partner.vhost for partner in partners}) == 25
    with rabbit.connect(partners[-1].uri) as connection:
        assert connection.channel().is_open


def test_a_partner_of_a_chosen_name_is_added_while_the_broker_runs(rabbit: RabbitServer) -> None:
    partner = rabbit.add_partner("north-grid", "8d1f")

    assert partner.vhost == vhost_of("8d1f") == "partner-8d1f"
    assert rabbit.queue_depth(partner, "vcp.north-grid.event.status") == 0


def test_a_restart_keeps_persistent_messages_and_address(rabbit: RabbitServer, partner: Partner) -> None:
    with rabbit.connect(partner.uri) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(11):
            channel.basic_publish(EXCHANGE, f"{partner.slug}.command.mode", b"{}", PERSISTENT, mandatory=True)

    rabbit.restart()

    assert rabbit.queue_depth(partner, partner.queues["command"]) == 11


def test_confirmed_messages_survive_kill_minus_nine_and_nothing_is_left_after_close() -> None:
    server = RabbitServer().start()
    epmd = server.ctl("eval", 'os:getenv("ERL_EPMD_PORT").')
    with server.connect(server.partner_uri) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(EXCHANGE, "acme.command.mode", b"{}", PERSISTENT, mandatory=True)

    server.kill()
    server.start()
    depth = server.queue_depth(server.partner, "vcp.acme.command")
    families = process_tree(server.process.pid) | process_tree(server.epmd_process.pid)
    directory = server.directory
    server.close()

    assert epmd.strip().strip('"').isdigit()
    assert depth == 1
    assert still_running(families) == set()
    assert not directory.exists()


def test_the_bundle_carries_what_the_partner_needs(partner: Partner) -> None:
    bundle = partner.bundle()

    assert bundle["amqpsUri"].startswith(f"amqps://{partner.slug}:k%2B")
    assert set(bundle["queues"]) == {
        "command",
        "config",
        "schedule",
        "eventTelemetry",
        "eventStatus",
        "eventAlarm",
        "eventExecution",
    }
    assert partner.api_key not in repr(partner)
    assert partner.signing_key not in repr(partner)
