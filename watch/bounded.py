"""Questions to the database that must not take long: what only watches may not hurt."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


def ask_database(*, wait_s: float) -> None:
    """One question to the database; raises django.db.Error when it does not answer within the time.

    Past Django: a request would wait for the pool's own time limit, longer than whoever only watches does.
    """
    pool = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    pool.open()
    with connection.wrap_database_errors, pool.connection(timeout=wait_s) as asked:
        asked.execute("SELECT 1")


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
