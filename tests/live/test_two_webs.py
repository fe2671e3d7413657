"""Two web processes of one installation over a real Redis: what a third process commits reaches streams of both."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from django.db import transaction
from pytest_django import Settings

from live import announce_many, feed
from plants.models import Organisation
from tests.live.conftest import told
from tests.live.sse import Stream, open_stream
from tests.process.processes import manage
from tests.services.proc import free_port, wait_until
from tests.services.redis import RedisServer
from tests.web_server import Running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _by_redis(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """What this process announces goes to Redis."""
    settings.LIVE_REDIS_URL = redis_server.url
    monkeypatch.setattr(feed, "_publisher", None)
    yield
    feed.publisher().close(within_s=20)


@contextmanager
def started(redis: RedisServer, directory: Path) -> Iterator[list[Running]]:
    """Two web processes; they start side by side."""
    with ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            port = free_port()
            (directory / name).mkdir()
            process = manage(
                name, "web", "--port", str(port), directory=directory / name,
                REDIS_URL=redis.url, METRICS_PORT="0",
            )  # fmt: skip
            stack.callback(process.kill)
            made.append(
                (process, Running(port=port, stop=threading.Event(), thread=threading.current_thread()))
            )
        for process, web in made:
            wait_until(lambda url=web.url: _answers(url), timeout_s=120, what="web answers", process=process)
        yield [web for _, web in made]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def commit(organisation: Organisation, numbers: Sequence[int]) -> None:
    """A transaction that tells these, behind one that is taken back."""
    with transaction.atomic():
        announce_many([told(organisation, -1)])
        transaction.set_rollback(True)
    with transaction.atomic():
        announce_many([told(organisation, number) for number in numbers])


def numbers_in(events: list[dict[str, dict[str, int]]]) -> list[int]:
    return [event["data"]["number"] for event in events]


def heard(stream: Stream) -> list[int]:
    """What its whole frames bring that are there by now."""
    frames = [frame for frame in stream.whole_frames() if frame.event != "hello"]
    assert {frame.event for frame in frames} <= {"live", "beat"}
    return numbers_in([event for frame in frames if frame.event == "live" for _, event in frame.data])


def opened(web: Running, cookies: str, since: str = "") -> Stream:
    stream = open_stream(web, cookies, "command", since=since)
    assert stream.status == 200
    return stream


@pytest.mark.usefixtures("_by_redis")
def test_news_reach_streams_of_both_and_a_cut_one_goes_on_at_the_other_without_loss_or_repeat(
    organisation: Organisation, cookies: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    chance, total, step = random.Random(7), 240, 12
    with started(redis_server, tmp_path) as webs:
        still = [opened(web, cookies) for web in webs]
        wandering, at, last_id, got = opened(webs[0], cookies), 0, "", list[int]()
        wandering.next("hello")
        for first in range(0, total, step):
            commit(organisation, range(first, first + step))
            told_so_far = first + step
            while len(got) < told_so_far - chance.randrange(step):
                wandering.take(chance.randrange(1, 700))  # frames are cut anywhere
                got += heard(wandering)
            last_id = wandering.last_id
            wandering.close()
            at = 1 - at
            wandering = opened(webs[at], cookies, since=last_id)
        while len(got) < total:
            wandering.take(4096)
            got += heard(wandering)
        each = [numbers_in(stream.events(total)) for stream in still]

    assert got == list(range(total))
    assert each == [list(range(total))] * 2
