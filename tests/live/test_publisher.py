"""What a publisher makes of announcements: order, the newest value of each, and faults that are nobody else's."""

import threading
from collections.abc import Sequence

from live.events import Announcement, Event
from live.publisher import Publisher, SinkAway
from tests.live.conftest import tile, told, until


class Kept:
    """A log in memory."""

    def __init__(self) -> None:
        self.lists: list[Event] = []
        self.tiles: list[Event] = []
        self.lost = 0
        self.away = False
        self.held = threading.Event()
        self.held.set()

    def write(self, *, lists: Sequence[Event], tiles: Sequence[Event]) -> None:
        assert self.held.wait(20)
        if self.away:
            raise SinkAway
        self.lists += lists
        self.tiles += tiles

    def say_lost(self) -> None:
        if self.away:
            raise SinkAway
        self.lost += 1


def test_items_go_on_in_their_order() -> None:
    log = Kept()
    publisher = Publisher(log)
    for start in range(0, 500, 10):
        publisher.put([told(1, number) for number in range(start, start + 10)])
    assert publisher.flush(within_s=20)
    assert [event.key for event in log.lists] == [str(number) for number in range(500)]


def test_of_values_in_quick_succession_the_first_and_the_last_go_on() -> None:
    log = Kept()
    publisher = Publisher(log, tile_every_s=0.05)
    publisher.put([tile(1, 7, version=1)])
    until(lambda: len(log.tiles) == 1)
    log.held.clear()
    for version in range(2, 40):
        publisher.put([tile(1, 7, version=version)])
    log.held.set()
    assert publisher.flush(within_s=20)
    versions = [event.version for event in log.tiles]
    assert (versions[0], versions[-1]) == (1, 39)
    assert versions == sorted(versions)
    assert len(versions) < 10


def test_an_older_value_never_replaces_a_newer_one_that_waits() -> None:
    log = Kept()
    publisher = Publisher(log, tile_every_s=60)
    publisher.put([tile(1, 7, version=1)])
    until(lambda: len(log.tiles) == 1)
    publisher.put([tile(1, 7, version=5), tile(1, 7, version=3)])
    publisher.close(within_s=20)
    assert [event.version for event in log.tiles] == [1, 5]


def test_what_is_no_json_is_left_out_and_counted() -> None:
    log = Kept()
    publisher = Publisher(log)
    bad = Announcement(*told(1, 1)[:3], {"bad": object()}, told(1, 1).at)  # type: ignore[dict-item]
    publisher.put([bad, told(1, 2)])
    assert publisher.flush(within_s=20)
    assert ([event.key for event in log.lists], publisher.failures) == (["2"], 1)


def test_a_queue_that_is_full_is_emptied_and_screens_are_told() -> None:
    log = Kept()
    publisher = Publisher(log, queue_max=10)
    log.held.clear()
    publisher.put([told(1, 0)])
    for number in range(1, 30):
        publisher.put([told(1, number)])
    log.held.set()
    assert publisher.flush(within_s=20)
    until(lambda: log.lost == 1)
    assert [event.key for event in log.lists] == sorted((event.key for event in log.lists), key=int)
    assert len(log.lists) <= 12


def test_after_a_log_was_away_the_first_word_is_that_something_was_lost() -> None:
    log = Kept()
    log.away = True
    publisher = Publisher(log)
    publisher.put([told(1, 1)])
    assert publisher.flush(within_s=20)
    log.away = False
    publisher.put([told(1, 2)])
    until(lambda: len(log.lists) == 1)
    assert (log.lost, log.lists[0].key) == (1, "2")


def test_a_value_older_than_the_one_that_went_on_costs_the_next_one_no_wait() -> None:
    log = Kept()
    publisher = Publisher(log, tile_every_s=0.0)
    publisher.put([tile(1, 7, version=5)])
    until(lambda: len(log.tiles) == 1)
    publisher.put([tile(1, 7, version=4)])
    publisher.put([tile(1, 7, version=6)])
    assert publisher.flush(within_s=20)
    assert [event.version for event in log.tiles] == [5, 6]
