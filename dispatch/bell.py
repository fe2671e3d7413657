"""Rings for the relays when an outbox gets something new, so that they need not look all the time.

Rules:
- A ring is a hint, given after the commit. Whoever misses one finds the message at its next look (`link.doorbell`), so
  a ring that can't be given is logged and otherwise of no consequence: what was committed is committed.
- Relays of this process are called directly; those of other processes by NOTIFY, where the database is PostgreSQL.
- NOTIFY goes as a statement of its own after the commit. Within the transaction it would hold a lock of the whole
  server while the commit is flushed to disk, and commits that ring would wait for each other's disk.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from django.db import connection, transaction

CHANNEL: Final = "esm_outbox"
"""The channel of NOTIFY; what is said on it is a connection's id."""

_lock = threading.Lock()
_listeners: list[Callable[[int], None]] = []


@contextmanager
def heard_by(listener: Callable[[int], None]) -> Iterator[None]:
    """During the block `listener` is called with a connection's id by each ring of this process; it must not wait."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def ring_after_commit(connection_id: int) -> None:
    """Say that a connection's outbox has something new, once the present transaction is committed."""

    ring_all_after_commit((connection_id,))


def ring_all_after_commit(connection_ids: Collection[int]) -> None:
    """`ring_after_commit` for many connections, with one statement."""
    ids = sorted(connection_ids)
    if ids:
        transaction.on_commit(lambda: _ring(ids), robust=True)


def _ring(connection_ids: Sequence[int]) -> None:
    with _lock:
        listeners = tuple(_listeners)
    for connection_id in connection_ids:
        for listener in listeners:
            listener(connection_id)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            names = [str(connection_id) for connection_id in connection_ids]
            cursor.execute("SELECT pg_notify(%s, id) FROM unnest(%s::text[]) AS told (id)", [CHANNEL, names])
