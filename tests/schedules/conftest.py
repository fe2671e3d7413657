"""What the tests of schedules start from."""

import pytest

from tests.vendors import deselect_foreign, register


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselect_foreign(config, items)
