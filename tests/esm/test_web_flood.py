"""A flood of guesses from one address against the whole server: who is served meanwhile, and what is left of it."""

import errno
import socket
from collections.abc import Iterator

import httpx
import pytest
from pytest_django import Settings

from esm import clock, door
from tests import factories
from tests.esm.test_web import token
from tests.services.proc import wait_until
from tests.web_server import Running, closed, read, running
from trading_api.gate import FLOOD_PER_S, GATE
from trading_api.models import PullJournal
from trading_api.services import IssuedCredentials, issue_credentials

pytestmark = pytest.mark.django_db(transaction=True)
FLOODER = "127.0.0.2"
GUESS = b'{"clientId":"acme","clientSecret":"wrong"}'
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def gate() -> Iterator[None]:
    GATE.clear()
    yield
    GATE.clear()


@pytest.fixture
def server(gate: None, settings: Settings) -> Iterator[Running]:
    settings.HTTP_HEADER_TIMEOUT_S = settings.HTTP_KEEP_ALIVE_S = 60.0
    with running() as one:
        yield one


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody leaves a line."""
    monkeypatch.setattr(door, "STEP_S", 3600.0)


@pytest.fixture
def issued() -> IssuedCredentials:
    return issue_credentials(organisation=factories.plant().organisation, at=factories.AT)


def guesses(address: str) -> None:
    """What a second of a flood teaches the gate."""
    for _ in range(2 * FLOOD_PER_S):
        GATE.note_failure(address=address, client_id="acme", client_secret="wrong", at=clock.now())
        if GATE.is_flooding(address, at=clock.now()):
            return
    raise AssertionError("so many failures within a second or two are a flood")


def come(server: Running, address: str, sent: bytes = HEALTH) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(address, 0))
    connection.sendall(sent)
    return connection


def flood(server: Running, times: int) -> list[socket.socket]:
    """Connections that may be cut as soon as they stand, which a connect that waits would report as its own error."""
    connections = []
    for _ in range(times):
        connection = socket.socket()
        connection.bind((FLOODER, 0))
        connection.setblocking(False)
        assert connection.connect_ex(("127.0.0.1", server.port)) == errno.EINPROGRESS
        connection.settimeout(20)
        connections.append(connection)
    return connections


def test_connections_are_let_in_at_a_pace_only_after_a_real_flood_of_guesses(
    server: Running, still: None, issued: IssuedCredentials
) -> None:
    """The guesses themselves, over the socket, are what makes the address wait."""
    request = (
        b"POST /trading/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(GUESS)
    ) + GUESS
    guessers = [come(server, FLOODER, request) for _ in range(3 * FLOOD_PER_S)]
    wait_until(lambda: GATE.is_flooding(FLOODER, at=clock.now()), timeout_s=60, what="the flood is noticed")
    assert {read(connection)[9:12] for connection in guessers[:10]} <= {b"401", b"429", b""}
    with come(server, FLOODER) as waiting:
        assert token(server, issued)  # from another address
        waiting.settimeout(0.01)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
    for connection in guessers:
        connection.close()


def test_while_an_address_floods_others_and_its_own_older_connections_are_served(
    server: Running, still: None, issued: IssuedCredentials
) -> None:
    with come(server, FLOODER) as older:
        assert b"200 OK" in read(older)
        guesses(FLOODER)
        waiting = flood(server, door.LINE_MAX + 30)
        older.sendall(HEALTH)
        assert b"200 OK" in read(older)
        assert token(server, issued)
    assert all(closed(connection) for connection in waiting[door.LINE_MAX :])
    for connection in waiting:
        connection.close()


def test_once_the_flood_has_stopped_a_new_connection_of_its_address_gets_in_after_those_before_it(
    server: Running,
) -> None:
    guesses(FLOODER)
    waiting = flood(server, 20)
    with come(server, FLOODER) as good:
        assert b"200 OK" in read(good)
    for connection in waiting:
        connection.close()


def test_connections_that_were_cut_are_counted_in_the_journal(server: Running, still: None) -> None:
    guesses(FLOODER)
    waiting = flood(server, door.LINE_MAX + 30)
    wait_until(
        lambda: sum(PullJournal.objects.filter(address=FLOODER).values_list("count", flat=True)) == 30,
        timeout_s=60,
        what="the row is there",
    )
    assert set(PullJournal.objects.values_list("status", "result")) == {(429, "TOO_MANY_REQUESTS")}
    for connection in waiting:
        connection.close()


def test_the_deadline_of_a_head_begins_when_its_connection_is_let_in(
    gate: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HTTP_HEADER_TIMEOUT_S = 0.2
    monkeypatch.setattr(door, "STEP_S", 0.6)
    guesses(FLOODER)
    with running() as server, come(server, FLOODER) as patient:
        assert b"200 OK" in read(patient)


def test_the_server_stops_with_connections_waiting(gate: None, still: None) -> None:
    guesses(FLOODER)
    with running() as server:
        waiting = flood(server, 50)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert not server.thread.is_alive()
    assert all(closed(connection) for connection in waiting)
