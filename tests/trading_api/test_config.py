"""GET /trading/plant/config."""

import pytest
from pytest_django import Settings

from plants.models import Plant
from plants.services.plants import save_plant
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import Voke, block, edit, newest_row, voke_for
from trading_api.models import ServedVersion
from trading_api.services.updates import record_served

pytestmark = pytest.mark.django_db


def served(voke: Voke) -> int | None:
    rows = ServedVersion.objects.filter(credential=voke.credential, plant=voke.plant)
    return rows.values_list("number", flat=True).first()


def test_the_config_holds_the_blocks_in_force_in_wire_terms(voke: Voke) -> None:
    edit(voke.plant, block(360, 1440), block(0, 360))
    assert voke.config().json() == {
        "plantId": voke.ref,
        "externalPlantId": voke.ref,
        "configEnabled": True,
        "timeConfigs": [
            {"from": "00:00", "to": "05:59", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95},
            {"from": "06:00", "to": "23:59", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95},
        ],
    }


def test_a_plant_without_any_version_has_an_empty_config(voke: Voke) -> None:
    answer = voke.config()
    assert (answer.status_code, answer.json()["timeConfigs"]) == (200, [])


def test_a_switched_off_config_is_told_as_such(voke: Voke) -> None:
    voke.plant.config_enabled = False
    save_plant(plant=voke.plant, at=AT)
    assert voke.config().json()["configEnabled"] is False


@pytest.mark.parametrize("ref", ["UNKNOWN", "%00", "a%20b", "x" * 200, "%F0%9F%98%80", "../x"])
def test_an_unknown_plant_is_404(voke: Voke, ref: str) -> None:
    answer = voke.config(ref)
    assert (answer.status_code, answer.json()["code"]) == (404, "PLANT_NOT_FOUND")
    assert answer.json()["details"][0]["path"] == "plantId"


def test_another_organisations_plant_is_as_unknown_as_one_that_does_not_exist(voke: Voke) -> None:
    foreign = voke_for(factories.plant()).plant.external_plant_id
    ours, unknown = voke.config(foreign), voke.config("UNKNOWN")
    assert ours.status_code == 404
    assert ours.json()["message"].replace(foreign, "UNKNOWN") == unknown.json()["message"]


@pytest.mark.parametrize("query", ["", "?plantId=", "?plant=X"])
def test_a_missing_plant_id_is_400_with_the_parameter(voke: Voke, query: str) -> None:
    answer = voke.get(f"/trading/plant/config{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["details"][0]["path"] == "plantId"


def test_the_plant_may_be_named_by_its_other_name(voke: Voke, settings: Settings) -> None:
    assert voke.get(f"/trading/plant/config?externalPlantId={voke.ref}").status_code == 200
    settings.TRADING_PLANT_ID_FIELDS = ("plantId",)
    assert voke.get(f"/trading/plant/config?externalPlantId={voke.ref}").status_code == 400


def test_an_unchanged_config_is_answered_304(voke: Voke) -> None:
    edit(voke.plant, block())
    tag = voke.config()["ETag"]
    answer = voke.config(If_None_Match=f'"x", W/{tag}')
    assert (answer.status_code, answer["ETag"]) == (304, tag)


def test_an_edit_changes_the_tag(voke: Voke) -> None:
    tag = voke.config()["ETag"]
    edit(voke.plant, block())
    assert voke.config(If_None_Match=tag).status_code == 200


def test_two_plants_of_one_revision_have_different_tags(voke: Voke) -> None:
    other = factories.plant(on=voke.plant.connection)
    assert voke.config(other.external_plant_id)["ETag"] != voke.config()["ETag"]


def test_any_tag_does_not_make_an_unknown_plant_known(voke: Voke) -> None:
    assert voke.config("UNKNOWN", If_None_Match="*").status_code == 404


def test_what_was_served_is_recorded_for_the_credential(voke: Voke) -> None:
    other = voke_for(voke.plant)
    voke.config()
    assert served(voke) == 0
    edit(voke.plant, block())
    voke.config()
    assert (served(voke), served(other)) == (1, None)


def test_a_304_counts_as_served_too(voke: Voke) -> None:
    edit(voke.plant, block())
    tag = voke.config()["ETag"]
    other = voke_for(voke.plant).authorise()
    assert other.config(If_None_Match=tag).status_code == 304
    assert served(other) == 1


def test_a_304_to_any_tag_at_all_proves_nothing_and_serves_nothing(voke: Voke) -> None:
    """Else an update made without knowing the version in force would be applied over it."""
    edit(voke.plant, block())
    assert voke.config(If_None_Match="*").status_code == 304
    assert served(voke) is None


def test_a_head_shows_nothing_and_so_serves_nothing(voke: Voke) -> None:
    answer = voke.client.head(f"/trading/plant/config?plantId={voke.ref}", headers=voke.headers())
    assert (answer.status_code, answer.content, served(voke)) == (200, b"", None)


def test_a_late_record_of_an_older_version_changes_nothing(voke: Voke) -> None:
    for number in (3, 2):
        record_served(credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=number, at=AT)
    assert served(voke) == 3


def test_the_journal_names_plant_and_version(voke: Voke) -> None:
    edit(voke.plant, block())
    voke.config()
    row = newest_row()
    assert (row.endpoint, row.plant, row.plant_ref, row.version, row.status) == (
        "config",
        Plant.objects.get(),
        voke.ref,
        1,
        200,
    )


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("plantId={ref}&plantId={ref}", "plantId"),
        ("plantId={ref}&plantId=OTHER", "plantId"),
        ("plantId={ref}&externalPlantId=OTHER", "plantId"),
        ("externalPlantId=OTHER&externalPlantId={ref}", "externalPlantId"),
    ],
)
def test_a_plant_id_that_is_given_twice_or_contradicts_another_is_refused(
    voke: Voke, query: str, path: str
) -> None:
    answer = voke.get(f"/trading/plant/config?{query.format(ref=voke.ref)}")
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, path)


def test_a_plant_id_under_both_names_is_one_plant(voke: Voke) -> None:
    assert voke.get(f"/trading/plant/config?plantId={voke.ref}&externalPlantId={voke.ref}").status_code == 200
