"""The thread beside a worker's own: what it does, and what it no longer holds."""

import threading
import weakref
from unittest import mock

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


@pytest.mark.parametrize(("work", "given_back"), [(lambda: "done", 1), (lambda: 1 // 0, 2)])
def test_the_database_connection_is_kept_from_a_job_to_one_that_waits_behind_it_unless_it_failed(
    side, work, given_back
):
    second_waits, first_ended = threading.Event(), threading.Event()

    def first():
        assert second_waits.wait(WITHIN_S)
        return work()

    with mock.patch("link.side_thread.close_old_connections", autospec=True) as close:
        side.do(first)
        job = side.do(first_ended.set)
        second_waits.set()
        assert job.wait(WITHIN_S)

    assert close.call_count == given_back
