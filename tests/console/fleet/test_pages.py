"""The fleet's page and its parts: what they show, to whom, and how little they ask the database."""


import pytest
from django.urls import reverse

from tests.admin.pages import text_of
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW

pytestmark = pytest.mark.django_db
LIST = reverse("console:fleet:list")


def test_the_page_answers(organisation, viewer_client):
    seed.make_fleet(organisation, NOW)

    shown = text_of(viewer_client.get(LIST))

    assert "9 plants, 8 live" in shown
