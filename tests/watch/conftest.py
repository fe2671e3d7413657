"""What every test of the watch starts from."""

from collections.abc import Iterator

import pytest

from plants.services.partitions import forget_known_partitions
from tests.vendors import deselect_foreign, register


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselect_foreign(config, items)


@pytest.fixture(autouse=True)
def _partitions_of_rolled_back_tests_are_not_remembered() -> Iterator[None]:
    forget_known_partitions()
    yield
    forget_known_partitions()
