"""What every test of the room starts from: no memory of another test's partitions, months or periods."""

from collections.abc import Iterator

import pytest

from metering.services.marks import forget_longest_period
from plants.services.partitions import forget_known_partitions
from tests.vendors import deselect_foreign, register


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselect_foreign(config, items)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    forget_known_partitions()
    forget_longest_period()
    yield
    forget_known_partitions()
    forget_longest_period()
