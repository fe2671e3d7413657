"""What is written of a tick's runs."""

from datetime import UTC, datetime, timedelta

import pytest

from watch.models import TickRun
from watch.services.ticks import note_tick

pytestmark = pytest.mark.django_db
AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
LATER = AT + timedelta(seconds=10)


def test_a_good_run_after_a_failure_keeps_what_is_known_of_the_failure():
    note_tick(name="queue_due", started_at=AT, duration_s=0.5, error=ValueError())

    note_tick(name="queue_due", started_at=LATER, duration_s=0.25)

    [run] = TickRun.objects.values()
    assert run == {
        "id": run["id"],
        "name": "queue_due",
        "since": AT,
        "started_at": LATER,
        "finished_at": LATER + timedelta(seconds=0.25),
        "duration_s": 0.25,
        "ok": True,
        "error_code": "ValueError",
        "failed_at": AT + timedelta(seconds=0.5),
        "runs": 2,
        "failures": 1,
    }


def test_a_good_run_leaves_other_ticks_alone():
    note_tick(name="queue_due", started_at=AT, duration_s=0.5)
    note_tick(name="settle_late", started_at=AT, duration_s=0.5)

    note_tick(name="queue_due", started_at=LATER, duration_s=0.25)

    assert dict(TickRun.objects.values_list("name", "started_at")) == {"queue_due": LATER, "settle_late": AT}


def test_a_good_run_is_one_statement(django_assert_num_queries):
    note_tick(name="queue_due", started_at=AT, duration_s=0.5)

    with django_assert_num_queries(1):
        note_tick(name="queue_due", started_at=LATER, duration_s=0.25)
