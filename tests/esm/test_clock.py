"""The one clock: aware, in UTC, and frozen only where a test says so."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from esm import clock
from tests.factories import AT


def test_now_is_an_aware_time_in_utc_that_goes_forward():
    first, second = clock.now(), clock.now()

    assert first.tzinfo is UTC
    assert first <= second


def test_a_frozen_clock_stands_still_and_runs_again_afterwards():
    with clock.frozen(AT):
        inside = [clock.now(), clock.now()]

    assert inside == [AT, AT]
    assert clock.now() != AT


def test_a_frozen_clock_within_another_ends_with_the_outer_one():
    later = AT + timedelta(hours=1)

    with clock.frozen(AT):
        with clock.frozen(later):
            inner = clock.now()
        outer = clock.now()

    assert (inner, outer) == (later, AT)


def test_the_clock_runs_again_after_an_error():
    with pytest.raises(ZeroDivisionError), clock.frozen(AT):
        raise ZeroDivisionError

    assert clock.now() != AT


def test_a_time_without_zone_can_not_be_frozen():
    with pytest.raises(ValueError, match="aware"), clock.frozen(datetime(2026, 1, 2, 3)):
        pass


def test_a_time_of_another_zone_is_the_same_instant():
    local = AT.astimezone(timezone(timedelta(hours=2)))

    with clock.frozen(local):
        assert clock.now() == AT
