"""Tests that are about PostgreSQL itself (its locks between rows, its partitions) are not part of the SQLite run."""

import pytest
from django.conf import settings

MARK = "postgresql"


def register(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}: about PostgreSQL's own behaviour; not part of the portable run"
    )


def deselect_foreign(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On SQLite leave out what is marked `postgresql`."""
    if settings.DATABASE_SERVER is not None:
        return
    foreign = [item for item in items if item.get_closest_marker(MARK)]
    if foreign:
        config.hook.pytest_deselected(items=foreign)
        items[:] = [item for item in items if item not in set(foreign)]
