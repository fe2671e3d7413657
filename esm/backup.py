"""A backup of the database: one dump, and a manifest that says what it holds and which keys it needs.

The dump is one consistent look at the database while everything runs: rows are counted and digested in the very
snapshot that pg_dump reads. Secrets in it are ciphertext: it is worth nothing without FIELD_KEYS, and everything with
them: keys are kept elsewhere (`manage.py backup_keys`), never beside the dump.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from esm.postgres_tools import Database, ToolFailed, run, tool

FORMAT = 1
# Texts of rows must not depend on who asks.
_PLAIN = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """Rows of one table, and the sum of their digests ("" = not asked for): the same whatever their order."""

    rows: int
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dump holds. Keys are told by version and fingerprint, never themselves."""

    format: int
    made_at: str
    dump: str
    sha256: str
    bytes: int
    database: str
    server: int
    migrations: tuple[str, ...]
    tables: Mapping[str, TableFacts]
    keys: Mapping[str, Mapping[str, str]]


def make_backup(
    *, directory: Path, at: datetime, database: Database, digests: bool, timeout_s: float
) -> tuple[Path, Manifest]:
    """Write `esm-TIME.dump` and `esm-TIME.json` (mode 0600) into the directory; answers the dump and its manifest.

    The dump appears under its name only when it is whole. Raises ToolFailed.
    """
    dump = directory / f"esm-{at:%Y%m%dT%H%M%SZ}.dump"
    manifest_file = manifest_of(dump)
    if dump.exists() or manifest_file.exists():
        raise ToolFailed(f"{dump} exists; it is not touched")
    partial = _private(dump.with_suffix(".partial"))
    try:
        with database.session() as session, session.transaction():
            facts = _open_snapshot(session)
            tables = table_facts(session, digests=digests)
            migrations = tuple(
                _column(session, "SELECT app || '.' || name FROM django_migrations ORDER BY 1")
            )
            argv = [
                tool("pg_dump", server_version=facts["server"]), "--format=custom", "--no-owner", "--no-privileges",
                f"--snapshot={facts['snapshot']}", "--lock-wait-timeout=30s", f"--file={partial}", database.address,
            ]  # fmt: skip
            run(argv, database=database, timeout_s=timeout_s)
        manifest = Manifest(
            format=FORMAT,
            made_at=at.isoformat(),
            dump=dump.name,
            sha256=sha256_of(partial),
            bytes=partial.stat().st_size,
            database=database.name,
            server=facts["server"],
            migrations=migrations,
            tables=tables,
            keys=key_fingerprints(),
        )
        _private(manifest_file).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
        partial.rename(dump)
    finally:
        partial.unlink(missing_ok=True)
    return dump, manifest


def read_manifest(file: Path) -> Manifest:
    """The manifest beside a dump; raises ToolFailed."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ToolFailed(f"{file} is of format {told['format']}, this code reads {FORMAT}")
        tables = {name: TableFacts(**facts) for name, facts in told.pop("tables").items()}
        return Manifest(**(told | {"tables": tables, "migrations": tuple(told["migrations"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolFailed(f"{file} can't be read as a manifest: {type(error).__name__}") from error


def manifest_of(dump: Path) -> Path:
    """Where the manifest of a dump is."""
    return dump.with_suffix(".json")


def table_facts(session: "psycopg.Connection[Any]", *, digests: bool) -> dict[str, TableFacts]:
    """Rows (and digest) of every table, partitions one by one; call within a transaction."""
    for statement in _PLAIN:
        session.execute(statement)
    names = _column(
        session,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
    # Half of each row's MD5 as a number, summed up: the order of rows does not matter, repeated rows count.
    digest = sql.SQL("coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0)::text")
    asked: sql.Composable = digest if digests else sql.SQL("''")
    found: dict[str, TableFacts] = {}
    for name in names:
        counting = sql.SQL("SELECT count(*), {} FROM ONLY public.{} t").format(asked, sql.Identifier(name))
        row = session.execute(counting).fetchone()
        assert row is not None
        found[name] = TableFacts(rows=row[0], digest=row[1])
    return found


def key_fingerprints() -> dict[str, dict[str, str]]:
    """{setting: {version: fingerprint}}: enough to find out, before a restore, that a key is another one."""
    return {
        name: {version: _fingerprint(name, key) for version, key in keys.items()}
        for name, keys in (("FIELD_KEYS", settings.FIELD_KEYS), ("SECRET_PEPPERS", settings.SECRET_PEPPERS))
    }


def sha256_of(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- keys -------------------------------------------------------------------------------------------------------------

KEY_SETTINGS = ("DJANGO_SECRET_KEY", "FIELD_KEYS", "SECRET_PEPPERS", "JWT_KEYS")


def keys_as_env(environ: Mapping[str, str]) -> str:
    """The installation's keys as lines of `.env`, read where the settings read them; raises ToolFailed."""
    lines = []
    for name in KEY_SETTINGS:
        value = environ.get(name)
        file = environ.get(f"{name}_FILE")
        try:
            text = value or (Path(file).read_text(encoding="utf-8").strip() if file else "")
        except OSError as error:
            raise ToolFailed(f"{name}_FILE can't be read: {error.strerror}") from error
        if not text or "\n" in text:
            raise ToolFailed(f"{name} is not set, or has more than one line")
        lines.append(f"{name}={text}\n")
    return "".join(lines)


def write_private(file: Path, text: str) -> None:
    """A new file for its owner alone; raises ToolFailed when it exists."""
    _private(file).write_text(text, encoding="utf-8")


# --- pieces -----------------------------------------------------------------------------------------------------------


def _open_snapshot(session: "psycopg.Connection[Any]") -> dict[str, Any]:
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    row = session.execute(
        "SELECT pg_export_snapshot(), current_setting('server_version_num')::int"
    ).fetchone()
    assert row is not None
    return {"snapshot": row[0], "server": row[1] // 10_000}


def _column(session: "psycopg.Connection[Any]", statement: str) -> list[str]:
    return [row[0] for row in session.execute(statement.encode()).fetchall()]


def _fingerprint(name: str, key: bytes) -> str:
    return hashlib.sha256(b"esm backup " + name.encode() + b" " + key).hexdigest()[:16]


def _private(file: Path) -> Path:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ToolFailed(f"{file} can't be written: {error.strerror}") from error
    return file
