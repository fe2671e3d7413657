"""The plan on a plant's own page: what it says for now and next, and what stands above it."""

from datetime import timedelta

import pytest

from plants.models import ConnectionMode
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed_plans import make_override, make_plan
from tests.factories import AT

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant():
    connection = factories.connection(mode=ConnectionMode.ACTIVE)
    return factories.plant(
        on=connection, name="Brewery Přerov", max_import_kw=100.0, max_export_kw=100.0, capacity_kwh=200.0
    )


def test_the_plants_page_tells_what_is_planned_for_now_and_next(jana, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    make_plan(plant, at=AT, days=1, publishes=False)

    text = text_of(jana.get(page("plants_plant_change", plant.pk)))

    assert "Now Import 21.7 kW, 04:00-04:15" in text
    assert "Next Import 21.8 kW, 04:15-04:30 in 15 min" in text
    assert "Fri 2 Jan, today" in text
    assert "Sat 3 Jan" in text


def test_the_plants_page_tells_of_the_override_above_the_plan(jana, plant):
    make_override(plant, at=AT)

    text = text_of(jana.get(page("plants_plant_change", plant.pk)))

    assert "Overridden: Export 12 kW, ends in 45 min" in text
    assert "The grid operator called" in text


def test_a_plant_without_a_plan_says_so(jana, plant):
    assert "Now nothing planned" in text_of(jana.get(page("plants_plant_change", plant.pk)))
