"""The fleet's pages, in the middle of a slot."""

from collections.abc import Iterator

import pytest

from esm import clock
from tests.console.seed_fleet import NOW


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with clock.frozen(NOW):
        yield
