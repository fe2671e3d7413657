"""Rows that come by the hundreds, into tables with a natural key: COPY BINARY on PostgreSQL, plain INSERT elsewhere.

Where new keys are the rule (a history), rows are copied straight into the table; only when one of them is there already
they go the way of all others: copied into a temporary table and from there inserted or updated. A table in which that
happened lately is not tried again for a while, so that a stream which comes twice doesn't pay for both.

Rules as for `plants.sql`: rows are unique by the key and in the order of `locked_by`, all writers alike, or two of them
deadlock. A partitioned table is written partition by partition, so its order begins with what divides it.

Traps: binary COPY needs the exact types; errors of `copy` are psycopg's unless they are wrapped; a temporary table is
gone again when the transaction that made it is rolled back, and the same transaction may need it twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zlib import crc32

import msgspec
import psycopg
from django.db import connection, models, transaction
from django.db.utils import IntegrityError

from plants.sql import insert_or_update

Values = tuple[Any, ...]

STAGED_AFTER_CONFLICT = 20
"""How many times a table's rows are staged after one of them was there already."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where rows go: attributes of the model (attnames) in their order, and what decides a conflict by `key`.

    `better` and `only_new` as for `plants.sql.insert_or_update`. `mostly_new`: a row that is there already is rare.
    `locked_by`: the order of the rows in SQL, '' = by the key.
    """

    model: type[models.Model]
    names: tuple[str, ...]
    key: tuple[str, ...]
    better: str
    only_new: tuple[str, ...] = ()
    mostly_new: bool = False
    locked_by: str = ""

    @cached_property
    def table(self) -> str:
        """Its name in the database."""
        return str(self.model._meta.db_table)

    @cached_property
    def _fields(self) -> "tuple[models.Field[Any, Any], ...]":
        fields = {field.attname: field for field in self.model._meta.concrete_fields}
        return tuple(fields[name] for name in self.names)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The column of each attribute."""
        return tuple(str(field.column) for field in self._fields)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """PostgreSQL's type of each column. A document goes as bytes: that is what its binary form is."""
        kinds = (field.db_type(connection) or "" for field in self._fields)
        return tuple("bytea" if kind == "jsonb" else kind.partition("(")[0] for kind in kinds)

    @cached_property
    def documents(self) -> tuple[int, ...]:
        """Which columns hold JSON."""
        return tuple(index for index, field in enumerate(self._fields) if isinstance(field, models.JSONField))

    @cached_property
    def copy(self) -> str:
        """COPY straight into the table."""
        return f"COPY {self.table} ({', '.join(self.columns)}) FROM STDIN (FORMAT BINARY)"

    @cached_property
    def stage(self) -> tuple[str, str, str]:
        """Make the temporary table, COPY into it, move its rows into the table."""
        names = ", ".join(self.columns)
        staged = f"staged_{self.table}_{crc32(names.encode()):08x}"  # of these columns: it outlives its transaction
        taken = [name for name in self.columns if name not in self.key and name not in self.only_new]
        assignments = ", ".join(f"{name} = excluded.{name}" for name in taken)
        condition = self.better.replace("new.", "excluded.").replace("old.", f"{self.table}.")
        make = (
            f"CREATE TEMP TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS AS"  # noqa: S608 - names of the model
            f" SELECT {names} FROM {self.table} WITH NO DATA"
        )
        move = (
            f"WITH moved AS (DELETE FROM pg_temp.{staged} RETURNING *)"  # noqa: S608
            f" INSERT INTO {self.table} ({names}) SELECT {names} FROM moved"
            f" ORDER BY {self.locked_by or ', '.join(self.key)}"
            f" ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {assignments} WHERE {condition}"
        )
        return make, f"COPY pg_temp.{staged} ({names}) FROM STDIN (FORMAT BINARY)", move


_stage_next: dict[str, int] = {}
"""By table: how many times more its rows are staged. A hint of this process; both ways give the same rows."""


def write_rows(target: Target, rows: Sequence[Values]) -> None:
    """Insert rows; on a conflict take the new values where `better` holds. Call within a transaction."""
    write_all([(target, rows)])


def write_all(parts: Sequence[tuple[Target, Sequence[Values]]]) -> None:
    """`write_rows` for several tables, one after the other. Call within a transaction."""
    wanted = [(target, rows) for target, rows in parts if rows]
    if connection.vendor != "postgresql":
        for target, rows in wanted:
            insert_or_update(
                target.model,
                [dict(zip(target.names, row, strict=True)) for row in rows],
                key=target.key,
                better=target.better,
                only_new=target.only_new,
            )
        return
    ready = [(target, _with_documents(target, rows)) for target, rows in wanted]
    refused = None
    if len(ready) > 1 and all(target.mostly_new and not _stage_next.get(target.table) for target, _ in ready):
        refused = _copied_straight(ready)
        if refused is None:
            return
    for target, rows in ready:  # each for itself and in their order, which is the order of the locks
        if target is refused or not _goes_straight(target) or _copied_straight([(target, rows)]):
            _stage(target, rows)


def copy_in(model: type[models.Model], *, names: Sequence[str], rows: Sequence[Values]) -> None:
    """Insert rows whose keys are new for certain (a running number). Call within a transaction."""
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(model(**dict(zip(names, row, strict=True))) for row in rows)
    elif rows:
        target = Target(model=model, names=tuple(names), key=(), better="")
        _copy(target.copy, target.types, rows)


def _with_documents(target: Target, rows: Sequence[Values]) -> Sequence[Values]:
    """Documents as the binary form of jsonb: a byte for its version, then its text."""
    if not target.documents:
        return rows
    ready: list[Values] = []
    for row in rows:
        values = list(row)
        for index in target.documents:
            values[index] = b"\x01" + msgspec.json.encode(values[index])
        ready.append(tuple(values))
    return ready


def _goes_straight(target: Target) -> bool:
    left = _stage_next.get(target.table, 0)
    if left:
        _stage_next[target.table] = left - 1
    return target.mostly_new and not left


def _copied_straight(parts: Sequence[tuple[Target, Sequence[Values]]]) -> Target | None:
    """All of them behind one savepoint; answers where a row is there already: then nothing was written."""
    target = parts[0][0]
    try:
        with transaction.atomic():
            for target, rows in parts:
                _copy(target.copy, target.types, rows)
    except IntegrityError as error:
        if not isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            raise
        _stage_next[target.table] = STAGED_AFTER_CONFLICT
        return target
    return None


def _stage(target: Target, rows: Sequence[Values]) -> None:
    make, copy, move = target.stage
    with (
        transaction.atomic(savepoint=False),
        connection.cursor() as cursor,
    ):  # at its end the staged rows are gone
        cursor.execute(make)
        _copy(copy, target.types, rows)
        cursor.execute(move)


def _copy(statement: str, types: Sequence[str], rows: Iterable[Values]) -> None:
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copy,
    ):
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
