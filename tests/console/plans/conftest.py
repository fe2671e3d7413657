"""Plants of the organisation that is looked at, with a connection that sends."""

from collections.abc import Callable
from typing import Any

import pytest

from plants.models import Connection, Organisation, Plant
from tests import factories


@pytest.fixture
def link(organisation: Organisation) -> Connection:
    return factories.connection(owner=organisation, name="Voke production")


@pytest.fixture
def make_plant(link: Connection) -> Callable[..., Plant]:
    """`make_plant(name="...")`: a plant of the organisation."""

    def make(**facts: Any) -> Plant:
        return factories.plant(on=link, **facts)

    return make


@pytest.fixture
def plant(make_plant: Callable[..., Plant]) -> Plant:
    return make_plant(name="Brewery Přerov", external_plant_id="PREROV-02")
