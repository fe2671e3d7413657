"""`check_connection` against a real broker: each fault is found at its step, named, and stops what depends on it."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trustme

from esm import clock
from link.checkup import Step, Verdict
from plants.models import ConnectionMode
from tests import factories
from tests.link.checkups import checked, seen, stored
from tests.services.ca import CertificateAuthority
from tests.services.partner import EXCHANGE, Partner, amqps_uri
from tests.services.proc import free_port
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer

pytestmark = pytest.mark.django_db
BROKER_STEPS = (
    Step.ADDRESS, Step.HOST, Step.PORT, Step.TLS, Step.LOGIN, Step.VHOST, Step.QUEUES, Step.PUBLISH,
)  # fmt: skip
OK = ("OK", "")
AFTER_FAILURE = ("SKIPPED", "AFTER_FAILURE")


def test_a_healthy_connection_is_ok_from_the_address_to_publishing(rabbit: RabbitServer, partner: Partner):
    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS) == [OK] * 8
    assert results[Step.TLS].facts["tls_version"] == "TLSv1.3"
    assert results[Step.TLS].facts["days_left"] > 30
    assert results[Step.QUEUES].facts["waiting"] == dict.fromkeys(
        (partner.queues[name] for name in ("eventTelemetry", "eventStatus", "eventAlarm", "eventExecution")),
        0,
    )
    assert "312 NO_ROUTE" in results[Step.PUBLISH].words


def test_a_check_takes_and_leaves_no_message(rabbit: RabbitServer, partner: Partner):
    alarms, commands = partner.queues["eventAlarm"], partner.queues["command"]
    with rabbit.voke_connection(partner) as voke:
        voke.channel().basic_publish(EXCHANGE, f"{partner.slug}.event.alarm", b"{}")

    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert results[Step.QUEUES].verdict is Verdict.WARNING
    assert results[Step.QUEUES].code == "NOT_CONSUMED"
    assert results[Step.QUEUES].facts["waiting"][alarms] == 1
    with rabbit.voke_connection(partner) as voke:
        method, _, _ = voke.channel().basic_get(alarms)
    assert method.redelivered is False
    assert (
        rabbit.queue_depth(partner, commands) == rabbit.queue_depth(partner, partner.queues["schedule"]) == 0
    )


# --- the way there ----------------------------------------------------------------------------------------------------


def test_a_host_that_no_name_server_knows(rabbit: RabbitServer, partner: Partner):
    uri = partner.uri.replace("@localhost:", "@broker.invalid:")

    results = checked(stored(partner, amqps_uri=uri), ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS[:3]) == [OK, ("FAILED", "NAME_UNKNOWN"), AFTER_FAILURE]
    assert "broker.invalid" in results[Step.HOST].words
    assert results[Step.QUEUES].words == "not tried: host failed"
    assert results[Step.EVENTS].code == "AFTER_FAILURE"


def test_a_port_on_which_nobody_listens(rabbit: RabbitServer, partner: Partner):
    uri = amqps_uri(partner.slug, partner.api_key, free_port(), partner.vhost)

    results = checked(stored(partner, amqps_uri=uri), ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS[2:4]) == [("FAILED", "PORT_CLOSED"), AFTER_FAILURE]
    assert "5671" in results[Step.PORT].fix


def test_a_host_that_takes_connections_and_says_nothing(rabbit: RabbitServer, partner: Partner):
    with Proxy(rabbit.port) as proxy:
        proxy.blackhole()
        uri = amqps_uri(partner.slug, partner.api_key, proxy.port, partner.vhost)

        results = checked(stored(partner, amqps_uri=uri), ca_file=rabbit.ca_file, connect_timeout_s=0.3)

    assert seen(results, Step.TLS, Step.LOGIN) == [("FAILED", "TLS_FAILED"), AFTER_FAILURE]
    assert "in time" in results[Step.TLS].words


def test_what_speaks_no_tls_is_said_to_speak_none(partner: Partner):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_in_plain, args=(listener,), daemon=True)
        thread.start()
        uri = amqps_uri(partner.slug, partner.api_key, listener.getsockname()[1], partner.vhost)

        results = checked(stored(partner, amqps_uri=uri))
        thread.join(5)

    assert seen(results, Step.PORT, Step.TLS) == [OK, ("FAILED", "TLS_FAILED")]


def _answer_in_plain(listener: socket.socket) -> None:
    for _ in range(2):  # the steps port and tls
        taken, _ = listener.accept()
        with taken:
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_broker_of_another_authority(rabbit: RabbitServer, partner: Partner, tmp_path: Path):
    stranger = CertificateAuthority(tmp_path / "stranger")

    results = checked(stored(partner), ca_file=stranger.ca_file)

    assert seen(results, Step.TLS, Step.LOGIN) == [("FAILED", "CERTIFICATE_UNKNOWN_AUTHORITY"), AFTER_FAILURE]
    assert "AMQP_CA_FILE" in results[Step.TLS].fix
    assert "for localhost" in results[Step.TLS].words


def test_the_systems_authorities_do_not_know_a_private_one(rabbit: RabbitServer, partner: Partner):
    results = checked(stored(partner), ca_file=None)

    assert results[Step.TLS].code == "CERTIFICATE_UNKNOWN_AUTHORITY"


@pytest.mark.parametrize("content", [None, "no certificate in here"])
def test_a_file_of_authorities_that_can_not_be_used(rabbit, partner: Partner, tmp_path: Path, content):
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)

    results = checked(stored(partner), ca_file=ca_file)

    assert results[Step.TLS].code == "CA_FILE_UNUSABLE"


@contextmanager
def tls_host(directory: Path, *names: str, until: datetime | None = None) -> Iterator[tuple[int, Path]]:
    """A host with a certificate of its own: (port, its authority's file)."""
    authority = trustme.CA()
    ca_file = directory / "own-ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    since = None if until is None else until - timedelta(days=90)
    certificate = authority.issue_cert(*names, not_before=since, not_after=until)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()
        thread = threading.Thread(target=_shake_hands, args=(listener, context, stop), daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1]), ca_file
        finally:
            stop.set()
            socket.create_connection(listener.getsockname(), timeout=5).close()
            thread.join(5)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext, stop: threading.Event) -> None:
    while True:
        taken, _ = listener.accept()
        with taken:
            if stop.is_set():
                return
            taken.settimeout(5)
            try:
                context.wrap_socket(taken, server_side=True).close()
            except OSError:
                continue  # the client did not like what it saw


def today() -> datetime:
    """OpenSSL judges certificates by the machine's own clock."""
    return clock.now()


def test_an_expired_certificate_is_named_with_its_day(partner: Partner, tmp_path: Path):
    ended = today() - timedelta(days=3)
    with tls_host(tmp_path, "localhost", until=ended) as (port, ca_file):
        uri = amqps_uri(partner.slug, partner.api_key, port, partner.vhost)

        results = checked(stored(partner, amqps_uri=uri), ca_file=ca_file, at=today())

    assert seen(results, Step.TLS, Step.LOGIN) == [("FAILED", "CERTIFICATE_EXPIRED"), AFTER_FAILURE]
    assert f"to {ended:%Y-%m-%d}" in results[Step.TLS].words


def test_a_certificate_for_another_host_tells_which(partner: Partner, tmp_path: Path):
    with tls_host(tmp_path, "amqp.voke.example") as (port, ca_file):
        uri = amqps_uri(partner.slug, partner.api_key, port, partner.vhost)

        results = checked(stored(partner, amqps_uri=uri), ca_file=ca_file)

    assert seen(results, Step.TLS) == [("FAILED", "CERTIFICATE_OTHER_HOST")]
    assert "for amqp.voke.example" in results[Step.TLS].words


def test_a_certificate_that_ends_next_week_is_a_warning_and_the_walk_goes_on(
    partner: Partner, tmp_path: Path
):
    with tls_host(tmp_path, "localhost", until=today() + timedelta(days=7, hours=1)) as (port, ca_file):
        uri = amqps_uri(partner.slug, partner.api_key, port, partner.vhost)

        results = checked(stored(partner, amqps_uri=uri), ca_file=ca_file, at=today())

    assert seen(results, Step.TLS) == [("WARNING", "CERTIFICATE_EXPIRES_SOON")]
    assert results[Step.TLS].facts["days_left"] == 7
    assert results[Step.LOGIN].verdict is Verdict.FAILED


# --- login and rights -------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_at_the_login(rabbit: RabbitServer, partner: Partner):
    uri = amqps_uri(partner.slug, partner.api_key + "x", rabbit.port, partner.vhost)

    results = checked(stored(partner, amqps_uri=uri), ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS[3:7]) == [
        OK,
        ("FAILED", "REFUSED_CREDENTIALS"),
        AFTER_FAILURE,
        AFTER_FAILURE,
    ]


def test_a_foreign_vhost_proves_the_login_and_fails_at_the_vhost(rabbit: RabbitServer, partner: Partner):
    link = stored(partner, vhost=rabbit.partner.vhost)

    results = checked(link, ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS[4:7]) == [OK, ("FAILED", "REFUSED_VHOST"), AFTER_FAILURE]
    assert rabbit.partner.vhost in results[Step.VHOST].words


def test_a_queue_that_voke_has_deleted_is_named(rabbit: RabbitServer, partner: Partner):
    with rabbit.voke_connection(partner) as voke:
        voke.channel().queue_delete(partner.queues["eventExecution"])

    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert seen(results, *BROKER_STEPS[6:8]) == [("FAILED", "QUEUE_MISSING"), OK]
    assert partner.queues["eventExecution"] in results[Step.QUEUES].words
    assert partner.queues["eventAlarm"] not in results[Step.QUEUES].words
    assert results[Step.EVENTS].code == "AFTER_FAILURE"


def test_queues_that_the_key_may_not_read_are_named(rabbit: RabbitServer, partner: Partner):
    rabbit.ctl(
        "set_permissions", "-p", partner.vhost, partner.slug, "^$", f"^{EXCHANGE}$", r"\.event\.alarm$"
    )

    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert seen(results, Step.QUEUES) == [("FAILED", "QUEUE_FORBIDDEN")]
    assert partner.queues["eventTelemetry"] in results[Step.QUEUES].words


def test_a_routing_prefix_that_the_key_may_not_write_to(rabbit: RabbitServer, partner: Partner):
    results = checked(stored(partner, routing_prefix="somebody"), ca_file=rabbit.ca_file)

    assert seen(results, Step.PUBLISH) == [("FAILED", "PUBLISH_FORBIDDEN")]
    assert results[Step.PUBLISH].words.startswith("The key may not publish: 403")


def test_a_refused_probe_proves_nothing_for_a_key_without_the_scope_of_schedules(rabbit, partner: Partner):
    link = stored(partner, routing_prefix="somebody", scopes=["vcp:connect", "vcp:write:setpoint"])

    results = checked(link, ca_file=rabbit.ca_file)

    assert seen(results, Step.PUBLISH) == [("UNKNOWN", "PUBLISH_UNCERTAIN")]


def test_a_probe_that_some_queue_takes_says_so(rabbit: RabbitServer, partner: Partner):
    with rabbit.voke_connection(partner) as voke:
        voke.channel().queue_bind(partner.dead_queue, EXCHANGE, "#")

    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert seen(results, Step.PUBLISH) == [("WARNING", "PROBE_ROUTED")]


def test_a_vhost_without_its_exchange(rabbit: RabbitServer, partner: Partner):
    with rabbit.voke_connection(partner) as voke:
        voke.channel().exchange_delete(EXCHANGE)

    results = checked(stored(partner), ca_file=rabbit.ca_file)

    assert seen(results, Step.PUBLISH) == [("FAILED", "EXCHANGE_MISSING")]


@pytest.mark.parametrize(("publish", "found"), [(False, ("SKIPPED", "NOT_ASKED")), (True, OK)])
def test_an_observing_connection_publishes_nothing_unless_asked(rabbit, partner: Partner, publish, found):
    link = stored(partner, mode=ConnectionMode.OBSERVE)

    results = checked(link, ca_file=rabbit.ca_file, publish=publish)

    assert seen(results, Step.PUBLISH) == [found]


def test_no_answer_shows_a_secret(rabbit: RabbitServer, partner: Partner):
    wrong = amqps_uri(partner.slug, partner.api_key + "x", rabbit.port, partner.vhost)

    fine = stored(partner)
    shown = repr(checked(fine, ca_file=rabbit.ca_file))
    fine.amqps_uri = wrong
    shown += repr(checked(fine, ca_file=rabbit.ca_file))

    assert partner.api_key not in shown
    assert partner.signing_key not in shown
    assert not re.search(r"amqps://\S+@", shown)


def test_a_secret_that_does_not_decrypt_is_the_first_answer(rabbit: RabbitServer, partner: Partner):
    link = stored(partner)
    factories.make_undecryptable(link, "amqps_uri", "api_key", "signing_key")
    rows = type(link).objects.defer("amqps_uri", "api_key", "signing_key")

    results = checked(rows.get(pk=link.pk))

    assert seen(results, Step.ADDRESS, Step.HOST, Step.SIGNATURE) == [
        ("FAILED", "SECRET_UNREADABLE"),
        AFTER_FAILURE,
        ("FAILED", "SECRET_UNREADABLE"),
    ]
