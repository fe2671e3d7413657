"""Streams over a socket: who may hear what, and what a screen gets after a break."""

import random
import threading
from collections.abc import Callable

import pytest

from live import feed
from live.events import Announcement, Topic
from plants.models import Organisation
from tests import factories
from tests.live.conftest import publish, tile, told
from tests.live.sse import Stream, open_stream
from tests.web_server import Running

pytestmark = pytest.mark.django_db(transaction=True)


def numbers(events: list[dict[str, object]]) -> list[object]:
    return [event["data"]["number"] for event in events]  # type: ignore[index]


def test_what_is_announced_arrives_with_its_topic_key_and_time(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    stream = listen("command")
    publish(told(organisation, 7))
    (event,) = stream.events(1)
    assert event == {
        "topic": "command", "key": "7", "at": "2026-01-02T03:00:00Z", "data": {"number": 7},
    }  # fmt: skip


def test_nothing_of_another_organisation_or_topic_arrives(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    other = factories.organisation(name="Other", slug="other")
    stream = listen("command")
    publish(told(other, 1), told(organisation, 2, topic=Topic.ALARM), told(organisation, 3))
    assert numbers(stream.events(1)) == [3]


def test_keys_choose_by_id_or_by_plant_and_nothing_twice(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    stream = listen("command:3,p8")
    publish(*(told(organisation, number, plant=plant) for number, plant in [(1, 7), (2, 8), (3, 7), (3, 8)]))
    assert numbers(stream.events(3)) == [2, 3, 3]


def test_who_is_not_signed_in_is_led_to_the_sign_in(server: Running) -> None:
    assert open_stream(server, "sessionid=nobodys", "command").status == 302


@pytest.mark.parametrize("topics", ["", "nothing", "command|command", "command:" + "x" * 100, "plant:1 2"])
def test_topics_that_there_are_not_are_refused(listen: Callable[..., Stream], topics: str) -> None:
    assert listen(topics.replace(" ", "%20")).status == 400


def test_a_stream_that_was_cut_anywhere_goes_on_without_loss_or_repeat(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    """Bytes are cut within frames and between them, while announcements go on."""
    chance, total = random.Random(6), 300
    done = threading.Event()

    def announce() -> None:
        for number in range(total):
            feed.publish([told(organisation, number)])
            done.wait(chance.choice([0, 0, 0.001, 0.004]))

    got: list[object] = []
    stream = listen("command")
    writer = threading.Thread(target=announce)
    writer.start()
    while len(got) < total:
        frames = []
        for _ in range(chance.randrange(1, 4)):
            frames += stream.whole_frames()
            if len(frames) == 0:
                stream.take(chance.randrange(1, 900))
        for frame in frames:
            assert frame.event in {"live", "beat"}
            got += numbers([event for _, event in frame.data]) if frame.event == "live" else []
        stream.close()
        if len(got) < total:
            stream = listen("command", since=stream.last_id)
    writer.join()
    assert got == list(range(total))


def test_a_screen_that_was_away_too_long_is_told_to_read_its_page_again(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    stream = listen("command")
    publish(told(organisation, 1))
    stream.events(1)
    publish(*(told(organisation, number) for number in range(12_000)))
    publish(told(organisation, -1))  # the first 12,000 came as one entry
    back = listen("command", since=stream.last_id)
    assert back.next("resync").data == {"topics": None}
    publish(told(organisation, 5))
    assert numbers(back.events(1)) == [5]


@pytest.mark.parametrize("since", ["nonsense", "0123456789ab.5-0.3-0"])
def test_a_place_that_means_nothing_here_is_answered_by_a_resync(
    listen: Callable[..., Stream], since: str
) -> None:
    stream = listen("command", since=since)
    assert stream.next("resync").data == {"topics": None}
    assert listen("command", since=stream.last_id).frames[0].event == "hello"


def test_of_a_plants_values_the_newest_arrives_and_older_ones_never_after_it(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    plant = random.randrange(10**6, 10**9)
    stream = listen(f"plant:{plant}")
    publish(tile(organisation, plant, version=1))
    assert stream.events(1)[0]["data"] == {"grid_kw": 1}
    for version in (2, 5, 3, 4):
        feed.publish([tile(organisation, plant, version=version)])
    assert stream.events(1)[0]["data"] == {"grid_kw": 5}


def test_after_a_break_a_screen_gets_the_newest_values_only(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    plant = random.randrange(10**6, 10**9)
    stream = listen(f"plant:{plant},1|command")
    publish(tile(organisation, plant, version=1))
    stream.events(1)
    stream.close()
    publish(tile(organisation, plant, version=2))
    publish(tile(organisation, plant, version=3), told(organisation, 9))
    back = listen(f"plant:{plant},1|command", since=stream.last_id)
    assert [event["data"] for event in back.events(2)] == [{"number": 9}, {"grid_kw": 3}]


def test_when_more_waits_for_a_reader_than_it_may_one_resync_stands_for_it_all(
    organisation: Organisation, listen: Callable[..., Stream]
) -> None:
    stream, other = listen("command", receive_buffer=2048), listen("command")
    text, of_the_other = "x" * 4_000, list[object]()
    for start in range(0, 3_000, 100):
        big = [
            Announcement(*told(organisation, number)[:3], {"number": number, "text": text}, factories.AT)
            for number in range(start, start + 100)
        ]
        publish(*big)
        of_the_other += numbers(other.events(100))  # the one that does not read holds nobody up
    assert of_the_other == list(range(3_000))
    frame = stream.next("resync")
    assert frame.data == {"topics": None}
    publish(told(organisation, 3_000))
    seen: list[object] = []
    while seen[-1:] != [3_000]:
        frame = stream.next("live", "resync")
        seen = [] if frame.event == "resync" else seen + numbers([event for _, event in frame.data])
    assert seen == list(range(3_001))[-len(seen) :]
