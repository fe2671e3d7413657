"""Statements of the hot paths, written out: no query is composed, and PostgreSQL parses and plans each once a session.

Django's cursors bind parameters on the client, so nothing of theirs can be prepared. The text is the same on SQLite,
with `%s` for parameters. A statement is kept by its text and the types of its parameters: pass each parameter with the
same type always.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection


def rows(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a SELECT finds; raises Django's database errors."""
    with _cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def execute(statement: str, parameters: Sequence[Any]) -> int:
    """How many rows a statement changed; raises Django's database errors."""
    with _cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _cursor() -> Any:
    if (
        connection.vendor != "postgresql" or connection.queries_logged
    ):  # a log has texts, which a prepared one lost
        return connection.cursor()
    connection.ensure_connection()
    session: Any = connection.connection
    session.prepare_threshold = 1  # does nothing to Django's own cursors
    return connection.make_cursor(psycopg.Cursor(session))  # wraps errors, as `connection.cursor()` does
