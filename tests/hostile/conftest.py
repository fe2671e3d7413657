"""A lived-in organisation for modules that attack its pages."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from plants.models import Organisation
from tests.factories import AT
from tests.hostile.console_things import seeded_organisation
from tests.standing import Standing, standing


@pytest.fixture(scope="module")
def lived_in(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Standing[Organisation]]:
    """Made once for a module of tests that commit nothing."""
    with standing(django_db_blocker, seeded_organisation, at=AT) as made:
        yield made


@pytest.fixture
def owner(lived_in: Standing[Organisation], db: None) -> Organisation:
    """The organisation that the attacks are about."""
    return lived_in.copy()
