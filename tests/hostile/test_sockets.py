"""What a hostile client can do on a socket: broken HTTP, and many slow connections while good ones are answered."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from pytest_django import Settings

from esm import clock
from tests import factories
from tests.web_server import Running, closed, read, running
from trading_api.gate import GATE
from trading_api.services import IssuedCredentials, issue_credentials

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 60
POST = "POST /trading/plant/config/update HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = "GET /trading/plant/list HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(settings: Settings) -> Iterator[Running]:
    settings.HTTP_BODY_TIMEOUT_S = settings.HTTP_HEADER_TIMEOUT_S = settings.HTTP_SEND_TIMEOUT_S = 60.0
    GATE.clear()
    with running() as one:
        yield one


@pytest.fixture
def issued(server: Running) -> IssuedCredentials:
    return issue_credentials(organisation=factories.plant().organisation, at=factories.AT)


def sent(server: Running, text: str | bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(text.encode("latin-1") if isinstance(text, str) else text)
    return connection


def answered(server: Running, text: str | bytes) -> bytes:
    with sent(server, text) as connection:
        return read(connection)


def pulls(server: Running, issued: IssuedCredentials) -> int:
    """A whole exchange of an honest client: token, then list."""
    body = {"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        bearer = client.post("/trading/token", json=body).json()["accessToken"]
        return client.get("/trading/plant/list", headers={"Authorization": f"Bearer {bearer}"}).status_code


BROKEN = {
    "no HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    "two lengths": POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": POST + "Content-Length: -1\r\n\r\n",
    "a length in words": POST + "Content-Length: two\r\n\r\n",
    "two hosts": GET + "Host: evil.example.com\r\n\r\n",
    "no host": "GET /trading/plant/list HTTP/1.1\r\n\r\n",
    "a blank before the colon": GET + "X-A : b\r\n\r\n",
    "NUL in a header": GET + "X-A: b\x00c\r\n\r\n",
    "a bad chunk": POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an unknown coding": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a head without an end": GET + "X-A: " + "a" * 100_000,
    "a method of rubbish": "G(T /trading/plant/list HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def test_broken_http_is_refused_without_a_word_about_us_and_others_are_served(
    server: Running, issued: IssuedCredentials
) -> None:
    for name, text in BROKEN.items():
        answer = answered(server, text)
        assert answer.startswith(b"HTTP/1.1 400"), (name, answer[:80])
        assert b"server:" not in answer.lower()
        assert b"x-content-type-options: nosniff" in answer.lower()
        assert b"evil" not in answer
    assert pulls(server, issued) == 200


def test_length_and_chunks_at_once_are_never_two_requests(server: Running) -> None:
    smuggled = "0\r\n\r\nGET /admin/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    text = (
        POST
        + f"Content-Length: {len(smuggled)}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{smuggled}"
    )
    with sent(server, text) as connection:
        first = read(connection)
        rest = first + connection.recv(65536)
    assert first.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert b"/admin/login" not in rest


def test_http_1_0_and_requests_in_one_go_are_answered_in_turn(server: Running) -> None:
    old = answered(server, "GET /trading/plant/list HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 401")
    with sent(server, (GET + "\r\n") * 5 + GET + "Connection: close\r\n\r\n") as connection:
        text = b""
        while piece := connection.recv(65536):
            text += piece
    assert text.count(b"HTTP/1.1 401") == 6


def test_headers_that_come_twice_open_nothing(server: Running) -> None:
    for lines in (
        "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n",
        "X_Request_Id: forged-0815\r\nX-Request-Id: short\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    ):
        answer = answered(server, GET + lines + "\r\n")
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"forged" not in answer


def test_a_body_of_five_megabytes_is_413_with_its_code(server: Running) -> None:
    answer = httpx.post(f"{server.url}/trading/plant/config/update", content=b"x" * 5_000_000, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_many_slow_clients_of_every_kind_leave_a_good_one_its_answers(
    server: Running, issued: IssuedCredentials
) -> None:
    with ExitStack() as stack:
        heads = [stack.enter_context(sent(server, GET + "X-Slow: ")) for _ in range(MANY)]
        bodies = [
            stack.enter_context(sent(server, POST + "Content-Length: 10\r\n\r\n{")) for _ in range(MANY)
        ]
        readers = [stack.enter_context(sent(server, (GET + "\r\n") * 50)) for _ in range(20)]
        assert [pulls(server, issued) for _ in range(3)] == [200, 200, 200]
        for connection in (heads[0], bodies[0]):
            connection.sendall(b"y\r\n\r\n" if connection is heads[0] else b'"a":1   }')
            assert read(connection).startswith(b"HTTP/1.1 401")
        assert read(readers[0]).startswith(b"HTTP/1.1 401")


def test_guesses_are_turned_away_without_a_thread_and_the_honest_client_gets_its_token(
    server: Running, issued: IssuedCredentials
) -> None:
    with clock.frozen(factories.AT):  # the counts are those of a clock minute
        _guess_beside_an_honest_client(server, issued)


def _guess_beside_an_honest_client(server: Running, issued: IssuedCredentials) -> None:
    assert pulls(server, issued) == 200
    wrong = {"clientId": issued.credential.client_id, "clientSecret": "wrong"}
    with httpx.Client(base_url=server.url, timeout=30) as guesser:
        answers = [guesser.post("/trading/token", json=wrong) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert answers[-1].json()["code"] == "TOO_MANY_REQUESTS"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert pulls(server, issued) == 200


def test_a_connection_that_was_sent_rubbish_is_closed(server: Running) -> None:
    assert closed(sent(server, "\x00\x01\x02\r\n\r\n"))
