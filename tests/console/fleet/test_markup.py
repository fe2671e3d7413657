"""Rows written as markup: the same words as the tags of templates, and nothing that a person named is markup."""

import re
from datetime import timedelta

import pytest

from console import words
from console.fleet.markup import amount_html
from console.templatetags.console import fresh
from plants.models import Asset
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW


@pytest.mark.parametrize("kw", [0.0, 0.3, 8.23, 9.94, 9.96, -275.4, 998.0, 999.4, 999.6, -3420.0])
def test_an_amount_is_written_as_everywhere(kw):
    assert amount_html(kw) == words.amount(kw)


@pytest.mark.django_db
@pytest.mark.parametrize("age_s", [0, 9, 10, 59, 60, 852, 90_000])
def test_freshness_is_written_as_everywhere(organisation, viewer_client, age_s):
    seed.measured(seed.plant(seed.link(organisation, NOW), "Depot", 1), NOW, age_s=age_s)

    body = viewer_client.get("/console/fleet/").content.decode()

    assert fresh(NOW - timedelta(seconds=age_s)).replace('fresh "', 'fresh"') in body


@pytest.mark.django_db
def test_what_people_and_voke_named_is_text_and_never_markup(organisation, viewer_client):
    plant = seed.plant(seed.link(organisation, NOW), '<b onclick="x">&"quoted"', 1)
    seed.measured(plant, NOW, mode='<i>"MODE', data_quality='"><script>')

    body = viewer_client.get("/console/fleet/").content.decode()

    assert "<script>" not in body.split("<main")[1].split("</main>")[0]
    assert 'onclick="x"' not in body
    assert "&lt;b onclick=&quot;x&quot;&gt;&amp;&quot;quoted&quot;" in body
    assert "&lt;i&gt;&quot;MODE" in body


_CELL = '<td role="cell" class="{name}">(.*?)</td>'
_WHY = "The newest sample has no value of it"


def _cells(client, plant) -> dict[str, str]:
    body = client.get(f"/console/fleet/rows/?ids={plant.pk}").content.decode()
    names = {"pv": "r c-pv", "battery": "c-ba", "load": "r c-ld", "soc": "c-so"}
    found = {name: re.search(_CELL.format(name=css), body) for name, css in names.items()}
    return {name: match.group(1) if match else "no cell" for name, match in found.items()}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("has", "told"),
    [
        ({"fve_peak_power_kwp": 90.0, "capacity_kwh": 50.0}, {"pv", "battery", "load", "soc"}),
        ({"fve_peak_power_kwp": None, "capacity_kwh": 0.0, "plant_with_load": False}, set()),
        ({"fve_peak_power_kwp": 90.0, "capacity_kwh": 0.0, "plant_with_load": False}, {"pv"}),
    ],
)
def test_a_value_that_is_missing_is_told_from_a_thing_that_is_not_there(
    organisation, viewer_client, has, told
):
    plant = seed.plant(seed.link(organisation, NOW), "Depot", 1, **has)
    nothing = ("fve_power_kw", "battery_power_kw", "consumption_power_kw", "soc_pct")
    seed.measured(plant, NOW, **dict.fromkeys(nothing))

    cells = _cells(viewer_client, plant)

    assert {name for name, cell in cells.items() if _WHY in cell and "\N{EN DASH}" in cell} == told
    assert {name for name, cell in cells.items() if cell} == told


@pytest.mark.django_db
def test_of_a_plant_that_never_spoke_the_dashes_say_so_and_an_asset_is_enough_to_have_it(
    organisation, viewer_client
):
    plant = seed.plant(
        seed.link(organisation, NOW),
        "Depot",
        1,
        capacity_kwh=0.0,
        fve_peak_power_kwp=None,
        plant_with_load=False,
    )
    Asset.objects.create(plant=plant, external_id="INV-1", asset_type="INVERTER", name="PV")

    cells = _cells(viewer_client, plant)
    peek = viewer_client.get(f"/console/fleet/peek/{plant.pk}/").content.decode()

    assert "Nothing was measured yet" in cells["pv"]
    assert (cells["battery"], cells["soc"], cells["load"]) == ("", "", "")
    assert ("<dt>PV</dt>" in peek, "<dt>Battery</dt>" in peek, "<dt>Load</dt>" in peek) == (
        True,
        False,
        False,
    )
