"""A web server with a signed-in person, and the feed of this process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.test import Client

from live import feed
from live.events import Announcement, Topic
from people.rights import Role
from plants.models import Organisation, User
from tests import factories
from tests.factories import AT
from tests.live.sse import Stream, open_stream
from tests.services.proc import wait_until
from tests.web_server import Running, running


@pytest.fixture
def organisation(transactional_db: None) -> Organisation:
    return factories.organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def person(organisation: Organisation) -> User:
    return User.objects.create_user("jana", password="x" * 20, organisation=organisation, role=Role.VIEWER)


def cookies_of(person: User) -> str:
    client = Client()
    client.force_login(person)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


@pytest.fixture
def cookies(person: User) -> str:
    return cookies_of(person)


@pytest.fixture
def server(transactional_db: None) -> Iterator[Running]:
    with running() as one:
        yield one


@pytest.fixture
def listen(server: Running, cookies: str) -> Iterator[Callable[..., Stream]]:
    """`listen("command", since=...)`: an open stream behind its `hello`."""
    with ExitStack() as stack:

        def make(topics: str = "command", **how: object) -> Stream:
            stream = open_stream(server, **({"cookies": cookies, "topics": topics} | how))
            stack.callback(stream.close)
            if stream.status == 200:
                assert stream.next().event == "hello"
            return stream

        yield make


def until(probe: Callable[[], object]) -> None:
    """Wait until it is true."""
    wait_until(probe, timeout_s=20, what="what the test waits for")


def told(
    organisation: Organisation | int, number: int, *, topic: Topic = Topic.COMMAND, plant: int | None = None
) -> Announcement:
    """A small announcement with a number in it."""
    whose = organisation if isinstance(organisation, int) else organisation.pk
    return Announcement(whose, topic, str(number), {"number": number}, AT, plant)


def tile(
    organisation: Organisation | int, plant: int, *, version: float, part: str = "power"
) -> Announcement:
    whose = organisation if isinstance(organisation, int) else organisation.pk
    data = {"grid_kw": version}
    return Announcement(whose, Topic.PLANT, str(plant), data, AT, plant, part, version)


def publish(*announcements: Announcement) -> None:
    """Into the feed of this process; returns when it is there."""
    feed.publish(announcements)
    assert feed.publisher().flush(within_s=20)
