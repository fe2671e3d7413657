"""PostgreSQL's own programs around the database of the settings: pg_dump, pg_restore and psql.

The password goes to them by their environment, never by the command line; what they say is shown without passwords.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from psycopg import conninfo

from plants.redaction import scrub

_LAST_WORDS = 2000
# Of Django's own; the rest of OPTIONS is libpq's.
_NOT_LIBPQ = frozenset({"pool", "options", "isolation_level", "assume_role", "server_side_binding"})


class ToolFailed(Exception):
    """A program is missing, too old, or failed; the text says which, why, and what to do."""


class Database:
    """The database of an alias, as psycopg and PostgreSQL's programs want it told."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        if "postgresql" not in str(facts["ENGINE"]):
            raise ToolFailed(
                "only PostgreSQL; an embedded installation is stopped and its folder var/ copied"
            )
        self.name = str(facts["NAME"])
        self._password = str(facts.get("PASSWORD") or "")
        given = {
            "host": facts.get("HOST"),
            "port": facts.get("PORT"),
            "user": facts.get("USER"),
            "dbname": self.name,
            **{key: value for key, value in facts.get("OPTIONS", {}).items() if key not in _NOT_LIBPQ},
        }
        self.address = conninfo.make_conninfo("", **{key: value for key, value in given.items() if value})

    @contextmanager
    def session(self) -> Iterator["psycopg.Connection[Any]"]:
        """A session of its own, without the time limits of the platform's; raises ToolFailed when there is none."""
        try:
            made = psycopg.connect(self.address, password=self._password or None, autocommit=True)
        except psycopg.Error as error:
            raise ToolFailed(
                f"the database {self.name} can't be reached: {scrub(str(error)).strip()}"
            ) from None
        with made as session:
            yield session

    def environment(self) -> dict[str, str]:
        """For the programs: this process's, and the password."""
        return {**os.environ, "PGPASSWORD": self._password} if self._password else dict(os.environ)


def configured_database() -> Database:
    """The database of the settings."""
    return Database(settings.DATABASES["default"])


def tool(name: str, *, server_version: int) -> str:
    """Path of one of PostgreSQL's programs that is not older than the server (major version)."""
    found = shutil.which(name)
    if found is None:
        raise ToolFailed(f"{name} is not installed: it comes with PostgreSQL's client package")
    asked = [found, "--version"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
    match = re.search(r"\) (\d+)", told)
    version = int(match[1]) if match else 0
    if version < server_version:
        raise ToolFailed(
            f"{name} is of version {version}, the server of {server_version}: install a newer one"
        )
    return found


def run(argv: Sequence[str], *, database: Database, timeout_s: float) -> None:
    """Run a program to its end; `ToolFailed` with its last words when it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - our own programs and arguments, no shell
            argv,
            env=database.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{Path(argv[0]).name}: not done within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise ToolFailed(_why(argv, done.returncode, done.stderr))


def pipe(
    source: Sequence[str],
    sink: Sequence[str],
    *,
    before: bytes,
    after: bytes,
    database: Database,
    log: IO[bytes],
    timeout_s: float,
) -> None:
    """Feed `before`, everything that `source` writes, and `after` to `sink`; `after` only when `source` went well.

    Both programs' words go to `log` (a file that can be read back). Raises `ToolFailed`; then `sink` never saw `after`.
    """
    environment = database.environment()
    with (
        subprocess.Popen(  # noqa: S603
            source, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment
        ) as first,
        subprocess.Popen(  # noqa: S603
            sink, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, env=environment
        ) as second,
    ):
        timer = threading.Timer(timeout_s, _kill_both, (first, second))
        timer.start()
        try:
            _feed(first, second, before=before, after=after)
        finally:
            codes = (first.wait(), second.wait())
            timer.cancel()
    if any(codes):
        log.seek(0)
        failed = sink if codes[1] else source
        raise ToolFailed(_why(failed, max(codes, key=abs), log.read()))


def _kill_both(first: "subprocess.Popen[bytes]", second: "subprocess.Popen[bytes]") -> None:
    first.kill()
    second.kill()


def _feed(
    first: "subprocess.Popen[bytes]", second: "subprocess.Popen[bytes]", *, before: bytes, after: bytes
) -> None:
    assert first.stdout is not None
    assert second.stdin is not None
    try:
        second.stdin.write(before)
        shutil.copyfileobj(first.stdout, second.stdin, 1 << 20)
        if first.wait() == 0:
            second.stdin.write(after)
        second.stdin.close()
    except BrokenPipeError:  # the sink gave up; its words say why
        first.kill()


def _why(argv: Sequence[str], code: int, words: bytes) -> str:
    said = scrub(words.decode("utf-8", "replace")[-_LAST_WORDS:].strip())
    return f"{Path(argv[0]).name} failed (exit {code}): {said}"
