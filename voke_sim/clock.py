"""The one place of the stand-in that reads the time of day; everything else takes `at` as a parameter."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]
"""Answers the present instant as an aware UTC time; tests and virtual days inject their own."""


def system_clock() -> datetime:
    """The machine's wall clock, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the stand-in's only entry to real time


def default_clock() -> Clock:
    """The wall clock, shifted by the seconds in the file that CLOCK_OFFSET_FILE names, where it is set.

    Both sides of a test share the file, so that an hour of outage can pass in a second.
    """
    name = os.environ.get("CLOCK_OFFSET_FILE", "")
    if not name:
        return system_clock
    file = Path(name)
    return lambda: system_clock() + timedelta(seconds=float(file.read_text()))
