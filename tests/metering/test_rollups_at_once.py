"""Workers and writers at once on PostgreSQL: no change is forgotten, no hour misses a quarter-hour."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from metering.models import RollupDue, RollupMark, Stream
from metering.rollup import Sample
from metering.services.due import first_due, fold_marks, take_due
from metering.services.rollups import roll_up_chunk, roll_up_telemetry
from tests.factories import plant
from tests.metering.rollup_world import RULES, START, assert_same, expected, sample, store, tables
from tests.threads import Aside, together, until_blocked

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
LATER = START + timedelta(days=2)
ONE_AT_A_TIME = replace(RULES, chunk=1)


def test_a_change_that_is_folded_while_its_quarter_hour_is_computed_is_due_again():
    depot = plant()
    store(depot.pk, [sample(5, 1.0)])
    fold_marks()

    with transaction.atomic():
        taken = take_due(seen=first_due(stream=Stream.REALTIME, ready=LATER, limit=10))
        late = Aside(lambda: (store(depot.pk, [sample(8, 2.0)]), fold_marks()))
        until_blocked()
    late.answer()

    again = first_due(stream=Stream.REALTIME, ready=LATER, limit=10)
    assert [due[:2] for due in again] == [due[:2] for due in taken] == [(START, depot.pk)]


def test_a_worker_waits_for_the_other_and_then_sees_its_quarter_hours_in_the_hour_of_both():
    depot = plant()
    store(depot.pk, [sample(900 * n, float(n)) for n in range(4)])
    fold_marks()
    roll_up_chunk(at=LATER, rules=ONE_AT_A_TIME)  # the partitions are there

    with transaction.atomic():
        roll_up_chunk(at=LATER, rules=ONE_AT_A_TIME)
        other = Aside(lambda: [roll_up_chunk(at=LATER, rules=ONE_AT_A_TIME) for _ in range(3)])
        until_blocked()
    other.answer()

    assert not RollupDue.objects.exists()
    assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))


def test_writers_folds_and_workers_at_once_end_in_what_the_reference_says():
    depots = [plant() for _ in range(4)]

    def write(turn: int) -> None:
        for batch in range(12):
            for depot in depots:
                store(depot.pk, _batch(turn, batch))

    def work() -> None:
        while not finished:
            fold_marks(limit=3)
            roll_up_chunk(at=LATER, rules=replace(RULES, chunk=3))

    finished: list[bool] = []
    workers = [Aside(work), Aside(work)]
    written = together(*[lambda turn=turn: write(turn) for turn in range(3)])
    finished.append(True)
    ended = [worker.answer() for worker in workers]
    roll_up_telemetry(at=LATER, rules=RULES)

    assert written == [None] * 3 and ended == [None] * 2
    assert not RollupMark.objects.exists() and not RollupDue.objects.exists()
    for depot in depots:
        assert_same(tables(depot.pk), expected(depot.pk, zone=depot.time_zone))


def _batch(turn: int, batch: int) -> Sequence[Sample]:
    """Moments of all writers lie among each other; every third one is said twice, with another quality."""
    return [
        sample(
            7.5 * (n * 36 + batch * 3 + turn) % 5400, float(n - batch), float(turn), rank=1 + (n + turn) % 3
        )
        for n in range(20)
    ]
