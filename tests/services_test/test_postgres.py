"""The private PostgreSQL: not as root, with a password, durable across kill -9, and gone after close."""

import pwd
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.services.postgres import PostgresServer
from tests.services.proc import wait_until
from tests.services_test.processes import process_tree, still_running


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as postgres:
        yield postgres


def _segments_made_by(pids: set[int]) -> list[str]:
    """Rows of the System V segments that these processes made: other servers on this machine come and go."""
    head, *rows = Path("/proc/sysvipc/shm").read_text().splitlines()
    creator = head.split().index("cpid")
    return [row for row in rows if int(row.split()[creator]) in pids]


def test_a_commit_survives_kill_minus_nine(server: PostgresServer) -> None:
    with psycopg.connect(server.create_database("survivor")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    server.kill()
    server.start()

    with psycopg.connect(server.database_url("survivor")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_restart_keeps_address_and_data(server: PostgresServer) -> None:
    address = server.url
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE restarted AS SELECT 1 AS one")

    server.restart()

    assert server.url == address
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT one FROM restarted").fetchall() == [(1,)]


def test_a_wrong_password_is_refused(server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace(server.password, "guess"))


def test_commits_are_flushed_unless_the_server_was_asked_not_to(server: PostgresServer) -> None:
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchall() == [("on",)]
        assert connection.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_it_never_runs_as_root(server: PostgresServer) -> None:
    owner = Path(f"/proc/{server.process.pid}").stat().st_uid

    assert pwd.getpwuid(owner).pw_name != "root"


def test_it_leaves_no_process_no_file_and_no_shared_memory_even_after_kill_minus_nine() -> None:
    server = PostgresServer(durable=False).start()
    family, directory = process_tree(server.process.pid), server.directory
    pids = {process.pid for process in family}
    made = _segments_made_by(pids)

    server.kill()
    wait_until(lambda: not still_running(family), timeout_s=10, what="PostgreSQL's children noticed")
    server.close()

    assert len(family) > 1
    assert len(made) == 1
    assert not directory.exists()
    assert _segments_made_by(pids) == []
