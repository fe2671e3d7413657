"""A database of a virtual day's own: made, migrated, used by this process, and dropped.

The installation's own database is left alone, whatever it is. On SQLite it is one in memory; on PostgreSQL a new
database beside the installation's, for which its role needs the right to create databases.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper


@contextmanager
def own_database() -> Iterator[None]:
    """Let the default connection name a fresh, migrated database within the block."""
    before = str(connection.settings_dict["NAME"])
    test = connection.settings_dict["TEST"]
    previous = test["NAME"]
    test["NAME"] = f"virtual_day_{os.getpid()}" if connection.vendor == "postgresql" else None
    _let_go()
    connection.creation.create_test_db(verbosity=0, autoclobber=False, serialize=False)
    try:
        yield
    finally:
        test["NAME"] = previous
        _let_go()
        connection.creation.destroy_test_db(before, verbosity=0)
        _let_go()
        cache.clear()  # it knows tick times of a day that is not today


def _let_go() -> None:
    """Have no connection left that was made under another name: a pool keeps them, and so does SQLite in memory."""
    default = connections[DEFAULT_DB_ALIAS]
    default.close()
    if isinstance(default, PostgresWrapper):
        default.close_pool()
