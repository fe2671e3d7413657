"""The thread beside a worker's own: what it does, and what it no longer holds."""

import threading
import weakref

import pytest

from link.side_thread import SideThread
from tests.threads import WITHIN_S


class Batch:
    """Something large."""


@pytest.fixture
def side():
    thread = SideThread(name="store-test")
    yield thread
    thread.stop()


def test_what_the_work_raises_is_raised_to_whoever_asked_and_the_next_work_is_done(side):
    job = side.do(lambda: 1 // 0)
    assert job.wait(WITHIN_S)

    with pytest.raises(ZeroDivisionError):
        job.result()

    after = side.do(lambda: "done")
    assert after.wait(WITHIN_S)
    assert after.result() == "done"


def test_a_batch_is_not_held_while_the_next_one_is_waited_for(side):
    batch, freed = Batch(), threading.Event()
    weakref.finalize(batch, freed.set)
    job = side.do(lambda batch=batch: batch)
    assert job.wait(WITHIN_S)

    del batch, job

    assert freed.wait(WITHIN_S)
