"""Reading rows that are mostly numbers: on PostgreSQL in binary form, a quarter of the CPU of their text on our side.

Django's own cursor binds on the client side and takes text alone, so the statement runs on a plain one of psycopg, with
Django's wrapper around it: it counts, logs, and raises the same errors.
"""

from typing import Any

import psycopg
from django.db import connection
from django.db.models import QuerySet
from psycopg.pq import Format


def read_tuples(rows: "QuerySet[Any, Any]") -> list[tuple[Any, ...]]:
    """The rows of a `values_list` of numbers and dates, of the default database; columns need no conversion."""
    if connection.vendor != "postgresql":
        return list(rows)
    statement, params = rows.query.sql_with_params()
    connection.ensure_connection()
    plain: Any = psycopg.Cursor(connection.connection)
    plain.format = Format.BINARY
    wrapped = (
        connection.make_debug_cursor(plain) if connection.queries_logged else connection.make_cursor(plain)
    )
    with wrapped as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
