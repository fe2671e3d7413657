"""Plants from a document: each problem named by its place, all plants or none."""

import pytest

from plants.bulk import read_plants
from plants.errors import DomainError
from plants.models import Asset, Plant
from plants.services.bulk import save_sheets
from plants.services.time_config import Author
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db
BLOCK = {"from": "00:00", "to": "24:00", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95}
DEPOT = {
    "externalPlantId": "DEPOT",
    "name": "Depot",
    "vokeUuid": "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
    "assets": [{"deviceId": "B1", "assetType": "BESS", "ratedPowerKw": 50}],
    "timeConfigs": [BLOCK],
}


def load(*documents, owner=None):
    sheets = read_plants(list(documents), organisation=owner or factories.organisation())
    return save_sheets(sheets=sheets, author=Author(name="shell"), at=AT)


def refused(document):
    with pytest.raises(DomainError) as caught:
        load(*document) if isinstance(document, list) else read_plants(
            document, organisation=factories.organisation()
        )
    assert not Plant.objects.exists()
    return [one.path for one in getattr(caught.value, "problems", [caught.value])]


def test_a_document_becomes_plants_with_assets_and_a_first_version():
    [plant] = load(DEPOT)

    plant.refresh_from_db()
    assert (plant.external_plant_id, str(plant.voke_uuid)) == (
        "DEPOT",
        "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
    )
    assert Asset.objects.get(plant=plant).rated_power_kw == 50
    assert (plant.time_config.number, plant.time_config.made_by_name) == (1, "shell")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, ""),
        (["x"], "[0]"),
        ([{"colour": "red"}], "[0].colour"),
        ([DEPOT | {"vokeUuid": "x"}], "[0].vokeUuid"),
        ([DEPOT | {"assets": {}}], "[0].assets"),
        ([DEPOT | {"assets": [{"deviceId": "small", "assetType": "BESS"}]}], "[0].assets[small].external_id"),
        ([DEPOT | {"timeConfigs": [BLOCK | {"to": "24:01"}]}], "[0].timeConfigs[0].to"),
        ([DEPOT | {"timeConfigs": [BLOCK | {"pBatMax": True}]}], "[0].timeConfigs[0].pBatMax"),
        ([DEPOT | {"timeConfigs": [BLOCK | {"pBatMax": 10**400}]}], "[0].timeConfigs[0].pBatMax"),
        ([DEPOT | {"timeConfigs": [BLOCK | {"pBatMax": float("nan")}]}], "[0].timeConfigs[0].pBatMax"),
        ([DEPOT, DEPOT | {"name": "", "externalPlantId": "TWO", "vokeUuid": None}], "[1].vokeUuid"),
        ([DEPOT, {"externalPlantId": "TWO"}], "[1].name"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place_and_nothing_is_saved(document, path):
    assert refused(document) == [path]
