"""Counting queries: what must not grow with the number of rows."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


def queries_of(work: Callable[[], Any]) -> int:
    """How many statements `work` sends to the database, savepoints included."""
    with CaptureQueriesContext(connection) as context:
        work()
    return len(context)
