"""The collector of cycles is held back only as long as a process serves, and so as it serves."""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from link.garbage import OLDER, PAGES_OLDER, PAGES_YOUNG, YOUNG, briefly_collected, seldom_collected


@pytest.mark.parametrize(
    ("collected", "thresholds"),
    [(seldom_collected, (YOUNG, *OLDER)), (briefly_collected, (PAGES_YOUNG, *PAGES_OLDER))],
)
def test_the_collector_is_as_before_when_the_process_has_ended(
    collected: Callable[[], AbstractContextManager[None]], thresholds: tuple[int, ...]
) -> None:
    before = gc.get_threshold()

    with collected():
        within = gc.get_threshold(), gc.get_freeze_count() > 0

    assert within == (thresholds, True)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
