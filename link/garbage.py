"""How often Python looks for cycles, by what a process does.

A consumer makes tens of containers of each message and hardly ever a cycle: with the standard thresholds (700) a
quarter of its time went into looking, mostly over the libraries' own objects. It looks seldom.

A page leaves hundreds of containers in cycles. What matters is how long the one waits who meets the collector: 50,000
containers at once took 50 to 90 ms, so that one page in twenty took twice its time. A web process looks often and
briefly; the sum is the same (2 % of its time).
"""

import gc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

YOUNG = 50_000
"""So many more containers made than freed before the youngest are looked at: those of a few batches."""

OLDER = (20, 50)
PAGES_YOUNG, PAGES_OLDER = 1_000, (10, 10)


def seldom_collected() -> AbstractContextManager[None]:
    """For a process that stores what comes: what is there now is never looked at again, and the rest seldom.

    Afterwards everything is as it was before.
    """
    return _collected(YOUNG, *OLDER)


def briefly_collected() -> AbstractContextManager[None]:
    """For a process that people wait for: what is there now is never looked at again, the rest in small portions.

    Afterwards everything is as it was before.
    """
    return _collected(PAGES_YOUNG, *PAGES_OLDER)


@contextmanager
def _collected(*thresholds: int) -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
