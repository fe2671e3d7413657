"""The quick plant of the tests is the row that the platform's services would have written."""

from typing import Any

import pytest
from django.db.models import Model

from plants.models import Organisation, Plant
from tests import factories

pytestmark = pytest.mark.django_db
# Numbered by the factory itself, or by the database.
OWN = frozenset({"id", "external_plant_id", "voke_uuid", "name", "plant", "organisation", "connection"})


def facts(row: Model) -> dict[str, Any]:
    return {
        field.name: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.name not in OWN and not (field.primary_key and field.remote_field)
    }


def everything(plant: Plant) -> list[Any]:
    owner = Organisation.objects.get(pk=plant.organisation_id)
    assets = [
        facts(asset) | {"external_id": asset.external_id} for asset in plant.assets.order_by("external_id")
    ]
    return [facts(plant), facts(plant.state), assets, owner.revision]


@pytest.mark.parametrize("assets", [None, []])
def test_a_quick_plant_has_the_rows_of_one_that_was_saved_by_the_services(assets):
    assert everything(factories.plant(assets=assets)) == everything(factories.checked_plant(assets=assets))
