"""A database of a virtual day's own: made, migrated, used by this process, and dropped.

The installation's own database is left alone, whatever it is. On SQLite it is one in memory; on PostgreSQL a new
database beside the installation's, for which its role needs the right to create databases. Migrating takes 20 s of
processor: on SQLite an empty, migrated database is kept beside the installation's, and the next day begins with it.
"""

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.migrations.loader import MigrationLoader

_IN_MEMORY = f"file:memorydb_{DEFAULT_DB_ALIAS}?mode=memory&cache=shared"
"""What Django calls a test database in memory; it lives as long as somebody has it open."""


@contextmanager
def own_database() -> Iterator[None]:
    """Let the default connection name a fresh, migrated database within the block."""
    before = str(connection.settings_dict["NAME"])
    test = connection.settings_dict["TEST"]
    previous = test["NAME"]
    postgres = connection.vendor == "postgresql"
    test["NAME"] = f"virtual_day_{os.getpid()}" if postgres else None
    _let_go()
    beside = Path(before).parent
    with begun_with(beside / kept_name()) if not postgres and Path(before).is_absolute() else nullcontext():
        connection.creation.create_test_db(verbosity=0, autoclobber=False, serialize=False)
    try:
        yield
    finally:
        test["NAME"] = previous
        _let_go()
        connection.creation.destroy_test_db(before, verbosity=0)
        _let_go()
        cache.clear()  # it knows tick times of a day that is not today


def kept_name() -> str:
    """The name of the kept database, by the text of all migrations: it has exactly those of this code."""
    found = hashlib.sha256()
    modules = {migration.__module__ for migration in MigrationLoader(None).disk_migrations.values()}
    for name in sorted(modules):
        found.update(name.encode())
        found.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return f"empty-{found.hexdigest()[:16]}.sqlite3"


@contextmanager
def begun_with(kept: Path) -> Iterator[None]:
    """Within the block the database in memory exists, filled from the kept one; what the block migrates is kept."""
    with closing(sqlite3.connect(_IN_MEMORY, uri=True)) as memory:
        if kept.exists():
            with closing(sqlite3.connect(kept)) as source:
                source.backup(memory)
            yield
            return
        yield
        _keep(memory, kept)


def _keep(memory: sqlite3.Connection, kept: Path) -> None:
    """Complete or not at all, for its owner alone; those of other code go."""
    draft = kept.with_name(f"empty-{os.getpid()}.draft")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(draft)) as target:
        memory.backup(target)
    for old in kept.parent.glob("empty-*.sqlite3"):
        old.unlink(missing_ok=True)
    draft.replace(kept)


def _let_go() -> None:
    """Have no connection left that was made under another name: a pool keeps them, and so does SQLite in memory."""
    default = connections[DEFAULT_DB_ALIAS]
    default.close()
    if isinstance(default, PostgresWrapper):
        default.close_pool()
