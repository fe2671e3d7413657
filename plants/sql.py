"""Multi-row INSERT … ON CONFLICT for the tables that are written in batches, the same text on PostgreSQL and SQLite.

Django's bulk_create can neither update on a condition nor tell which rows were new; both decide here what counts once.
Rows must already be unique by the conflict key (PostgreSQL refuses to touch a row twice) and sorted by it: two writers
that lock rows in different orders deadlock.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import connection, models

_CHUNK = 500


def insert_or_update(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    better: str,
    only_new: Sequence[str] = (),
) -> None:
    """Insert rows; on a conflict by `key` take the new values where the SQL condition `better` holds.

    `better` compares `new.column` with `old.column`; the attributes `only_new` are written with new rows and never
    updated (a NOT NULL column of somebody else must be given, even where the row exists). All rows have the same
    attributes (attnames of the model).
    """
    for chunk in _chunks(rows):
        columns, values, params = _values(model, chunk)
        table = connection.ops.quote_name(model._meta.db_table)
        taken = [column for column in columns if column not in key and column not in only_new]
        assignments = ", ".join(f"{column} = excluded.{column}" for column in taken)
        condition = better.replace("new.", "excluded.").replace("old.", f"{table}.")
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values} "  # noqa: S608 - names from the model
                f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {assignments} WHERE {condition}",
                params,
            )


def insert_rows(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose keys are new for certain; without what `bulk_create` compiles each time."""
    for chunk in _chunks(rows):
        columns, values, params = _values(model, chunk)
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}", params)  # noqa: S608


def insert_new(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Insert rows that are not there yet; answers the `returning` columns of those that were new."""
    fresh: list[tuple[Any, ...]] = []
    for chunk in _chunks(rows):
        columns, values, params = _values(model, chunk)
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values} "  # noqa: S608 - names from the model
                f"ON CONFLICT ({', '.join(key)}) DO NOTHING RETURNING {', '.join(returning)}",
                params,
            )
            fresh += cursor.fetchall()
    return fresh


def _chunks(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]


def _values(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], str, list[Any]]:
    names = list(rows[0])
    fields = {field.attname: field for field in model._meta.concrete_fields}
    one_row = f"({', '.join(['%s'] * len(names))})"
    params = [fields[name].get_db_prep_save(row[name], connection) for row in rows for name in names]
    return [str(fields[name].column) for name in names], ", ".join([one_row] * len(rows)), params
