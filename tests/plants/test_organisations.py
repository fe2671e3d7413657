"""Tenants, the revision of what they show, and the one switch of the installation."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from plants.models import Installation, Organisation, Plant
from plants.selectors.plants import battery_ratings, resolve_sites
from plants.services.organisations import bump_revision, create_organisation, set_installation_dispatch
from tests import factories
from tests.factories import AT
from tests.threads import together

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("changes", [{"slug": "two words"}, {"slug": ""}, {"name": ""}, {"name": "x" * 121}])
def test_an_organisation_that_does_not_fit_is_refused(changes):
    with pytest.raises(ValidationError):
        create_organisation(**({"name": "Energy", "slug": "energy", "at": AT} | changes))


def test_a_slug_belongs_to_one_organisation():
    factories.organisation(slug="energy")

    with pytest.raises(ValidationError):
        factories.organisation(slug="energy")


@pytest.mark.django_db(transaction=True)
def test_no_bump_of_the_revision_is_lost_when_many_come_at_once():
    row = factories.organisation()

    together(*[lambda: bump_revision(organisation_id=row.pk)] * 6)

    assert Organisation.objects.get().revision == row.revision + 6


def test_the_installation_is_one_row_that_is_made_when_first_switched():
    set_installation_dispatch(enabled=False)
    set_installation_dispatch(enabled=True)

    assert [(row.pk, row.dispatch_enabled) for row in Installation.objects.all()] == [(1, True)]
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.create(pk=2)


# --- selectors --------------------------------------------------------------------------------------------------------


def test_sites_resolve_by_uuid_and_by_external_id_within_their_connection():
    plant, other = factories.plant(), factories.plant()
    wanted = [
        str(plant.voke_uuid), plant.external_plant_id, str(other.voke_uuid), other.external_plant_id, "nowhere", "",
    ]  # fmt: skip

    found = resolve_sites(connection_id=plant.connection_id, site_ids=wanted)

    assert found == {str(plant.voke_uuid): plant.pk, plant.external_plant_id: plant.pk}


def test_a_site_is_the_plant_with_that_uuid_before_the_one_with_that_name():
    plant = factories.plant()
    factories.plant(on=plant.connection, external_plant_id=str(plant.voke_uuid))

    found = resolve_sites(connection_id=plant.connection_id, site_ids=[str(plant.voke_uuid).upper()])
    again = resolve_sites(connection_id=plant.connection_id, site_ids=[str(plant.voke_uuid)])

    assert (list(found.values()), list(again.values())) == ([plant.pk], [plant.pk])


@pytest.mark.postgresql
def test_the_sites_of_a_batch_are_found_by_indexes_among_many_plants():
    """Regression: all plants were read for every batch: with 100,000 of them it took longer than all the rest."""
    plant = factories.plant(assets=[])
    _many_like(plant, 5000)
    wanted = [str(one) for one in Plant.objects.values_list("voke_uuid", flat=True)[:500]]

    with CaptureQueriesContext(connection) as context:
        found = resolve_sites(connection_id=plant.connection_id, site_ids=wanted)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + context.captured_queries[0]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert (len(found), len(context)) == (500, 1)
    assert "voke_uuid_once_per_connection" in plan
    assert "external_plant_id_once_per_organisation" in plan
    assert "Seq Scan on plants_plant" not in plan


def _many_like(plant, count):
    own = ("id", "external_plant_id", "voke_uuid")
    alike = ", ".join(one.column for one in Plant._meta.concrete_fields if one.column not in own)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO plants_plant ({alike}, external_plant_id, voke_uuid)"
            f" SELECT {alike}, 'many-' || number, gen_random_uuid() FROM plants_plant, generate_series(1, %s) AS number"
            " WHERE id = %s",
            [count, plant.pk],
        )
        cursor.execute("ANALYZE plants_plant")


@pytest.mark.parametrize(
    ("limits", "ratings"),
    [
        ({}, (40.0, 40.0)),
        ({"max_charge_kw": None, "max_discharge_kw": None}, (65.0, 65.0)),
        ({"max_charge_kw": 0.0, "max_discharge_kw": None}, (0.0, 65.0)),
    ],
    ids=["site", "assets", "no charging"],
)
def test_what_the_batteries_can_do_is_the_sites_limit_else_the_sum_of_their_ratings(limits, ratings):
    plant = factories.plant(
        assets=[factories.battery("B1"), factories.battery("B2", rated_power_kw=25.0), factories.pv()],
        **limits,
    )

    found = battery_ratings(plant)

    assert (found.charge_kw, found.discharge_kw) == ratings


def test_a_plant_without_batteries_has_no_known_ratings():
    plant = factories.plant(assets=[factories.pv()], max_charge_kw=None, max_discharge_kw=None)

    assert (battery_ratings(plant).charge_kw, battery_ratings(plant).discharge_kw) == (None, None)
