"""What Prometheus is told of announcements, of the log, and of streams."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY
from pytest_django import Settings

from esm import stream_metrics  # noqa: F401 - registers what is looked at
from live.events import Announcement, Topic
from live.publisher import Publisher
from live.ring import Ring
from plants.models import Organisation
from tests.factories import AT
from tests.live.conftest import publish, tile, told, until
from tests.live.sse import Stream
from tests.live.test_publisher import Kept

ANNOUNCED = "esm_live_announcements_total"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Counted:
    """How much a counter has grown since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    def __call__(self) -> float:
        return value(self._name, **self._labels) - self._before


def outcomes() -> dict[str, Counted]:
    return {one: Counted(ANNOUNCED, outcome=one) for one in ("written", "replaced", "dropped")}


def counts(counted: dict[str, Counted]) -> dict[str, float]:
    return {one: count() for one, count in counted.items()}


def test_every_announcement_is_written_replaced_or_dropped() -> None:
    counted, log = outcomes(), Kept()
    publisher = Publisher(log, tile_every_s=60.0)
    no_json = Announcement(1, Topic.COMMAND, "1", {"number": object()}, AT)  # type: ignore[dict-item]
    publisher.put([told(1, 1), told(1, 2), no_json])
    publisher.put([tile(1, 7, version=version) for version in (1, 3, 2)])

    publisher.close(within_s=20)
    publisher.put([told(1, 3)])  # nobody writes any more

    assert counts(counted) == {"written": 3, "replaced": 2, "dropped": 2}


def test_what_a_log_that_is_away_or_a_full_queue_costs_is_counted_as_dropped() -> None:
    counted, log = outcomes(), Kept()
    log.away = True
    publisher = Publisher(log, queue_max=5)
    publisher.put([told(1, 1), tile(1, 7, version=1)])
    until(lambda: counted["dropped"]() == 2)

    publisher.put([told(1, number) for number in range(6)])
    publisher.close(within_s=20)

    assert counts(counted) == {"written": 0, "replaced": 0, "dropped": 8}


def test_the_newest_entry_has_an_age_until_another_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("live.ring.monotonic", lambda: now[0])
    ring = Ring()
    now[0] = 130.0
    old = ring.newest_age_s

    ring.publish(lists=[], tiles=[])
    still = ring.newest_age_s
    ring.take_over([(False, (1, 0), ())])

    assert (old, still, ring.newest_age_s) == (30.0, 30.0, 0.0)


@pytest.fixture
def two_for_a_person(settings: Settings) -> None:
    settings.LIVE_STREAMS_PER_PERSON = 2


@pytest.mark.usefixtures("two_for_a_person")
@pytest.mark.django_db(transaction=True)
def test_streams_are_counted_while_they_are_open_and_by_their_frames_refusals_and_ends(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    frames = {name: Counted("esm_stream_frames_total", frame=name) for name in ("hello", "live", "resync")}
    refused = Counted("esm_streams_refused_total", reason="person")
    left, was_open = Counted("esm_streams_ended_total", why="left"), value("esm_streams_open")

    first, second = listen("command"), listen("command", since="nonsense")
    assert listen("command").status == 429
    second.next("resync")
    publish(told(organisation, 1))
    for stream in (first, second):
        stream.events(1)

    assert value("esm_streams_open") - was_open == 2
    assert (counts(frames), refused()) == ({"hello": 2, "live": 2, "resync": 1}, 1)
    assert value("esm_live_newest_entry_age_seconds") < 60
    first.close()
    until(lambda: value("esm_streams_open") - was_open == 1 and left() == 1)
