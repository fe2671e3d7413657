"""How often Python looks for cycles: a consumer makes tens of containers of each message and hardly ever a cycle.

With the standard thresholds (700) a quarter of its time went into looking, mostly over the libraries' own objects.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 50_000
"""So many more containers made than freed before the youngest are looked at: those of a few batches."""

OLDER = (20, 50)


@contextmanager
def seldom_collected() -> Iterator[None]:
    """For a process that does nothing else: what is there now is never looked at again, and the rest seldom.

    Afterwards everything is as it was before.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
