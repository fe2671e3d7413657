"""The one place of the stand-in that reads the time of day; everything else takes `at` as a parameter."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present instant as an aware UTC time; tests and virtual days inject their own."""


def system_clock() -> datetime:
    """The machine's wall clock, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the stand-in's only entry to real time
