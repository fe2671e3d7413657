"""Writers of meter readings, folds and two workers at once on PostgreSQL: the end is what the reference says."""

from dataclasses import replace

import pytest
from django.db import transaction

from metering.models import RollupDue, RollupMark
from metering.services.due import fold_marks
from metering.services.meters import roll_up_meter_chunk
from tests.factories import plant
from tests.metering.meter_world import (
    LATER,
    LIMITS,
    RULES,
    Told,
    assert_same,
    expected,
    roll_up,
    store,
    tables,
)
from tests.threads import Aside, together, until_blocked

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def test_a_worker_waits_for_the_other_and_then_sees_its_quarter_hours_in_the_hour_of_both():
    depot = plant()
    store(depot.pk, [Told(after_s=900 * n + 400, values=[float(n)]) for n in range(4)])
    fold_marks()
    one = replace(RULES, chunk=1)
    roll_up_meter_chunk(at=LATER, rules=one, limits=LIMITS)  # the partitions are there

    with transaction.atomic():
        roll_up_meter_chunk(at=LATER, rules=one, limits=LIMITS)
        other = Aside(lambda: [roll_up_meter_chunk(at=LATER, rules=one, limits=LIMITS) for _ in range(3)])
        until_blocked()
    other.answer()
    roll_up()

    assert not RollupDue.objects.exists()
    assert_same(tables(depot), expected(depot, power_kw=100.0))


def test_writers_folds_and_workers_at_once_end_in_what_the_reference_says():
    depots = [plant() for _ in range(3)]

    def write(turn: int) -> None:
        for batch in range(8):
            for depot in depots:
                store(depot.pk, _batch(turn, batch))

    def work() -> None:
        while not finished:
            fold_marks(limit=3)
            roll_up_meter_chunk(at=LATER, rules=replace(RULES, chunk=3), limits=LIMITS)

    finished: list[bool] = []
    workers = [Aside(work), Aside(work)]
    written = together(*[lambda turn=turn: write(turn) for turn in range(2)])
    finished.append(True)
    ended = [worker.answer() for worker in workers]
    roll_up()

    assert written == [None] * 2 and ended == [None] * 2
    assert not RollupMark.objects.exists() and not RollupDue.objects.exists()
    for depot in depots:
        assert_same(tables(depot), expected(depot, power_kw=100.0))


def _batch(turn: int, batch: int) -> list[Told]:
    """Moments of both writers lie among each other; some are said twice, with another quality and value."""
    moments = [60.0 * ((n * 16 + batch * 2 + turn) % 90) for n in range(6)]
    return [
        Told(
            after_s=at,
            values=[at / 100 + turn / 10, None if at % 7 else at / 50],
            rank=1 + (batch + turn) % 3,
        )
        for at in moments
    ]
