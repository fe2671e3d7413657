"""Why no link came about: each reason has its code, says whether trying again helps, and shows no secret."""

import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from link.amqp import AmqpsTransport
from link.amqp_frames import MAX_FRAME_BYTES
from link.broker import Fate, LinkError, LinkTarget
from tests.link.far_sides import amqps_transport, target_of
from tests.link.mute_broker import NO_CHANNEL, NO_CHANNEL_AFTER_REFUSAL, MuteBroker, after_publish
from tests.link.port_world import ManualClock, fates, outgoing
from tests.services.ca import CertificateAuthority
from tests.services.partner import Partner, amqps_uri
from tests.services.proc import AN_AGE_S, free_port
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer
from vcp import queue_names


def refusal(transport: AmqpsTransport, target: LinkTarget) -> LinkError:
    """The error with which both kinds of link are refused."""
    with pytest.raises(LinkError) as consuming:
        transport.open_consumer(target, prefetch=10)
    with pytest.raises(LinkError) as publishing:
        transport.open_publisher(target, clock=ManualClock())
    assert consuming.value.code == publishing.value.code
    return publishing.value


Case = Callable[[RabbitServer, Partner], tuple[AmqpsTransport, LinkTarget]]


def _wrong_key(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    uri = amqps_uri(partner.slug, partner.api_key + "x", rabbit.port, partner.vhost)
    return amqps_transport(rabbit), target_of(partner, uri=uri)


def _foreign_vhost(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return amqps_transport(rabbit), target_of(partner, vhost=rabbit.partner.vhost)


def _unknown_vhost(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return amqps_transport(rabbit), target_of(partner, vhost="partner-nobody")


def _system_store(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return AmqpsTransport(None, 10, 5.0), target_of(partner)


def _no_ca_file(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return AmqpsTransport("/nowhere/ca.pem", 10, 5.0), target_of(partner)


def _ca_file_of_other_content(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return AmqpsTransport(__file__, 10, 5.0), target_of(partner)


def _without_tls(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    return amqps_transport(rabbit), target_of(partner, uri=partner.uri.replace("amqps://", "amqp://"))


def _nobody_listens(rabbit: RabbitServer, partner: Partner) -> tuple[AmqpsTransport, LinkTarget]:
    uri = amqps_uri(partner.slug, partner.api_key, free_port(), partner.vhost)
    return amqps_transport(rabbit), target_of(partner, uri=uri)


@pytest.mark.parametrize(
    ("case", "code", "permanent"),
    [
        (_wrong_key, "REFUSED_CREDENTIALS", True),
        (_foreign_vhost, "REFUSED_VHOST", True),
        (_unknown_vhost, "REFUSED_VHOST", True),
        (_system_store, "REFUSED_CERTIFICATE", True),
        (_no_ca_file, "CA_FILE_UNUSABLE", True),
        (_ca_file_of_other_content, "CA_FILE_UNUSABLE", True),
        (_without_tls, "BAD_ADDRESS", True),
        (_nobody_listens, "LINK_DOWN", False),
    ],
)
def test_a_refusal_has_its_code_and_shows_no_secret(
    rabbit: RabbitServer, partner: Partner, case: Case, code: str, permanent: bool
) -> None:
    transport, target = case(rabbit, partner)

    error = refusal(transport, target)

    assert (error.code, error.permanent) == (code, permanent)
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(target)
    assert partner.api_key not in shown
    assert "amqps://" not in shown
    assert "k%2B" not in shown


def test_a_broker_signed_by_another_authority_is_refused(
    rabbit: RabbitServer, partner: Partner, tmp_path: Path
) -> None:
    stranger = CertificateAuthority(tmp_path / "stranger")

    error = refusal(AmqpsTransport(str(stranger.ca_file), 10, 5.0), target_of(partner))

    assert (error.code, error.permanent) == ("REFUSED_CERTIFICATE", True)


def test_a_certificate_for_another_host_is_refused(rabbit: RabbitServer, partner: Partner) -> None:
    with Proxy(rabbit.port, host="127.0.0.2") as proxy:
        uri = partner.uri.replace(f"localhost:{rabbit.port}", f"{proxy.host}:{proxy.port}")

        error = refusal(amqps_transport(rabbit), target_of(partner, uri=uri))

    assert (error.code, error.permanent) == ("REFUSED_CERTIFICATE", True)
    assert "127.0.0.2" in str(error)


def test_a_used_up_connection_limit_is_not_taken_for_a_forbidden_vhost(
    rabbit: RabbitServer, partner: Partner
) -> None:
    rabbit.ctl("set_vhost_limits", "-p", partner.vhost, '{"max-connections": 0}')

    error = refusal(amqps_transport(rabbit), target_of(partner))

    assert (error.code, error.permanent) == ("CONNECTION_LIMIT", False)


def test_a_queue_of_another_partner_is_forbidden_and_named(rabbit: RabbitServer, partner: Partner) -> None:
    target = replace(target_of(partner), queues=queue_names("somebody"))

    with pytest.raises(LinkError) as caught:
        amqps_transport(rabbit).open_consumer(target, prefetch=10)

    assert (caught.value.code, caught.value.permanent) == ("QUEUE_FORBIDDEN", True)
    assert "vcp.somebody.event.telemetry" in str(caught.value)


def test_a_host_that_takes_connections_and_never_speaks_is_given_up(
    rabbit: RabbitServer, partner: Partner
) -> None:
    with Proxy(rabbit.port) as proxy:
        proxy.blackhole()
        uri = partner.uri.replace(f":{rabbit.port}/", f":{proxy.port}/")
        transport = amqps_transport(rabbit, connect_timeout_s=0.5)
        began = time.monotonic()

        error = refusal(transport, target_of(partner, uri=uri))

    assert (error.code, error.permanent) == ("LINK_DOWN", False)
    assert time.monotonic() - began < AN_AGE_S


def test_a_resolver_that_hangs_does_not_hold_the_thread_that_connects() -> None:
    answered = threading.Event()

    def hanging(*_words: object, **_options: object) -> list[object]:
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    target = LinkTarget(
        connection_id=1,
        name="unnamed",
        amqps_uri="amqps://acme:key@broker.invalid:5671/partner-1",
        vhost="partner-1",
        queues=queue_names("acme"),
        routing_prefix="acme",
    )
    with mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=hanging):
        try:
            error = refusal(AmqpsTransport(None, 10, 5.0, connect_timeout_s=0.1), target)
        finally:
            answered.set()

    assert (error.code, error.permanent) == ("LINK_DOWN", False)
    assert "name server" in str(error)


def test_the_addresses_of_a_host_share_the_time_to_reach_it() -> None:
    known = {"broker.invalid": [f"192.0.2.{n}" for n in range(4)]}

    def told(host: str, port: int, *_words: object, **_options: object) -> list[object]:
        places = known.get(host, [host])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    granted: list[float | None] = []

    class Silent(socket.socket):
        def connect(self, _address: object) -> None:
            granted.append(self.gettimeout())
            raise TimeoutError("timed out")

    target = LinkTarget(
        connection_id=1,
        name="silent",
        amqps_uri="amqps://acme:key@broker.invalid:5671/partner-1",
        vhost="partner-1",
        queues=queue_names("acme"),
        routing_prefix="acme",
    )
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=told),
        mock.patch.object(socket, "socket", Silent),
        pytest.raises(LinkError),
    ):
        AmqpsTransport(None, 10, 5.0, connect_timeout_s=8.0).open_consumer(target, prefetch=10)

    assert granted == [2.0] * 4


def _mute_target(broker: MuteBroker) -> LinkTarget:
    return LinkTarget(
        connection_id=1,
        name="mute",
        amqps_uri=broker.uri,
        vhost=broker.vhost,
        queues=queue_names("acme"),
        routing_prefix="acme",
    )


def test_a_broker_that_only_sends_heartbeats_is_given_up(tmp_path: Path) -> None:
    """Regression: py-amqp starts its timeout anew with every heartbeat and would wait for ever."""
    with MuteBroker(tmp_path, NO_CHANNEL) as broker:
        transport = AmqpsTransport(str(broker.ca_file), 10, 5.0, connect_timeout_s=1.0)
        began = time.monotonic()

        with pytest.raises(LinkError) as caught:
            transport.open_consumer(_mute_target(broker), prefetch=10)

    assert (caught.value.code, caught.value.permanent) == ("LINK_DOWN", False)
    assert 0.9 < time.monotonic() - began < AN_AGE_S


def test_a_channel_that_is_not_opened_again_after_a_refusal_breaks_the_link(tmp_path: Path) -> None:
    """Regression: the timeout of the reopening looked like "no frame yet", and the closed channel was used on."""
    with MuteBroker(tmp_path, NO_CHANNEL_AFTER_REFUSAL) as broker:
        transport = AmqpsTransport(str(broker.ca_file), 10, 8.0, connect_timeout_s=1.0)
        target = _mute_target(broker)
        publisher = transport.open_publisher(target, clock=ManualClock())
        began = time.monotonic()

        sent = publisher.publish([outgoing(target, 1)])

        assert fates(sent) == [Fate.UNKNOWN]
        assert time.monotonic() - began < AN_AGE_S
        with pytest.raises(LinkError):
            publisher.keep_alive()


@pytest.mark.parametrize(
    ("proposed", "agreed"), [(1_000_000, MAX_FRAME_BYTES), (0, MAX_FRAME_BYTES), (8_192, 8_192)]
)
def test_no_larger_frames_are_agreed_to_than_are_read(tmp_path: Path, proposed: int, agreed: int) -> None:
    """A message in one frame that we refuse to read would end each link that it is sent on, for ever."""
    with MuteBroker(tmp_path, after_publish(b""), frame_max=proposed) as broker:
        transport = AmqpsTransport(str(broker.ca_file), 10, 5.0, connect_timeout_s=1.0)
        publisher = transport.open_publisher(_mute_target(broker), clock=ManualClock())
        link = publisher._link  # type: ignore[attr-defined]

        assert link.frame_max == agreed
        publisher.abort()
