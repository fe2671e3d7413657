"""The proxy hits the connections that it is told to, recovers, and leaves the others alone."""

import socket
import threading

import pytest

from tests.services.proxy import Proxy

PATIENCE_S = 10.0


@pytest.fixture
def echo_port():
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(1024):
                    client.sendall(data)
            except OSError:  # reset, as it should be
                return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def lanes():
    """Client ports by the name of their group."""
    return {}


@pytest.fixture
def proxy(echo_port, lanes):
    with Proxy(echo_port, lane_of=lambda port: lanes.get(port, "other")) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy, lanes):
    opened = []

    def client(lane: str) -> socket.socket:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        lanes[one.getsockname()[1]] = lane
        one.settimeout(PATIENCE_S)
        one.connect((proxy.host, proxy.port))
        opened.append(one)
        return one

    yield client
    for one in opened:
        one.close()


def answer(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    return client.recv(1024)


def is_silent(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return not client.recv(1024)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_S)


def is_reset(client: socket.socket) -> bool:
    try:
        return answer(client) == b""
    except OSError:
        return True


def test_a_cut_resets_one_group_and_not_the_other(proxy, connect):
    relay, consumer = connect("relay"), connect("consume")
    before = (answer(relay), answer(consumer))

    proxy.cut("relay")

    assert before == (b"hello", b"hello")
    assert is_reset(relay)
    assert answer(consumer) == b"hello"


def test_a_black_hole_swallows_one_group_and_new_links_work_after_it(proxy, connect):
    relay, consumer = connect("relay"), connect("consume")
    answer(relay)

    proxy.blackhole("relay")
    relay.sendall(b"lost")
    new = connect("relay")
    new.sendall(b"lost too")
    silent = (is_silent(relay), is_silent(new))
    proxy.restore("relay")

    assert silent == (True, True)
    assert is_silent(relay), "a link that lost bytes came back to life"
    assert answer(connect("relay")) == b"hello"
    assert answer(consumer) == b"hello"


def test_stalled_answers_come_when_they_may(proxy, connect):
    relay = connect("relay")
    answer(relay)

    proxy.stall_answers("relay")
    relay.sendall(b"held back")
    silent = is_silent(relay)
    proxy.resume("relay")

    assert silent
    assert relay.recv(1024) == b"held back"


def test_refused_links_work_again_after_it(proxy, connect):
    proxy.refuse("relay")
    refused = is_reset(connect("relay"))
    proxy.restore("relay")

    assert refused
    assert answer(connect("relay")) == b"hello"
    assert proxy.accepted("relay") == 2
