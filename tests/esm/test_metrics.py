"""Where metrics are shown and to whom, and what the web process counts of its requests."""

import http.client
import socket
import threading

import pytest
from django.test import Client
from prometheus_client import REGISTRY

from esm import metrics
from esm.metrics import is_allowed, serve_metrics
from link.metrics import PUBLISHED
from tests import factories
from tests.services.proc import free_port

TOKEN = "t" * 40


@pytest.fixture
def with_token(settings):
    settings.METRICS_TOKEN = TOKEN


def ask(**headers):
    return Client().get("/metrics", headers=headers)


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


# --- the page of the web server ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_a_token_in_the_settings_there_is_no_page():
    assert ask(Authorization="Bearer ").status_code == 404


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
def test_who_does_not_bring_the_token_is_refused_without_a_query(with_token, authorization):
    answer = ask(**({} if authorization is None else {"Authorization": authorization}))

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"esm_" not in answer.content


@pytest.mark.django_db
def test_who_brings_the_token_sees_what_the_process_counts_and_what_the_database_tells(
    with_token, monkeypatch
):
    link = factories.connection()
    monkeypatch.setattr(metrics, "DATABASE", metrics.DatabaseCollector(clock=lambda: factories.AT))

    answer = ask(Authorization=f"Bearer {TOKEN}")

    text = answer.content.decode()
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert f'esm_connection_info{{connection="{link.name}"' in text
    assert "# HELP esm_link_published_messages_total" in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.django_db
def test_the_page_is_asked_by_address_without_a_redirect(with_token, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert ask(Authorization=f"Bearer {TOKEN}", Host="10.1.2.3:8000").status_code == 200


@pytest.mark.django_db
def test_nothing_that_is_shown_is_a_secret_of_the_installation(with_token, settings):
    link = factories.connection(api_key="plain-api-key-of-acme")

    text = ask(Authorization=f"Bearer {TOKEN}").content.decode()

    for secret in (TOKEN, "plain-api-key-of-acme", str(link.signing_key), settings.SECRET_KEY):
        assert secret not in text


@pytest.mark.django_db
def test_every_number_says_in_a_sentence_what_it_is():
    ours = [family for family in REGISTRY.collect() if family.name.startswith("esm_")]
    ours += list(metrics.DatabaseCollector(clock=lambda: factories.AT).collect())

    assert PUBLISHED.describe()[0].name in {family.name for family in ours}
    assert {family.name.split("_")[0] for family in ours} == {"esm"}
    assert [family.name for family in ours if not family.documentation.rstrip().endswith(".")] == []


def test_a_token_is_compared_whatever_its_letters():
    assert is_allowed("bearer " + TOKEN, token=TOKEN)
    assert not is_allowed("Bearer \ud800", token=TOKEN)


# --- what is counted --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_requests_are_counted_by_route_method_and_status_and_tokens_by_result():
    def counts():
        return (
            value("esm_http_requests_total", route="token", method="POST", status="401"),
            value("esm_token_attempts_total", result="UNAUTHORIZED"),
            value("esm_http_requests_total", route="site", method="GET", status="404"),
            value("esm_http_request_seconds_count", route="token"),
        )

    before = counts()
    answer = Client().post(
        "/trading/token", {"clientId": "nobody", "clientSecret": "x"}, content_type="application/json"
    )
    Client().get("/nothing/" + "x" * 30)

    assert [after - then for after, then in zip(counts(), before, strict=True)] == [1, 1, 1, 1], answer.json()


@pytest.mark.django_db
def test_paths_and_methods_that_somebody_makes_up_make_no_labels():
    before = value("esm_http_requests_total", route="site", method="OTHER", status="405")
    before += value("esm_http_requests_total", route="site", method="OTHER", status="404")
    Client().generic("MADEUP", "/made-up-by-somebody")

    after = value("esm_http_requests_total", route="site", method="OTHER", status="405")
    after += value("esm_http_requests_total", route="site", method="OTHER", status="404")
    assert after - before == 1
    assert "made-up" not in metrics.render(with_database=False).decode()


# --- a port of its own ------------------------------------------------------------------------------------------------


@pytest.fixture
def port(settings):
    """Metrics on a free port until the test ends."""
    settings.METRICS_PORT = free_port()
    stop = threading.Event()
    threads = []

    def start():
        threads.append(serve_metrics(stop))
        return settings.METRICS_PORT

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def fetch(port, path="/metrics", **headers):
    """(status, text), as soon as somebody listens."""
    awaited = threading.Event()
    for _ in range(500):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            link.request("GET", path, headers=headers)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            awaited.wait(0.02)
        finally:
            link.close()
    raise AssertionError("nobody listens")


def test_a_port_of_its_own_shows_the_process_and_nothing_else(port):
    number = port()

    status, text = fetch(number)
    assert (status, "esm_link_published_messages_total" in text) == (200, True)
    assert fetch(number, "/admin/")[0] == 404


def test_a_port_of_its_own_asks_for_the_token_when_one_is_set(port, with_token):
    number = port()

    assert fetch(number)[0] == 401
    assert fetch(number, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_port_that_is_taken_is_tried_again_until_it_is_free(port, settings, monkeypatch):
    tried = threading.Event()
    monkeypatch.setattr(metrics.log, "error", lambda *_, **__: tried.set())
    monkeypatch.setattr(metrics, "_TRY_AGAIN_S", 0.02)
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.METRICS_PORT))
        other.listen()
        number = port()
        assert tried.wait(20)

    assert fetch(number)[0] == 200


def test_a_client_that_says_nothing_keeps_no_place_from_the_others(port):
    number = port()
    fetch(number)
    silent = [socket.create_connection(("127.0.0.1", number), timeout=20) for _ in range(3)]

    assert fetch(number)[0] == 200

    for one in silent:
        one.close()


def test_a_scrape_waits_for_the_place_of_the_one_before_and_of_clients_that_say_nothing(port, monkeypatch):
    asked_for_a_place = threading.Event()

    class Places(threading.BoundedSemaphore):
        def acquire(self, *args, **kwargs):
            if not self._value:
                asked_for_a_place.set()
            return super().acquire(*args, **kwargs)

    def leave():
        assert asked_for_a_place.wait(20)

    monkeypatch.setattr(metrics, "BoundedSemaphore", Places)
    monkeypatch.setattr(metrics.connections, "close_all", leave)  # the last that a scrape does before it goes
    number = port()
    fetch(number)
    silent = [socket.create_connection(("127.0.0.1", number), timeout=20) for _ in range(3)]

    assert fetch(number)[0] == 200

    for one in silent:
        one.close()


def test_port_zero_starts_nothing(settings):
    settings.METRICS_PORT = 0

    assert serve_metrics(threading.Event()) is None
