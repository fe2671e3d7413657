"""What Django does between tests with transactions of their own, at a tenth of its cost: every table is emptied again.

Django truncates all tables, each of which then gets new files, as each of its indexes does, and afterwards makes the
content types and permissions anew: 0.25 s of processor after each of hundreds of tests. Here only tables that hold
rows are touched, and content types and permissions stay, which no test changes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction

STAYS = frozenset({"django_content_type", "auth_permission"})
# As TRUNCATE would, it waits for whoever still writes: a test's thread that has not ended. What is large is truncated.
_EMPTY = """
DO $$
DECLARE
    one regclass;
    filled boolean;
BEGIN
    SET LOCAL session_replication_role = 'replica';  -- without triggers: neither foreign keys nor append-only tables
    FOR one IN
        SELECT oid::regclass FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
        AND (relispartition OR relname = ANY (%s))
        ORDER BY oid
    LOOP
        EXECUTE format('LOCK TABLE %%s IN EXCLUSIVE MODE', one);
        IF pg_relation_size(one) > 2000000 THEN
            EXECUTE format('TRUNCATE %%s CASCADE', one);
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %%s)', one) INTO filled;
            IF filled THEN
                EXECUTE format('DELETE FROM %%s', one);
            END IF;
        END IF;
    END LOOP;
END $$
"""


@contextmanager
def cheap_flush() -> Iterator[None]:
    """Within the block `flush` and the end of a test with `transaction=True` empty the tables this way."""
    operations = type(connection.ops)
    flush: Callable[..., list[str]] = operations.sql_flush

    def sql_flush(self: Any, style: Any, tables: Sequence[str], **options: bool) -> list[str]:
        if options.get("reset_sequences"):
            return flush(self, style, tables, **options)
        left = [table for table in tables if table not in STAYS]
        if self.connection.vendor == "postgresql":
            with transaction.atomic(), self.connection.cursor() as cursor:
                cursor.execute(_EMPTY, [left])
        elif left:
            self.execute_sql_flush(flush(self, style, left, **options))
        return []  # nothing left to do, and nothing to make anew afterwards

    with patch.object(operations, "sql_flush", sql_flush):
        yield
