"""Statements of the hot paths, written out: no query is composed, and PostgreSQL parses and plans each once a session.

Django's cursors bind parameters on the client, so nothing of theirs can be prepared. The text is the same on SQLite,
with `%s` for parameters. A statement is kept by its text and the types of its parameters: pass each parameter with the
same type always.

Edge case: a migration that changes the type of a column makes PostgreSQL refuse the statements that an older process
has prepared, and psycopg would send them for ever. A refused one has done nothing: all of the session are forgotten,
and it is sent once more. Not within a transaction: the refusal has ended it, and its rollback forgets them.
"""

import select
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import psycopg
from django.db import NotSupportedError, connection

ResultT = TypeVar("ResultT")
_DEAD_MAX: Final = 200  # as many as a pool may hold


def rows(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a SELECT finds; raises Django's database errors."""
    return _run(statement, parameters, lambda cursor: list(cursor.fetchall()))


def execute(statement: str, parameters: Sequence[Any]) -> int:
    """How many rows a statement changed; raises Django's database errors."""
    return _run(statement, parameters, lambda cursor: int(cursor.rowcount))


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


def _run(statement: str, parameters: Sequence[Any], take: Callable[[Any], ResultT]) -> ResultT:
    try:
        return _once(statement, parameters, take)
    except NotSupportedError:
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            raise
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")  # psycopg sees it and forgets them too
        return _once(statement, parameters, take)


def _once(statement: str, parameters: Sequence[Any], take: Callable[[Any], ResultT]) -> ResultT:
    with _cursor() as cursor:
        cursor.execute(statement, parameters)
        return take(cursor)


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
    plain: Any = psycopg.Cursor(session)
    return connection.make_cursor(plain)  # wraps errors, as `connection.cursor()` does
