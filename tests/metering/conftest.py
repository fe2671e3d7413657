"""What every test of the room starts from: no memory of another test's partitions, months or periods."""

from collections.abc import Iterator

import pytest

from metering.services.marks import forget_longest_period
from plants.services.partitions import forget_known_partitions


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    forget_known_partitions()
    forget_longest_period()
    yield
    forget_known_partitions()
    forget_longest_period()
