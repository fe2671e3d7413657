"""A consumer waits for more only while more comes."""

import pytest

from link.pace import FEW_PER_S, Pace

FLUSH_S = 0.02


class Hours:
    """A time that is set."""

    def __init__(self):
        self.now_s = 100.0

    def timer(self):
        return self.now_s


def paced(*, per_s, seconds, batch=1):
    """A pace and its time after deliveries at a steady rate."""
    hours = Hours()
    pace = Pace(FLUSH_S, timer=hours.timer)
    for _ in range(round(per_s * seconds / batch)):
        hours.now_s += batch / per_s
        pace.took(batch)
    return pace, hours


@pytest.mark.parametrize(
    ("per_s", "flush_s"), [(1.0, 0.0), (FEW_PER_S * 0.8, 0.0), (FEW_PER_S * 1.5, FLUSH_S), (5000.0, FLUSH_S)]
)
@pytest.mark.parametrize("seconds", [2.5, 10.0])
def test_it_waits_while_more_than_a_few_come(per_s, flush_s, seconds):
    pace, _ = paced(per_s=per_s, seconds=seconds)

    assert pace.flush_s == flush_s


def test_the_first_delivery_does_not_wait():
    assert Pace(FLUSH_S).flush_s == 0.0


def test_a_flood_makes_it_wait_before_its_first_second_is_over():
    pace = Pace(FLUSH_S, timer=Hours().timer)

    pace.took(500)

    assert pace.flush_s == FLUSH_S


def test_after_a_flood_it_waits_no_more():
    pace, hours = paced(per_s=5000.0, seconds=3.0, batch=500)
    for _ in range(3):
        hours.now_s += 1.0
        pace.took(1)

    assert pace.flush_s == 0.0
