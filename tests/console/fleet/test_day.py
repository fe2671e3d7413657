"""The fleet's day: the plan's sum as steps, the measured sum with its gaps, and of whom it speaks."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from console.fleet.day import day_of_fleet, kept_steps
from console.fleet.facts_sql import FleetAsked
from dispatch.verification import ProofRules
from tests.admin.pages import text_of
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
DAY = reverse("console:fleet:day")


def day(organisation, at=NOW):
    about = FleetAsked(organisation_id=organisation.pk, at=at, proof=ProofRules(), tolerated_s={})
    return day_of_fleet(about, zone="Europe/Prague")


def plants(organisation, count, **kinds):
    on = seed.link(organisation, NOW)
    made = [seed.plant(on, f"Depot {number}", number) for number in range(count)]
    for plant in made:
        seed.measured(plant, NOW, grid_power_kw=-100.0)
        seed.quarters(plant, NOW, **kinds)
    return made


def test_the_sums_of_plan_and_measurement_are_told_in_the_sign_of_the_site(organisation):
    made = plants(organisation, 3)
    seed.planned(made, NOW, kw=120)

    found = day(organisation)

    assert (found.now_planned_kw, found.now_kw) == (-360.0, -300.0)
    assert (found.plants, found.of) == (3, 3)
    assert found.zone == "Europe/Prague"
    assert (found.start_at, found.end_at) == (
        datetime(2026, 1, 1, 23, tzinfo=UTC),
        datetime(2026, 1, 2, 23, tzinfo=UTC),
    )


def test_where_only_some_have_a_plan_the_curves_are_of_those(organisation):
    made = plants(organisation, 4)
    seed.planned(made[:3], NOW, kw=100)

    found = day(organisation)

    assert (found.plants, found.of, found.now_kw) == (3, 4, -300.0)


def test_slots_of_different_lengths_add_up(organisation):
    made = plants(organisation, 2)
    seed.planned(made[:1], NOW, kw=100)
    seed.planned(made[1:], NOW, type="ENERGY", kw=10.0, value=10.0)

    assert day(organisation).now_planned_kw == -140.0


def test_a_bucket_in_which_too_few_are_known_is_a_gap(organisation):
    plants(organisation, 2)
    assert day(organisation).actual.count("M") == 1

    from metering.models import TelemetryQuarter

    hole = NOW.replace(minute=0) - timedelta(hours=1)
    TelemetryQuarter.objects.filter(start_at=hole, plant__name="Depot 1").delete()

    assert day(organisation).actual.count("M") == 2


def test_a_fleet_that_is_mostly_silent_has_no_present_sum(organisation):
    made = plants(organisation, 4)
    for plant in made[:2]:
        seed.measured(plant, NOW, age_s=900)

    assert day(organisation).now_kw != -200.0


def test_more_plants_than_one_series_may_have_are_added_up_in_parts(organisation, monkeypatch):
    made = plants(organisation, 5)
    seed.planned(made, NOW, kw=100)
    whole = day(organisation)
    monkeypatch.setattr("console.fleet.day.PLANTS_AT_MOST", 2)

    assert day(organisation) == whole

    seed.measured(seed.plant(made[0].connection, "Unplanned", 9), NOW)
    assert (day(organisation).plants, day(organisation).of) == (5, 6)
    assert day(organisation).actual == whole.actual


def test_the_sum_of_many_plans_is_made_once_until_one_of_them_changes(organisation, monkeypatch):
    monkeypatch.setattr("console.fleet.day.KEPT_FROM", 2)
    kept_steps.cache_clear()
    made = plants(organisation, 3)
    seed.planned(made[:2], NOW, kw=100)
    first = queries_of(lambda: day(organisation))

    assert queries_of(lambda: day(organisation)) == first - 1
    seed.planned(made[2:], NOW, kw=50)
    assert day(organisation).now_planned_kw == -250.0


def test_nothing_planned_and_nothing_measured_is_said(organisation, viewer_client):
    seed.plant(seed.link(organisation, NOW), "Depot", 1)

    assert "Nothing planned and nothing measured today" in text_of(viewer_client.get(DAY))


def test_an_organisation_without_plants_has_no_day(organisation):
    assert day(organisation) is None


def test_a_day_costs_the_same_for_any_number_of_plants(organisation):
    plants(organisation, 2)
    few = queries_of(lambda: day(organisation))
    on = seed.link(organisation, NOW, name="Second")
    for number in range(20):
        seed.measured(seed.plant(on, f"Other {number}", 50 + number), NOW)

    assert queries_of(lambda: day(organisation)) == few <= 10
