"""Pauses between attempts to reconnect grow, stay bounded, and end with the stop event."""

import threading
import time

import pytest

from link.reconnect import Backoff


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base_s=0.5, cap_s=30, draw=lambda: 0.999)

    ceilings = []
    for _ in range(9):
        ceilings.append(backoff.ceiling_s)
        backoff.next_delay_s()

    assert ceilings == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_pause_is_drawn_between_nothing_and_the_ceiling() -> None:
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(base_s=1, cap_s=8, draw=lambda: next(draws))

    assert [backoff.next_delay_s() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_a_success_starts_small_again() -> None:
    backoff = Backoff(base_s=1, cap_s=30, draw=lambda: 1.0)
    for _ in range(5):
        backoff.next_delay_s()

    backoff.reset()

    assert backoff.next_delay_s() == 1.0


def test_ten_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff()

    delays = [backoff.next_delay_s() for _ in range(10_000)]

    assert min(delays) >= 0
    assert max(delays) <= 30


def test_two_loops_do_not_pause_in_step() -> None:
    one, other = Backoff(), Backoff()

    assert [one.next_delay_s() for _ in range(5)] != [other.next_delay_s() for _ in range(5)]


def test_the_stop_event_ends_a_pause_at_once() -> None:
    stop = threading.Event()
    backoff = Backoff(base_s=60, cap_s=60, draw=lambda: 1.0)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()

    stopped = backoff.wait(stop)

    assert stopped
    assert time.monotonic() - began < 30


def test_a_pause_that_ran_out_says_so() -> None:
    assert not Backoff(base_s=0.01, cap_s=0.01, draw=lambda: 1.0).wait(threading.Event())


@pytest.mark.parametrize(("base_s", "cap_s"), [(0, 1), (-1, 1), (2, 1)])
def test_impossible_bounds_are_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="base_s"):
        Backoff(base_s=base_s, cap_s=cap_s)


def test_a_refused_link_may_pause_three_times_as_long_and_no_longer() -> None:
    backoff = Backoff(base_s=1, cap_s=8, draw=lambda: 1.0)

    assert [backoff.next_delay_s(refused=True) for _ in range(7)] == [1, 2, 4, 8, 16, 24, 24]
    assert backoff.next_delay_s() == 8


def test_a_pause_ends_when_something_cannot_wait() -> None:
    backoff = Backoff(base_s=600, cap_s=600, draw=lambda: 0.1)
    asked = []

    stopped = backoff.wait(threading.Event(), hurried=lambda: asked.append(1) or len(asked) == 2)

    assert (stopped, len(asked)) == (False, 2)


def test_whoever_pauses_is_asked_at_least_every_two_seconds() -> None:
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return len(waited) == 20

    Backoff(base_s=600, cap_s=600, draw=lambda: 0.999).wait(Stop(), hurried=lambda: False)

    assert max(waited) < 2
    assert min(waited) > 0.4
