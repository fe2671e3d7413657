"""Hosts that bundles name: only public addresses are gone to, and only those that were judged."""

import socket
from collections.abc import Sequence
from unittest import mock

import pytest

from link.amqp import AmqpsTransport
from link.broker import LinkError, LinkTarget
from link.names import NameRefused, resolve
from link.rest import RestInsecure, RestUnreachable, VokeRest
from vcp import queue_names

PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
)
PUBLIC = "93.184.216.34"


class Resolver:
    """Answers in turn, the last answer from then on; an address is its own answer, as the system's is."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_words: object, **_options: object) -> list[object]:
        self.asked.append(host)
        if host[0].isdigit():
            places: Sequence[str] = [host]
        else:
            places = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]


class Refused(socket.socket):
    """Notes where it was to go, and never gets there."""

    tried: list[str] = []

    def connect(self, address: object) -> None:
        Refused.tried.append(str(address[0]) if isinstance(address, tuple) else str(address))
        raise ConnectionRefusedError(111, "refused")


@pytest.fixture(autouse=True)
def _only_public(settings) -> None:
    settings.CONNECT_ALLOW_PRIVATE = False
    Refused.tried.clear()


def _target() -> LinkTarget:
    return LinkTarget(
        connection_id=1,
        name="acme",
        amqps_uri="amqps://acme:key@broker.invalid:5671/partner-1",
        vhost="partner-1",
        queues=queue_names("acme"),
        routing_prefix="acme",
    )


@pytest.mark.parametrize("place", PRIVATE)
def test_a_host_that_leads_inside_is_refused_without_telling_where(place: str) -> None:
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=Resolver([place])),
        pytest.raises(NameRefused) as refused,
    ):
        resolve("inside.example", 5671, timeout_s=5)

    assert place not in str(refused.value)


def test_one_private_address_among_public_ones_is_enough() -> None:
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=Resolver([PUBLIC, "10.0.0.1"])),
        pytest.raises(NameRefused),
    ):
        resolve("both.example", 5671, timeout_s=5)


def test_the_setting_allows_brokers_of_the_own_network(settings) -> None:
    settings.CONNECT_ALLOW_PRIVATE = True
    with mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=Resolver(["10.0.0.1"])):
        assert resolve("inside.example", 5671, timeout_s=5) == ["10.0.0.1"]


def test_a_link_to_a_private_address_fails_for_good_with_a_code() -> None:
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=Resolver(["127.0.0.1"])),
        mock.patch.object(socket, "socket", Refused),
        pytest.raises(LinkError) as refused,
    ):
        AmqpsTransport(None, 10, 5.0, connect_timeout_s=5.0).open_consumer(_target(), prefetch=10)

    assert (refused.value.code, refused.value.permanent) == ("ADDRESS_REFUSED", True)
    assert Refused.tried == []


def test_a_name_that_answers_differently_the_second_time_leads_a_link_nowhere_else() -> None:
    rebinding = Resolver([PUBLIC], ["169.254.169.254"])
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=rebinding),
        mock.patch.object(socket, "socket", Refused),
        pytest.raises(LinkError),
    ):
        AmqpsTransport(None, 10, 5.0, connect_timeout_s=5.0).open_consumer(_target(), prefetch=10)

    assert Refused.tried == [PUBLIC]
    assert rebinding.asked.count("broker.invalid") == 1


def test_rest_goes_to_no_private_address() -> None:
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=Resolver(["10.0.0.1"])),
        VokeRest(base_url="https://api.example/v1", api_key="key") as rest,
        pytest.raises(RestInsecure),
    ):
        rest.get("/vcp/sites")


def test_a_name_that_answers_differently_the_second_time_leads_rest_nowhere_else() -> None:
    rebinding = Resolver([PUBLIC], ["169.254.169.254"])
    with (
        mock.patch.object(socket, "getaddrinfo", autospec=True, side_effect=rebinding),
        mock.patch.object(socket, "socket", Refused),
        VokeRest(base_url="https://api.example/v1", api_key="key") as rest,
        pytest.raises(RestUnreachable),
    ):
        rest.get("/vcp/sites")

    assert "169.254.169.254" not in Refused.tried
    assert rebinding.asked.count("api.example") == 1
