"""What bounds streams: no thread each, so many and no more, rights that end, servers that stop, stalled readers."""

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django import Settings

from esm.streams import StreamLimits, Streams
from live import feed
from plants.models import Organisation, User
from tests.live.conftest import cookies_of, publish, told, until
from tests.live.granting import ORGANISATION
from tests.live.sse import Stream, open_stream
from tests.web_server import closed, running

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = 1_000
OF_A_STREAM_MAX = 100_000
"""Bytes of memory; both ends of each are in this process."""


@pytest.fixture
def roomy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever asks gets a stream, without a look into the database; there are two threads and few places."""
    settings.ROOT_URLCONF = "tests.live.granting"
    monkeypatch.setattr("esm.asgi._allowed", list)
    settings.MIDDLEWARE = ["esm.health.HealthMiddleware"]
    settings.LIVE_STREAMS_MAX = settings.LIVE_STREAMS_PER_PERSON = OPEN + 1
    settings.WEB_THREADS = 2
    settings.WEB_CONNECTIONS_MAX = 8
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, min(most, 4 * OPEN)), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def web_threads() -> set[int]:
    return {one.ident or 0 for one in threading.enumerate() if one.name.startswith("web")}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_thousand_streams_take_little_memory_no_thread_and_no_place_of_a_request(roomy: None) -> None:
    with running() as server:
        before = resident_bytes()
        open_ones = [open_stream(server, "", "command") for _ in range(OPEN)]
        assert [one.next().event for one in open_ones] == ["hello"] * OPEN
        assert len(web_threads()) <= 2
        assert resident_bytes() - before < OPEN * OF_A_STREAM_MAX
        # With two threads and eight open requests at most, all of these would be refused if streams counted.
        answers = [httpx.get(f"{server.url}/healthz", timeout=20).status_code for _ in range(20)]
        assert answers == [200] * 20
        publish(told(ORGANISATION, 1))
        assert [one.events(1)[0]["key"] for one in open_ones] == ["1"] * OPEN
        for one in open_ones:
            one.close()


def test_a_person_has_so_many_streams_and_no_more(
    settings: Settings, organisation: Organisation, cookies: str
) -> None:
    settings.LIVE_STREAMS_PER_PERSON = 2
    with running() as server:
        first, second = (open_stream(server, cookies, "command") for _ in range(2))
        refused = open_stream(server, cookies, "command")
        assert refused.status == 429
        assert b"retry-after" in refused.head.lower()
        # EventSource tells nobody why it was refused; whoever asks by a probe hears it.
        probe = {"url": f"{server.url}/console/live/?topics=command&probe=1", "headers": {"Cookie": cookies}}
        assert httpx.get(**probe, timeout=20).status_code == 429
        first.close()
        until(lambda: httpx.get(**probe, timeout=20).status_code == 204)
        until(lambda: open_stream(server, cookies, "command").status == 200)
        second.close()


def test_a_server_that_stops_ends_streams_at_once_and_they_go_on_elsewhere(
    organisation: Organisation, cookies: str
) -> None:
    with running() as server:
        stream = open_stream(server, cookies, "command")
        stream.next("hello")
        publish(told(organisation, 1))
        stream.events(1)
        server.stop.set()
        assert stream.next("end").data == {"why": "closing"}
        assert closed(stream.connection)
    publish(told(organisation, 2))
    with running() as another:
        back = open_stream(another, cookies, "command", since=stream.last_id)
        assert [event["key"] for event in back.events(1)] == ["2"]


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rights are looked at all the time."""
    monkeypatch.setattr(
        "esm.asgi.StreamLimits", lambda **limits: StreamLimits(**(limits | {"recheck_s": 0.1}))
    )
    yield


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("loses", ["session", "account"])
def test_who_may_no_longer_look_is_out_soon_and_others_stay(
    organisation: Organisation, person: User, cookies: str, loses: str
) -> None:
    other = User.objects.create_user("petr", password="x" * 20, organisation=organisation)
    with running() as server:
        stream = open_stream(server, cookies, "command")
        others = open_stream(server, cookies_of(other), "command")
        others.next("hello")
        if loses == "session":
            person.sessions.all().delete()
        else:
            User.objects.filter(pk=person.pk).update(is_active=False)
        assert stream.next("end").data == {"why": "signed_out"}
        publish(told(organisation, 3))
        assert others.events(1)[0]["key"] == "3"


def test_a_reader_that_stalls_is_cut(
    settings: Settings, organisation: Organisation, cookies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HTTP_SEND_TIMEOUT_S = 0.3
    made: list[Streams] = []

    def make(*given: Any, **how: Any) -> Streams:
        made.append(Streams(*given, **how))
        return made[-1]

    monkeypatch.setattr("esm.asgi.Streams", make)
    with running() as server:
        stream = open_stream(server, cookies, "command", receive_buffer=2048)
        text = "x" * 20_000
        gone = threading.Event()

        def announce() -> None:
            for number in range(100_000):
                if gone.is_set():
                    return
                feed.publish([told(organisation, number)._replace(data={"number": number, "text": text})])
                gone.wait(0.01)

        writer = threading.Thread(target=announce)
        writer.start()
        try:
            until(lambda: made and made[0].count == 0)
        finally:
            gone.set()
            writer.join()
            stream.close()


def test_when_news_can_not_come_screens_are_told_and_told_again_when_they_can(
    listen: Callable[..., Stream],
) -> None:
    stream = listen("command")
    feed.RING.set_away(True)
    try:
        stream.next("away")
    finally:
        feed.RING.set_away(False)
    assert stream.next("back").data.keys() == {"at"}


def test_a_stream_without_news_says_that_it_lives(
    listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esm.listener.BEAT_S", 0.05)
    stream = listen("command")
    assert stream.next("beat").id == stream.frames[0].id
