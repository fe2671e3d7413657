"""The sum of many plants, in one grouped query."""

from datetime import timedelta

import pytest

from metering.selectors.fleet_charts import fleet_series
from metering.services.rollups import roll_up_telemetry
from metering.tiers import Tier, to_ms
from plants.errors import Invalid
from plants.models import PlantState
from tests.factories import connection, organisation, plant
from tests.metering.rollup_world import HOUR, RULES, START, sample, store
from tests.queries import queries_of

GRID, PV = "grid_power_kw", "fve_power_kw"
LATER = START + timedelta(days=3)
DAY = timedelta(days=1)


@pytest.fixture
def owner(db):
    return organisation()


@pytest.fixture
def depots(owner):
    link = connection(owner=owner)
    return [plant(on=link, assets=[]) for _ in range(3)]


def series(owner, *, since=timedelta(0), until=DAY, at=LATER, width_px=1000, measures=(GRID,), **changes):
    return fleet_series(
        organisation_id=owner.pk,
        measures=measures,
        from_at=START + since,
        to_at=START + until,
        width_px=width_px,
        at=at,
        rules=RULES,
        **changes,
    )


def report(depot, *values, upto_s=900, rank=3):
    store(depot.pk, [sample(second, *values, rank=rank) for second in range(0, upto_s - 10, 10)])


def heard(depot, measured_at, quality="GOOD"):
    PlantState.objects.filter(plant=depot).update(
        measured_at=measured_at, received_at=measured_at, data_quality=quality, grid_power_kw=3.0
    )


@pytest.mark.django_db
def test_a_day_of_a_fleet_is_the_sum_of_its_quarter_hours(owner, depots):
    report(depots[0], 10.0, 4.0)
    report(depots[1], -3.0, upto_s=1800, rank=2)
    report(plant(assets=[]), 99.0, 99.0)
    roll_up_telemetry(at=LATER, rules=RULES)

    found = series(owner, measures=(GRID, PV))

    assert (found.axis.tier, found.axis.start_ms, len(found.axis.times_ms)) == (
        Tier.QUARTER,
        to_ms(START),
        96,
    )
    assert found.plants == 3
    assert found.sums[GRID][:3] == (7, -3, None)
    assert found.sums[PV][:2] == (4, None)
    assert (found.plants_known[GRID][:3], found.plants_known[PV][:2]) == ((2, 1, 0), (1, 0))
    assert found.coverage_pct[:3] == [
        pytest.approx((895 + 900) / 27),
        pytest.approx(895 / 27),
        0,
    ]
    assert found.quality_rank[:3] == (2, 2, None)


@pytest.mark.django_db
def test_some_plants_may_be_chosen_and_others_organisations_plants_never(owner, depots):
    stranger = plant(assets=[])
    for depot in (*depots, stranger):
        report(depot, 1.0)
    roll_up_telemetry(at=LATER, rules=RULES)

    found = series(owner, plant_ids=[depots[0].pk, depots[2].pk, stranger.pk])

    assert (found.plants, found.sums[GRID][0]) == (2, 2)


@pytest.mark.django_db
def test_a_month_takes_hours_and_a_year_days(owner, depots):
    for depot in depots:
        report(depot, 2.0, upto_s=3600)
    at = START + timedelta(days=40)
    roll_up_telemetry(at=at, rules=RULES)

    month = series(owner, until=timedelta(days=31), at=at)
    year = series(owner, since=-364 * DAY, at=at, zone="Europe/Prague")
    narrow = series(owner, since=-364 * DAY, at=at, width_px=10, zone="Europe/Prague")

    assert (month.axis.tier, month.sums[GRID][:3]) == (Tier.HOUR, (6, None, None))
    assert (year.axis.tier, year.sums[GRID][364], year.plants_known[GRID][364]) == (Tier.DAY, 6, 3)
    assert len(narrow.sums[GRID]) == 20
    assert [value for value in narrow.sums[GRID] if value is not None] == [6]


@pytest.mark.django_db
def test_many_plants_over_a_long_time_take_a_coarser_tier_or_are_refused(owner, depots, monkeypatch):
    monkeypatch.setattr("metering.selectors.fleet_charts.CELLS_WANTED", 100)
    monkeypatch.setattr("metering.selectors.fleet_charts.CELLS_AT_MOST", 90)

    found = series(owner)

    assert found.axis.tier is Tier.HOUR
    with pytest.raises(Invalid) as refused:
        series(owner, until=31 * DAY, at=START + 40 * DAY)
    assert refused.value.path == "from_at"


@pytest.mark.django_db
def test_the_newest_samples_that_still_count_are_summed_beside(owner, depots):
    now = START + HOUR
    for depot, age_s in zip(depots, (5, 14, 16), strict=True):
        heard(depot, now - timedelta(seconds=age_s))
    heard(plant(assets=[]), now)

    found = series(owner, at=now).newest

    assert (found.sums, found.plants, found.measured_at) == ({GRID: 6}, 2, now - timedelta(seconds=5))


@pytest.mark.django_db
def test_a_sample_that_is_missing_is_no_newest_one(owner, depots):
    heard(depots[0], START, quality="MISSING")

    found = series(owner, at=START).newest

    assert (found.sums, found.plants) == ({GRID: None}, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"until": timedelta(0)}, "to_at"),
        ({"width_px": 0}, "width_px"),
        ({"measures": ["soc_pct"]}, "measures[0]"),
        ({"plant_ids": range(5001)}, "plant_ids"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_its_path(owner, changes, path):
    with pytest.raises(Invalid) as refused:
        series(owner, **changes)

    assert refused.value.path == path


@pytest.mark.django_db
def test_a_fleet_that_is_too_large_has_to_choose(owner, depots, monkeypatch):
    monkeypatch.setattr("metering.selectors.fleet_charts.PLANTS_AT_MOST", 2)

    with pytest.raises(Invalid) as refused:
        series(owner)

    assert refused.value.path == "plant_ids"


@pytest.mark.django_db
def test_the_number_of_queries_does_not_grow_with_the_plants(owner, depots):
    for depot in depots:
        report(depot, 1.0)
    roll_up_telemetry(at=LATER, rules=RULES)

    assert queries_of(lambda: series(owner)) == 3
    assert queries_of(lambda: series(owner, plant_ids=[depots[0].pk])) == 3
