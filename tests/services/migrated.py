"""Empty databases that hold every migration, without the minutes that the migrations take.

All migrations run once for each state of their code; what they made is kept as one file (`.pytest_cache/migrated` of
this checkout) and put into every later test database. Runs side by side wait for the one that makes the file. Whatever
could change the result is in the file's name: the migrations, what they import from our rooms, the settings, the pinned
packages, the version of PostgreSQL. `tests/process` still migrates from nothing on both databases: as an installation
does (test_compose), and as a newcomer's demo (test_demo).
"""

import fcntl
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scripts.production_env import production_environment
from tests.services.missing import require
from tests.services.postgres import PostgresServer
from tests.services.proc import ServiceError

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / ".pytest_cache" / "migrated"
MIGRATE_S = 600
RESTORE_S = 120
FILES_KEPT = 4
"""Of each kind: other states of the code, of other branches."""
_OWN_IMPORT = re.compile(r"^(?:from|import) (\w+(?:\.\w+)*)", re.MULTILINE)


def copy_migrated_sqlite(file: Path) -> None:
    """Make `file` an SQLite database with every migration in it, for its owner alone."""
    with _locked("sqlite3"):
        kept = KEPT / f"{state_on_sqlite()}.sqlite3"
        if not kept.exists():
            draft = kept.with_name("draft.sqlite3")
            for left in KEPT.glob("draft.sqlite3*"):  # of a run that was killed
                left.unlink()
            run_migrate(f"sqlite:///{draft}", ESM_MODE="embedded", REDIS_URL="")
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")  # one file, without a journal beside it
            _keep(draft, kept)
        shutil.copyfile(kept, file)
        file.chmod(0o600)


def add_migrated_database(server: PostgresServer, name: str) -> str:
    """Make a database on the running server with every migration in it; its address."""
    with _locked("sql"):
        kept = KEPT / f"{state_on_postgres()}.sql"
        if not kept.exists():
            draft = kept.with_name("draft.sql")
            run_migrate(server.create_database("migrating"))
            draft.write_text(dump(server, "migrating"))
            server.drop_database("migrating")
            _keep(draft, kept)
        address = server.create_database(name)
        _run(
            [
                require("postgresql") / "psql", "--quiet", "--no-psqlrc", "--single-transaction",
                "--set=ON_ERROR_STOP=1", "--output", os.devnull, "--file", kept, address,
            ],
            RESTORE_S,
        )  # fmt: skip
    return address


def dump(server: PostgresServer, database: str) -> str:
    """Everything that is in a database, as the SQL that makes it anew."""
    return _run([require("postgresql") / "pg_dump", "--no-owner", server.database_url(database)], RESTORE_S)


def run_migrate(database_url: str, **changes: str) -> None:
    """All migrations into the database at this address, by `manage.py migrate` in a process of its own."""
    environment = production_environment(DATABASE_URL=database_url, **changes)
    words = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    _run(words, MIGRATE_S, {"PATH": os.environ["PATH"], **environment})


def state_on_sqlite() -> str:
    """The name of what the migrations make of an SQLite database."""
    return _state(sqlite3.sqlite_version)


def state_on_postgres() -> str:
    """The name of what the migrations make on the PostgreSQL that is installed."""
    return _state(str(require("postgresql")))


def _run(words: list[str | Path], timeout_s: float, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"{Path(words[0]).name} (exit {done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout


def _state(server: str) -> str:
    found = hashlib.sha256(f"{sys.version_info[:2]} {server}".encode())
    for file in sorted(_code(), key=str):
        found.update(str(file.relative_to(ROOT)).encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:32]


def _code() -> set[Path]:
    """The files that decide what the migrations make."""
    code = {ROOT / "requirements.txt", *ROOT.glob("esm/settings*.py")}
    waiting = list(ROOT.glob("*/migrations/*.py"))
    while waiting:
        file = waiting.pop()
        if file in code:
            continue
        code.add(file)
        for name in _OWN_IMPORT.findall(file.read_text(encoding="utf-8")):
            module = ROOT.joinpath(*name.split("."))
            waiting += [one for one in (module.with_suffix(".py"), module / "__init__.py") if one.exists()]
    return code


@contextmanager
def _locked(kind: str) -> Iterator[None]:
    """One at a time for each kind of file; the lock ends with the process that holds it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep(draft: Path, kept: Path) -> None:
    """Complete or not at all; the oldest of too many go."""
    os.replace(draft, kept)
    files = sorted(KEPT.glob(f"*{kept.suffix}"), key=lambda file: file.stat().st_mtime)
    for file in files[:-FILES_KEPT]:
        file.unlink()
