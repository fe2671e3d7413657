"""Statements that must not take long: what only watches, or tells how things are, may neither hurt nor wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def bounded_statements(*, timeout_ms: int) -> Iterator[None]:
    """Within the block no statement takes longer; one that does raises OperationalError.

    SQLite has no such limit, and a transaction there would take its one write lock: statements run as they are.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {int(timeout_ms)}")
        yield
