"""Expected periods: learnt from what came, set by a person, kept as a history."""

from datetime import datetime, timedelta

import pytest

from metering.learnt_period import Shown, other_period
from metering.models import MeterQuarter, Stream, StreamPeriod
from metering.partitions import ROLLUPS
from metering.selectors.periods import periods_of
from metering.services import periods as learning
from metering.services.periods import learn_periods, set_period, valid_from
from metering.services.rollups import roll_up_telemetry
from plants.errors import Invalid
from plants.services.partitions import ensure_partitions
from tests.factories import plant
from tests.metering.rollup_world import RULES, START, sample, store

HOURS_3 = 3 * 3600


def at_after(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def speak(
    depot, period_s: float, *, from_s: float = 0, until_s: float = HOURS_3, only=lambda after_s: True
) -> None:
    """Samples at a period, rolled up."""
    count = int((until_s - from_s) / period_s)
    moments = [from_s + n * period_s for n in range(count)]
    store(depot.pk, [sample(after_s, 1.0) for after_s in moments if only(after_s)])
    roll_up_telemetry(at=START + timedelta(seconds=until_s, minutes=2), rules=RULES)


def period_of(depot, at, stream=Stream.REALTIME):
    return periods_of(plant_ids=[depot.pk], stream=stream, rules=RULES).at(depot.pk, at)


@pytest.mark.django_db
@pytest.mark.parametrize("period_s", [2, 5, 13, 14.9, 30, 60, 300, 900])
def test_a_period_that_is_clearly_another_is_learnt_and_expected_from_then_on(period_s):
    depot = plant()
    speak(depot, period_s)

    learn_periods(at=at_after(3.1), rules=RULES)

    row = StreamPeriod.objects.get(plant=depot)
    assert row.period_s == pytest.approx(period_s, rel=0.02) and row.source == StreamPeriod.Source.LEARNT
    assert (period_of(depot, at_after(3)), period_of(depot, at_after(4))) == (10.0, row.period_s)


@pytest.mark.django_db
@pytest.mark.parametrize("period_s", [8.5, 10, 11.9])
def test_a_period_that_is_about_what_is_expected_stays(period_s):
    depot = plant()
    speak(depot, period_s)

    assert learn_periods(at=at_after(3.1), rules=RULES) == 0


@pytest.mark.django_db
def test_holes_in_a_stream_are_no_longer_period():
    depot = plant()
    speak(depot, 10, only=lambda after_s: after_s % 900 < 400)

    assert learn_periods(at=at_after(3.1), rules=RULES) == 0


@pytest.mark.django_db
def test_an_hour_and_a_half_is_too_little_to_learn_from():
    depot = plant()
    speak(depot, 30, until_s=6300)

    assert learn_periods(at=at_after(3.1), rules=RULES) == 0


@pytest.mark.django_db
def test_what_is_learnt_once_is_not_learnt_again_and_may_change_back():
    depot = plant()
    speak(depot, 30)
    learn_periods(at=at_after(3.1), rules=RULES)
    since = StreamPeriod.objects.get(plant=depot).valid_from

    again = learn_periods(at=at_after(4.1), rules=RULES)
    speak(depot, 10.2, from_s=(since - START).total_seconds(), until_s=6.5 * 3600)
    learn_periods(at=at_after(6.6), rules=RULES)

    assert again == 0
    assert [row.period_s for row in StreamPeriod.objects.all()] == [30.0, 10.0]


@pytest.mark.django_db
def test_what_a_person_has_set_is_never_learnt_over():
    depot = plant()
    set_period(
        plant=depot, stream=Stream.REALTIME, period_s=20, by_name="Anna", at=at_after(-24), rules=RULES
    )
    speak(depot, 60)

    assert learn_periods(at=at_after(3.1), rules=RULES) == 0
    assert period_of(depot, at_after(4)) == 20


@pytest.mark.django_db
def test_a_person_may_give_a_period_back_to_be_learnt():
    depot = plant()
    set_period(
        plant=depot, stream=Stream.REALTIME, period_s=20, by_name="Anna", at=at_after(-24), rules=RULES
    )
    set_period(
        plant=depot, stream=Stream.REALTIME, period_s=None, by_name="Anna", at=at_after(-3), rules=RULES
    )
    speak(depot, 60)

    assert learn_periods(at=at_after(3.1), rules=RULES) == 1
    assert period_of(depot, at_after(4)) == 60


@pytest.mark.django_db
def test_a_period_is_valid_from_a_quarter_hour_that_every_process_knows_it_by():
    assert valid_from(START) == START + timedelta(minutes=15)
    assert valid_from(START + timedelta(minutes=13)) == START + timedelta(minutes=15)
    assert valid_from(START + timedelta(minutes=13, seconds=1)) == START + timedelta(minutes=30)


@pytest.mark.django_db
@pytest.mark.parametrize("period_s", [0.5, 901, float("nan")])
def test_a_period_out_of_bounds_is_refused(period_s):
    with pytest.raises(Invalid) as refused:
        set_period(
            plant=plant(), stream=Stream.REALTIME, period_s=period_s, by_name="Anna", at=START, rules=RULES
        )

    assert refused.value.path == "period_s"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("readings", "covered_s", "learnt"),
    [(15, 900.0, None), (3, 900.0, 300.0), (1, 0.0, 900.0), (7, 420.0, None)],
)
def test_the_period_of_meters_is_learnt_from_their_own_rollups(readings, covered_s, learnt):
    depot = plant()
    ensure_partitions(days=[START.date()], tables=ROLLUPS)
    MeterQuarter.objects.bulk_create(
        MeterQuarter(
            plant=depot,
            device_id="M1",
            start_at=START + n * timedelta(minutes=15),
            readings=readings,
            covered_s=covered_s,
            coverage_pct=covered_s / 9,
            computed_at=START,
        )
        for n in range(8)
    )

    learn_periods(at=at_after(3), rules=RULES)

    found = StreamPeriod.objects.filter(plant=depot, stream=Stream.METER).values_list("period_s", flat=True)
    assert list(found) == ([] if learnt is None else [learnt])


def test_quarter_hours_that_do_not_agree_teach_nothing():
    quarters = [
        Shown(readings=n, covered_s=15.0 * n, most_each_s=15.0) for n in (5, 40, 7, 30, 10, 20, 4, 50)
    ]

    assert other_period(quarters, expected_s=10, default_s=10, most_s=900) is None


@pytest.mark.django_db
def test_learning_costs_the_same_statements_however_many_plants(django_assert_num_queries):
    for _ in range(5):
        speak(plant(), 30)

    # How far the last run came (four where there was none); plants; for each stream the periods and the quarter-hours;
    # what was learnt (one INSERT); how far this run came.
    with django_assert_num_queries(11):
        learn_periods(at=at_after(3.1), rules=RULES)


@pytest.mark.django_db
def test_the_period_of_a_time_is_the_one_that_was_valid_then():
    depot = plant()
    for hours, period_s in ((1, 20.0), (2, 30.0)):
        StreamPeriod.objects.create(
            plant=depot,
            stream=Stream.REALTIME,
            valid_from=at_after(hours),
            period_s=period_s,
            source=StreamPeriod.Source.LEARNT,
        )

    found = [period_of(depot, at_after(hours)) for hours in (0.99, 1, 1.99, 2, 9)]

    assert found == [10, 20, 20, 30, 30]
    assert period_of(depot, at_after(9), stream=Stream.METER) == 60


@pytest.mark.django_db
def test_a_run_that_has_used_up_its_time_goes_on_behind_the_plants_that_it_looked_at(monkeypatch):
    monkeypatch.setattr(learning, "PLANTS_AT_ONCE", 1)
    monkeypatch.setattr(learning, "LEARN_BUDGET_S", 0.0)
    depots = [plant() for _ in range(2)]
    for depot in depots:
        speak(depot, 30)

    learnt = [learn_periods(at=at_after(3.1), rules=RULES) for _ in range(2)]

    assert learnt == [1, 1]
    assert {row.plant_id for row in StreamPeriod.objects.all()} == {depot.pk for depot in depots}


@pytest.mark.django_db
def test_a_round_that_has_come_to_its_end_begins_again(monkeypatch):
    monkeypatch.setattr(learning, "PLANTS_AT_ONCE", 1)
    depot = plant()
    nothing = learn_periods(at=at_after(0), rules=RULES)
    speak(depot, 30)

    assert (nothing, learn_periods(at=at_after(3.1), rules=RULES)) == (0, 1)
