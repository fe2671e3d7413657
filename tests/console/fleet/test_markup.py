"""Rows written as markup: the same words as the tags of templates, and nothing that a person named is markup."""

from datetime import timedelta

import pytest

from console import words
from console.fleet.markup import amount_html
from console.templatetags.console import fresh
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
