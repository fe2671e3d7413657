"""Many rows in one statement: ids as one value of a query, and rows that go in by COPY where the database has it.

PostgreSQL takes hundreds of rows by COPY in a tenth of the time that it and we spend on INSERT. Few rows go by INSERT,
which has fewer steps; SQLite knows nothing else. Both store the same.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from django.db import connection, models
from django.db.models import F, Func
from django.db.models.sql.compiler import SQLCompiler

COPY_FROM_ROWS: Final = 16
"""From how many rows on COPY is worth its steps."""


class Among(Func):
    """The condition that a row's id is one of these, as one parameter: `filter(Among(ids))`.

    `pk__in` with hundreds of ids costs more than the statement that it is part of. An array and no subquery: that would
    be joined, and where the statistics are older than the rows, in a way that takes each row times each id.
    """

    output_field = models.BooleanField()

    def __init__(self, ids: Collection[int], *, of: str = "pk") -> None:
        """`of`: another field than the row's id, which may be one of a related row."""
        super().__init__(F(of))
        self._listed = ",".join(map(str, ids))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: Any, **_more: Any
    ) -> tuple[str, tuple[str, ...]]:
        column, _ = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s::bigint[])", (f"{{{self._listed}}}",)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **_more: Any) -> tuple[str, tuple[str, ...]]:
        column, _ = compiler.compile(self.source_expressions[0])
        return column + " IN (SELECT value FROM json_each(%s))", (f"[{self._listed}]",)  # noqa: S608


class AmongTexts(Func):
    """`Among` for a column of texts: `filter(AmongTexts(keys, of="idempotency_key"))`."""

    output_field = models.BooleanField()

    def __init__(self, texts: Collection[str], *, of: str) -> None:
        super().__init__(F(of))
        self._texts = list(texts)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: Any, **_more: Any
    ) -> tuple[str, tuple[list[str], ...]]:
        column, _ = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s::text[])", (self._texts,)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **_more: Any) -> tuple[str, tuple[str, ...]]:
        column, _ = compiler.compile(self.source_expressions[0])
        return column + " IN (SELECT value FROM json_each(%s))", (json.dumps(self._texts),)  # noqa: S608


def insert_rows(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    numbered: bool = False,
) -> list[int]:
    """Store rows, values in the order of `columns` (attribute names of the model's fields).

    With `numbered` answers their new ids, in the order of the rows; else [].
    """
    if connection.vendor == "postgresql" and len(rows) >= COPY_FROM_ROWS:
        ids = _new_ids(model, len(rows)) if numbered else []
        _copy(model, ["id", *columns] if numbered else columns, _numbered(ids, rows) if numbered else rows)
        return ids
    made = model._default_manager.bulk_create(model(**dict(zip(columns, row, strict=True))) for row in rows)
    return [row.pk for row in made] if numbered else []


def _numbered(ids: Sequence[int], rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    return ((pk, *row) for pk, row in zip(ids, rows, strict=True))


def _new_ids(model: type[models.Model], count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [f'"{model._meta.db_table}"', count],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _copy(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    fields = [_field(model, column) for column in columns]
    names = ", ".join(f'"{field.column}"' for field in fields)
    types = [_plain_type(field) for field in fields]
    statement = f'COPY "{model._meta.db_table}" ({names}) FROM STDIN (FORMAT BINARY)'
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _field(model: type[models.Model], attribute: str) -> "models.Field[Any, Any]":
    return next(field for field in model._meta.concrete_fields if field.attname == attribute)


def _plain_type(field: "models.Field[Any, Any]") -> str:
    """The name of a column's type without its length."""
    kind = field.db_type(connection) or ""
    return kind.partition("(")[0]
