"""A private PostgreSQL cluster on a free port of 127.0.0.1."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from tests.services.missing import require
from tests.services.proc import ManagedProcess, ServiceError, free_port
from tests.services.server import Server

USER = "esm"
# initdb and postgres refuse to run as root.
SERVER_ACCOUNT = "postgres"
# Much faster; a crash of the machine (not of the process) may corrupt the data: for tests that never kill it.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """`url` is what DATABASE_URL takes. With `durable` a commit survives `kill()`, as in production.

    Ready in about one second. `stop` is PostgreSQL's fast shutdown: clients are cut off.
    """

    name = "postgres"

    def __init__(self, *, durable: bool = True, max_connections: int = 200) -> None:
        super().__init__()
        self.port = free_port()
        self.password = secrets.token_urlsafe(24)
        self._settings = {"max_connections": str(max_connections), "log_checkpoints": "off"}
        if not durable:
            self._settings |= NOT_DURABLE

    @property
    def url(self) -> str:
        """Address of the database `esm`, valid before `start` too."""
        return self.database_url("esm")

    def database_url(self, database: str) -> str:
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """A new empty database; its address."""
        with psycopg.connect(
            self.database_url("postgres"), autocommit=True, connect_timeout=10
        ) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database that nobody uses."""
        with psycopg.connect(
            self.database_url("postgres"), autocommit=True, connect_timeout=10
        ) as connection:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    def prepare(self) -> None:
        if self._account:
            shutil.chown(self.directory, self._account, self._account)
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if self._account:
            shutil.chown(password_file, self._account, self._account)
        done = subprocess.run(
            [
                self._program("initdb"),
                "--pgdata",
                self._data,
                "--username",
                USER,
                "--pwfile",
                password_file,
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
                "--no-sync",
            ],
            cwd="/",
            user=self._account,
            group=self._account,
            extra_groups=[] if self._account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(f"initdb failed (exit {done.returncode}):\n{done.stdout[-2000:]}")

    def launch(self) -> ManagedProcess:
        settings = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            # Inside the data directory: a killed server leaves nothing in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
        }
        argv: list[str | Path] = [self._program("postgres"), "-D", self._data]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return ManagedProcess(
            self.name,
            argv,
            log_file=self.directory / "postgres.log",
            cwd=Path("/"),
            user=self._account,
            stop_signal=signal.SIGINT,
        )

    def answers(self) -> bool:
        """Whether it takes sessions; creates the database `esm` at the first time."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass  # libpq's refused connections cost more than this
            with psycopg.connect(
                self.database_url("postgres"), autocommit=True, connect_timeout=5
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'esm'").fetchone():
                    connection.execute("CREATE DATABASE esm")
            return True
        except (OSError, psycopg.OperationalError):
            return False

    def close(self) -> None:
        self.stop()
        if self._directory is not None:
            self._remove_shared_memory()
        super().close()

    @property
    def _account(self) -> str | None:
        return SERVER_ACCOUNT if os.geteuid() == 0 else None

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _program(self, name: str) -> Path:
        return require("postgresql") / name

    def _remove_shared_memory(self) -> None:
        """A killed postmaster leaves its System V segment, which line 7 of its pid file names."""
        pid_file = self._data / "postmaster.pid"
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        if len(lines) > 6 and lines[6].split():
            segment = lines[6].split()[1]
            subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True, timeout=10)
