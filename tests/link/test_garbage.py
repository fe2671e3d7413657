"""The collector of cycles is held back only as long as a consumer runs."""

import gc

from link.garbage import YOUNG, seldom_collected


def test_the_collector_is_as_before_when_the_consumer_has_ended():
    before = gc.get_threshold()

    with seldom_collected():
        within = gc.get_threshold(), gc.get_freeze_count() > 0

    assert within == ((YOUNG, 20, 50), True)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
