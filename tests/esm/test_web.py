"""uvicorn, the shell and Django together on a real socket: what clients can do to it and what the journal says."""

import socket
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from pytest_django import Settings

from esm import web
from esm.shell import Answer, Shell, ShellLimits
from esm.web import DeadlineProtocol, serve
from tests import factories
from tests.services.proc import AN_AGE_S, free_port, wait_until
from tests.web_server import Running, answer_of, closed, read, running
from trading_api import selectors
from trading_api.models import PullJournal
from trading_api.services import IssuedCredentials, issue_credentials

pytestmark = pytest.mark.django_db(transaction=True)
FLOOD = 100_000_000
UPDATE = "/api/trading/plant/config/update"


@pytest.fixture
def short(settings: Settings) -> Settings:
    """Deadlines that a test can wait for."""
    settings.HTTP_BODY_TIMEOUT_S = 0.5
    settings.HTTP_HEADER_TIMEOUT_S = 0.5
    settings.HTTP_SEND_TIMEOUT_S = 0.5
    settings.HTTP_MAX_BODY_BYTES = 100_000
    cache.clear()
    return settings


@pytest.fixture
def server(short: Settings) -> Iterator[Running]:
    with running() as one:
        yield one


@pytest.fixture
def issued(short: Settings) -> IssuedCredentials:
    return issue_credentials(organisation=factories.plant().organisation, at=factories.AT)


def token(server: Running, issued: IssuedCredentials) -> str:
    answer = httpx.post(
        f"{server.url}/trading/token",
        json={"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()},
    )
    text: str = answer.json()["accessToken"]
    return text


def newest_row() -> PullJournal:
    return PullJournal.objects.latest("pk")


def head(path: str = UPDATE, *lines: str) -> str:
    return "\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines])


def test_the_whole_reverse_channel_works_over_a_socket(server: Running, issued: IssuedCredentials) -> None:
    bearer = {"Authorization": f"Bearer {token(server, issued)}"}
    first = httpx.get(f"{server.url}/trading/plant/list", headers=bearer)
    second = httpx.get(
        f"{server.url}/trading/plant/list", headers=bearer | {"If-None-Match": first.headers["ETag"]}
    )
    assert (first.status_code, len(first.json()), second.status_code) == (200, 1, 304)
    assert "Content-Length" not in second.headers
    assert "server" not in first.headers


def test_a_chunked_body_is_read_as_any_other(server: Running, issued: IssuedCredentials) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"plantId":"NOPE",'
        yield b'"timeConfigs":[]}'

    headers = {"Authorization": f"Bearer {token(server, issued)}", "Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}{UPDATE}", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "PLANT_NOT_FOUND")
    assert newest_row().bytes_in == 35


def test_an_announced_body_beyond_the_limit_is_413_at_once_with_its_row(server: Running) -> None:
    status, body = answer_of(server.raw(head(UPDATE, "Content-Length: 9999999999")))
    row = newest_row()
    assert (status, body["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert (row.status, row.endpoint, row.bytes_in, row.request_id) == (413, "update", 0, body["requestId"])


def test_a_client_that_sends_its_whole_body_first_still_reads_the_413(server: Running) -> None:
    answer = httpx.post(f"{server.url}{UPDATE}", content=b"x" * 3_000_000)
    assert answer.status_code == 413


def test_a_chunked_body_beyond_the_limit_is_413_while_it_streams(server: Running) -> None:
    connection = server.raw(head(UPDATE, "Transfer-Encoding: chunked"))
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    for _ in range(4):
        connection.sendall(chunk)
    assert answer_of(connection)[0] == 413
    assert newest_row().bytes_in > 100_000


def test_a_slow_body_is_408_after_its_deadline_with_its_row(server: Running) -> None:
    started = monotonic()
    status, body = answer_of(server.raw(head(UPDATE, "Content-Length: 10"), body=b"{"))
    assert (status, body["code"]) == (408, "REQUEST_TIMEOUT")
    assert 0.4 < monotonic() - started < AN_AGE_S
    row = newest_row()
    assert (row.status, row.bytes_in, row.latency_ms >= 400) == (408, 1, True)


def test_a_refused_request_is_booked_on_whom_its_token_names(
    server: Running, issued: IssuedCredentials
) -> None:
    bearer = f"Authorization: Bearer {token(server, issued)}"
    answer_of(server.raw(head(UPDATE, bearer, "Content-Length: 9999999999")))
    assert newest_row().credential == issued.credential


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_a_row(server: Running) -> None:
    server.raw(head(UPDATE, "Content-Length: 10"), body=b"{").close()
    wait_until(PullJournal.objects.filter(status=499).exists, timeout_s=60, what="the row is there")
    assert newest_row().result == "CLIENT_CLOSED_REQUEST"


def test_eight_slow_clients_do_not_block_a_good_one(short: Settings, issued: IssuedCredentials) -> None:
    short.HTTP_BODY_TIMEOUT_S = 30.0
    with running() as server:
        slow = [server.raw(head(UPDATE, "Content-Length: 10"), body=b"{") for _ in range(8)]
        started = monotonic()
        assert token(server, issued)
        assert monotonic() - started < AN_AGE_S
        for connection in slow:
            connection.sendall(b'"a":1    }'[:9])
        assert {answer_of(connection)[0] for connection in slow} == {401}


def test_a_header_of_the_client_cannot_make_the_shell_refuse(
    server: Running, issued: IssuedCredentials
) -> None:
    headers = {"esm.refusal": "x", "asgi.scope": "x", "Authorization": f"Bearer {token(server, issued)}"}
    assert httpx.get(f"{server.url}/trading/plant/list", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind", "words"),
    [
        ("*/*", "text/plain; charset=utf-8", "Entity Too Large"),
        ("application/json", "application/json", '"code":"PAYLOAD_TOO_LARGE"'),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8", "This is too large to be taken"),
    ],
)
def test_a_body_too_large_for_a_page_is_a_413_as_its_client_reads_it(
    server: Running, accept: str, kind: str, words: str
) -> None:
    answer = httpx.post(f"{server.url}/admin/login/", content=b"x" * 200_000, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, kind)
    assert words in answer.text
    assert PullJournal.objects.count() == 0


@pytest.mark.parametrize("sent", ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n"])
def test_a_head_that_does_not_arrive_in_time_ends_its_connection(server: Running, sent: str) -> None:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(sent.encode())
    assert closed(connection)


def test_the_head_of_a_second_request_has_its_deadline_too(server: Running) -> None:
    connection = server.raw("GET /healthz HTTP/1.1\nHost: x")
    assert b"200 OK" in read(connection)
    connection.sendall(b"GET /healthz HT")
    assert closed(connection)


def test_an_idle_connection_is_kept_for_the_next_request(server: Running) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=AN_AGE_S) as connection:
        connection.sendall(request)
        assert b"200 OK" in read(connection)
        connection.settimeout(1.0)  # twice as long as a head may take
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(AN_AGE_S)
        connection.sendall(request)
        assert b"200 OK" in read(connection)


@pytest.fixture
def flood(short: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server whose every answer is larger than any socket buffer."""

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * FLOOD]

    limits = ShellLimits(open_max=9, threads=1, queue_max=9, body_max_bytes=9, body_timeout_s=9.0)
    nothing, answer = (lambda: None), Answer(status=503, headers=[], body=b"")
    shell = Shell(app, limits, warm=nothing, overload=lambda _: answer, after_turning_away=nothing)
    monkeypatch.setattr(web, "build_shell", lambda: shell)
    with running() as one:
        yield one


def test_a_client_that_stops_reading_is_cut_off(flood: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, real = threading.Event(), DeadlineProtocol.connection_lost

    def noted(protocol: DeadlineProtocol, error: Exception | None) -> None:
        real(protocol, error)
        lost.set()

    monkeypatch.setattr(DeadlineProtocol, "connection_lost", noted)
    with flood.raw("GET / HTTP/1.1\nHost: x"):
        assert lost.wait(AN_AGE_S)


def test_a_client_that_reads_slowly_gets_everything(flood: Running) -> None:
    pause, got = threading.Event(), 0
    with flood.raw("GET / HTTP/1.1\nHost: x\nConnection: close") as connection:
        while piece := connection.recv(4_000_000):
            got += len(piece)
            pause.wait(0.03)  # in all longer than the deadline for progress
    assert got > FLOOD


def test_a_full_queue_is_503_in_the_envelope_and_journaled_in_one_row(
    short: Settings, issued: IssuedCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    short.WEB_THREADS = short.WEB_QUEUE_MAX = 1
    inside, go = threading.Semaphore(0), threading.Event()
    real = selectors.stored_secret

    def held(client_id: str) -> Any:
        inside.release()
        go.wait(20)
        return real(client_id)

    monkeypatch.setattr(selectors, "stored_secret", held)
    with running() as server:
        results: list[str] = []
        first = threading.Thread(target=lambda: results.append(token(server, issued)))
        first.start()
        assert inside.acquire(timeout=10)
        turned_away = [httpx.get(f"{server.url}/trading/plant/list") for _ in range(3)]
        go.set()
        first.join(20)
        wait_until(PullJournal.objects.filter(status=503).exists, timeout_s=60, what="the row is there")
    assert len(results) == 1
    for answer in turned_away:
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "2"
        assert answer.headers["X-Request-Id"] == answer.json()["requestId"]
    assert PullJournal.objects.get(status=503).count == 3


def test_a_running_request_is_finished_when_the_server_stops(
    short: Settings, issued: IssuedCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go = threading.Semaphore(0), threading.Event()
    real = selectors.stored_secret

    def held(client_id: str) -> Any:
        inside.release()
        go.wait(20)
        return real(client_id)

    monkeypatch.setattr(selectors, "stored_secret", held)
    results: list[str] = []
    with running() as server:
        client = threading.Thread(target=lambda: results.append(token(server, issued)))
        client.start()
        assert inside.acquire(timeout=10)
        server.stop.set()
        wait_until(lambda: refuses(server.port), timeout_s=60, what="it no longer listens")
        go.set()
        client.join(20)
    assert len(results) == 1


def test_a_port_that_is_taken_is_an_error_for_the_caller() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            serve(
                host="127.0.0.1", port=taken.getsockname()[1], stop=threading.Event(), ready=threading.Event()
            )


def test_readiness_may_be_an_event() -> None:
    ready, stop, port = threading.Event(), threading.Event(), free_port()
    thread = threading.Thread(target=lambda: serve(host="127.0.0.1", port=port, stop=stop, ready=ready))
    thread.start()
    try:
        assert ready.wait(20)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    finally:
        stop.set()
        thread.join(20)


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_page_that_sets_a_cookie_is_served(server: Running) -> None:
    """Django renders cookies with a blank in front; the login page once ended the connection."""
    answer = httpx.get(f"{server.url}/console/login/", timeout=10)

    assert answer.status_code == 200
    assert "csrftoken" in answer.cookies


def test_the_bare_address_leads_to_the_console(server: Running) -> None:
    answer = httpx.get(f"{server.url}/", timeout=10)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/console/")
