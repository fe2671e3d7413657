"""Statements of the hot paths, written out: no query is composed, and PostgreSQL parses and plans each once a session.

Django's cursors bind parameters on the client, so nothing of theirs can be prepared. The text is the same on SQLite,
with `%s` for parameters. A statement is kept by its text and the types of its parameters: pass each parameter with the
same type always.
"""

import select
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from django.db import connection

_DEAD_MAX: Final = 200  # as many as a pool may hold


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


def drop_dead_connections() -> None:
    """Have a connection that the server has not closed while it lay in the pool; raises Django's database errors.

    Only a statement would find that out, and be lost: for who must not lose the first one. It costs no round trip: the
    socket of a connection that lives has nothing to read. A server that vanished without a word is not noticed.
    """
    for _ in range(_DEAD_MAX):
        connection.ensure_connection()
        if connection.vendor != "postgresql" or not _has_unread() or connection.is_usable():
            return
        connection.close()


def _has_unread() -> bool:
    poll = select.poll()
    with connection.wrap_database_errors:
        poll.register(connection.connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _cursor() -> Any:
    if (
        connection.vendor != "postgresql" or connection.queries_logged
    ):  # a log has texts, which a prepared one lost
        return connection.cursor()
    connection.ensure_connection()
    session: Any = connection.connection
    session.prepare_threshold = 1  # does nothing to Django's own cursors
    return connection.make_cursor(psycopg.Cursor(session))  # wraps errors, as `connection.cursor()` does
