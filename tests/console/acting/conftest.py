"""What the tests of acting start from."""

from collections.abc import Callable

import pytest

from plants.models import Organisation, Plant
from tests.console.acting.helpers import acting_plant


@pytest.fixture
def plant(organisation: Organisation) -> Plant:
    return acting_plant(organisation)


@pytest.fixture
def plant_with(organisation: Organisation) -> Callable[..., Plant]:
    """`plant_with(max_export_kw=None)`: one with other facts."""

    def make(**changes: object) -> Plant:
        return acting_plant(organisation, **changes)

    return make
