"""Whose fault a database error is: the database's, a rival's, the clock's, or the message's own.

PostgreSQL says so by its SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html); psycopg's classes
are coarser: a read-only server and a broken value may share one. SQLite has no SQLSTATE: there the class decides.
"""

from enum import StrEnum

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from dispatch.services.life import LostRace
from plants.bounded import bounded_statements
from plants.redaction import scrub
from plants.services.link_health import write_nothing_new


class Fault(StrEnum):
    """What to do about an error met while a batch was stored."""

    AWAY = "AWAY"  # nothing can be stored now, whatever the messages are: back off, acknowledge nothing
    RIVAL = "RIVAL"  # another writer was in the way: the same batch again
    SLOW = (
        "SLOW"  # the statement took too long: a lock, a load, or this very batch (`slow_as_a_whole` may tell)
    )
    MESSAGE = "MESSAGE"  # this batch can't be stored as it is: look for the guilty message


NO_PARTITION = "23514"
"""PostgreSQL's check_violation: no partition takes the row."""

_RIVAL = {"55P03", "55006"}
_RIVAL_CLASSES = {"40"}  # deadlocks, serialization failures and what else rolled a transaction back
_SLOW = {"57014"}
# By class: connection, authorisation, transaction state (25006: read-only; 25P03), resources (disk, memory), operator
# intervention, system, configuration; 42, 3D, 3F: the tables are not what this version expects, and 0A, 26: nor are the
# prepared statements of the session, which is no message's fault.
_AWAY_CLASSES = {"08", "28", "25", "53", "57", "58", "F0", "42", "3D", "3F", "0A", "26"}
_AWAY = {"XX001", "XX002"}  # a corrupted table or index; XX000 may be what one message provokes


def sqlstate_of(error: BaseException) -> str:
    """The five characters, '' where the database gives none."""
    return str(getattr(error.__cause__, "sqlstate", "") or "")


def words_of(error: Exception) -> str:
    """The error for people, without the row that PostgreSQL quotes: not everybody may see a message's bytes."""
    return f"{type(error).__name__}: {scrub(str(error))}"


def fault_of(error: Exception) -> Fault:
    """Whose fault it is."""
    if isinstance(error, LostRace):
        return Fault.RIVAL
    if isinstance(error, InterfaceError | MemoryError):
        return Fault.AWAY
    if not isinstance(error, DatabaseError):
        return Fault.MESSAGE
    state = sqlstate_of(error)
    if not state:  # no word from a server: it is gone, or there is none
        return Fault.AWAY if isinstance(error, OperationalError) else Fault.MESSAGE
    if state in _RIVAL or state[:2] in _RIVAL_CLASSES:
        return Fault.RIVAL
    if state in _SLOW:
        return Fault.SLOW
    return Fault.AWAY if state in _AWAY or state[:2] in _AWAY_CLASSES else Fault.MESSAGE


ANSWER_WITHIN_MS = 5000
# Modes that keep writers out. One that only waits counts too: whoever comes after it waits behind it.
# Of metering only the table that a batch writes to: roll-ups work on all others and keep nobody here waiting.
_TABLE_LOCKS = """
SELECT min(c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND c.relkind IN ('r', 'p') AND c.relname ~ '^(plants_|dispatch_|metering_rollupmark$)'
"""


def slow_as_a_whole(*, connection_id: int) -> str:
    """Why no message is to blame for a statement that ended in its time limit; '' = the database is well otherwise.

    Two pieces of evidence: a session that keeps writers out of one of our tables, and a trivial write that lasts too
    long as well. Ask right after the failure, outside its transaction.
    """
    try:
        with bounded_statements(timeout_ms=ANSWER_WITHIN_MS):
            locked = _locked_table()
            if locked:
                return f"{locked} is locked"
            write_nothing_new(connection_id=connection_id)
    except (DatabaseError, InterfaceError) as error:
        return f"a trivial write failed: {type(error).__name__}"
    return ""


def _locked_table() -> str:
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE_LOCKS)
        row = cursor.fetchone()
    return str(row[0] or "") if row else ""
