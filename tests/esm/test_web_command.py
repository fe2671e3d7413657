"""`manage.py web` as a process of its own."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.services.proc import (
    ManagedProcess,
    child_environment,
    free_port,
    remove_directory,
    scratch_directory,
)


@contextmanager
def web(**changes: str) -> Iterator[tuple[ManagedProcess, str]]:
    """The running command and its base URL."""
    directory, port = scratch_directory("web"), free_port()
    command = [sys.executable, "manage.py", "web", "--port", str(port)]
    # pytest runs under settings that start a database of their own: the command has to see the real ones.
    env = child_environment(DJANGO_SETTINGS_MODULE="esm.settings", **changes)
    process = ManagedProcess("web", command, log_file=directory / "log", env=env)
    try:
        process.wait_for_line(f"listening on http://127.0.0.1:{port}", 30)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        remove_directory(directory)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_and_ends_with_0(how: signal.Signals) -> None:
    with web() as (process, base):
        assert httpx.get(f"{base}/healthz").json() == {"status": "ok"}
        process.signal(how)
        assert process.wait(20) == 0


def test_without_its_database_it_lives_is_not_ready_and_answers_503(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    nowhere = tmp_path_factory.mktemp("gone") / "no-such-directory" / "esm.sqlite3"
    with web(ESM_MODE="embedded", DATABASE_URL=f"sqlite:///{nowhere}") as (process, base):
        token = httpx.post(f"{base}/trading/token", json={"clientId": "a", "clientSecret": "hunter2"})
        assert (token.status_code, token.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert token.headers["Retry-After"] == "2"
        assert httpx.get(f"{base}/readyz").json()["checks"] == {"database": "unavailable"}
        assert httpx.get(f"{base}/healthz").status_code == 200
        process.wait_for_line("journal_failed", 10)
        assert "hunter2" not in process.output()


def test_a_port_that_is_taken_ends_the_command_with_the_reason() -> None:
    with web() as (_, base):
        directory = scratch_directory("web-second")
        command = [sys.executable, "manage.py", "web", "--port", base.rpartition(":")[2]]
        second = ManagedProcess("second", command, log_file=directory / "log", env=child_environment())
        assert second.wait(30) == 1
        assert "can't listen on 127.0.0.1" in second.output()
        remove_directory(directory)
