"""Marks: which quarter-hours a batch of readings changes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from metering.models import RollupMark, Stream, StreamPeriod
from metering.services.marks import forget_longest_period, mark_changed
from tests.factories import AT, plant

QUARTER = timedelta(minutes=15)
START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def marked() -> dict[datetime, list[int]]:
    return dict(RollupMark.objects.values_list("start_at", "plant_ids"))


@pytest.mark.django_db
def test_each_quarter_hour_of_a_batch_gets_one_mark_with_its_plants():
    changed = [(7, START), (3, START + timedelta(minutes=4)), (7, START + timedelta(minutes=1))]

    mark_changed(stream=Stream.REALTIME, changed=[*changed, (3, START + QUARTER)])

    assert marked() == {START: [3, 7], START + QUARTER: [3]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before_s", "held"), [(15.000001, False), (15, False), (14.999999, True), (0.000001, True)]
)
def test_a_sample_that_is_held_into_the_next_quarter_hour_marks_it_too(before_s, held):
    mark_changed(stream=Stream.REALTIME, changed=[(1, START + QUARTER - timedelta(seconds=before_s))])

    assert set(marked()) == ({START, START + QUARTER} if held else {START})


@pytest.mark.django_db
@pytest.mark.parametrize(("after_s", "reaches"), [(0, True), (299.9, True), (300, False), (899, False)])
def test_a_meter_reading_soon_after_a_boundary_marks_the_quarter_hour_that_it_completes(after_s, reaches):
    mark_changed(stream=Stream.METER, changed=[(1, START + timedelta(seconds=after_s))])

    assert set(marked()) == ({START - QUARTER, START} if reaches else {START})


@pytest.mark.django_db
def test_the_longest_period_of_any_plant_decides_how_far_a_sample_may_be_held():
    slow = plant()
    StreamPeriod.objects.create(
        plant=slow, stream=Stream.REALTIME, valid_from=AT, period_s=900, source=StreamPeriod.Source.SET
    )
    forget_longest_period()

    mark_changed(stream=Stream.REALTIME, changed=[(slow.pk, START + timedelta(minutes=10))])

    assert set(marked()) == {START, START + QUARTER, START + 2 * QUARTER}


@pytest.mark.django_db
def test_nothing_changed_marks_nothing():
    mark_changed(stream=Stream.REALTIME, changed=[])

    assert marked() == {}


@pytest.mark.django_db
def test_a_batch_costs_one_statement_when_the_longest_period_is_known(django_assert_num_queries):
    mark_changed(stream=Stream.REALTIME, changed=[(1, START)])
    many = [(n, START + timedelta(seconds=n)) for n in range(2000)]

    with django_assert_num_queries(1):
        mark_changed(stream=Stream.REALTIME, changed=many)


@pytest.mark.django_db(transaction=True)
def test_marks_of_a_batch_that_is_rolled_back_are_gone_with_it():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        mark_changed(stream=Stream.REALTIME, changed=[(1, START)])
        raise ZeroDivisionError

    assert marked() == {}
