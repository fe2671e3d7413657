"""Pauses between attempts: doubled up to a bound, at least half of it, the rest by chance."""

from datetime import timedelta

import pytest

from dispatch.pauses import pause_after


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"),
    [(1, 0.0, 2.5), (1, 1.0, 5), (2, 0.0, 5), (3, 0.5, 15), (4, 1.0, 40), (5, 1.0, 60), (10_000, 0.0, 30)],
)
def test_a_pause_doubles_up_to_its_bound_and_half_of_it_is_by_chance(attempts, chance, seconds):
    found = pause_after(attempts, first=timedelta(seconds=5), longest=timedelta(minutes=1), chance=chance)

    assert found == timedelta(seconds=seconds)
