"""Prepared statements of the hot paths, and tables that change while they are kept."""

import pytest
from django.db import NotSupportedError, connection, transaction

from plants import prepared

pytestmark = pytest.mark.django_db(transaction=True)
_READ = "SELECT value FROM changing WHERE value > %s"
_ADD = "WITH added AS (INSERT INTO changing VALUES (%s) RETURNING value) SELECT value FROM added"


@pytest.fixture(autouse=True)
def _table() -> object:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing (value integer)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE changing")


def widen() -> None:
    """As the migration of another process does: psycopg of this one must not see it go by."""
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN ALTER TABLE changing ALTER COLUMN value TYPE bigint; END $$")


def run(statement: str, value: int) -> list[tuple[int]]:
    return prepared.rows(statement, [value])


def test_a_statement_that_was_prepared_before_a_column_changed_its_type_is_answered_all_the_same() -> None:
    for value in (1, 2, 3):
        run(_ADD, value)
    for _ in range(3):
        run(_READ, 1)
    widen()
    assert sorted(run(_READ, 1)) == [(2,), (3,)]


def test_a_row_that_was_refused_for_its_old_plan_is_added_once() -> None:
    for value in (1, 2, 3):
        run(_ADD, value)
    widen()
    assert run(_ADD, 4) == [(4,)]
    assert sorted(run(_READ, 0)) == [(1,), (2,), (3,), (4,)]


def test_within_a_transaction_the_refusal_is_told() -> None:
    for _ in range(3):
        run(_READ, 1)
    widen()
    with pytest.raises(NotSupportedError), transaction.atomic():
        run(_READ, 1)
    assert run(_READ, 1) == []
