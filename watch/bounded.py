"""Questions to the database that must not take long: what only watches may not hurt."""

from django.db import connection


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
