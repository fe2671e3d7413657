"""Child processes are awaited by what they write and leave nothing when they are stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.proc import ManagedProcess, ServiceError, free_port, wait_until
from tests.services_test.processes import process_tree, still_running

GREETER = "import signal, sys; print('ready 7', flush=True); signal.pause()"
# A child that ignores SIGTERM and has a child of its own.
STUBBORN = (
    "import signal, subprocess, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print('ready', flush=True)\n"
    "signal.pause()\n"
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[ManagedProcess]]:
    """A list whose processes are killed after the test."""
    processes: list[ManagedProcess] = []
    yield processes
    for process in processes:
        process.kill()


def _python(code: str, tmp_path: Path) -> ManagedProcess:
    return ManagedProcess("python", [sys.executable, "-c", code], log_file=tmp_path / "out.log")


def test_a_line_of_output_is_awaited_and_its_groups_are_handed_back(
    tmp_path: Path, started: list[ManagedProcess]
) -> None:
    started.append(_python(GREETER, tmp_path))

    found = started[0].wait_for_line(r"ready (\d)", timeout_s=10)

    assert found.group(1) == "7"
    assert (tmp_path / "out.log").read_text() == "ready 7\n"


def test_waiting_for_a_line_fails_at_once_when_the_process_ends_without_it(
    tmp_path: Path, started: list[ManagedProcess]
) -> None:
    started.append(_python("print('the reason')", tmp_path))

    with pytest.raises(ServiceError, match="the reason"):
        started[0].wait_for_line("never", timeout_s=60)


def test_waiting_for_a_line_ends_with_its_time(tmp_path: Path, started: list[ManagedProcess]) -> None:
    started.append(_python(GREETER, tmp_path))

    with pytest.raises(ServiceError, match=r"within 0\.1 s"):
        started[0].wait_for_line("never", timeout_s=0.1)


def test_lines_before_the_mark_do_not_count(tmp_path: Path, started: list[ManagedProcess]) -> None:
    started.append(_python(GREETER, tmp_path))
    started[0].wait_for_line("ready", timeout_s=10)

    with pytest.raises(ServiceError):
        started[0].wait_for_line("ready", timeout_s=0.1, after=started[0].mark())


def test_terminate_stops_in_an_orderly_way_and_tells_the_exit_code(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); print('up', flush=True)"
    )
    process = _python(f"{code}; signal.pause()", tmp_path)
    process.wait_for_line("up", timeout_s=10)

    assert process.terminate() == 3


def test_a_process_that_ignores_the_stop_signal_is_killed_with_its_children_and_reported(
    tmp_path: Path,
) -> None:
    process = _python(STUBBORN, tmp_path)
    process.wait_for_line("ready", timeout_s=10)
    family = process_tree(process.pid)

    with pytest.raises(ServiceError, match="still running"):
        process.terminate(timeout_s=0.2)

    assert len(family) == 2
    assert still_running(family) == set()


def test_a_signal_to_the_test_runs_group_does_not_reach_the_child(
    tmp_path: Path, started: list[ManagedProcess]
) -> None:
    started.append(_python(GREETER, tmp_path))

    assert os.getpgid(started[0].pid) == started[0].pid != os.getpgid(0)


def test_a_free_port_is_never_handed_out_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50


def test_a_killed_test_run_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    """The run gets SIGKILL while its server lives: only the reaper is left to clean up."""
    script = (
        "import signal\n"
        "from tests.services.redis import RedisServer\n"
        "server = RedisServer().start()\n"
        "print('server', server.process.pid, server.directory, flush=True)\n"
        "signal.pause()\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run.stdout:
        _, pid, directory = run.stdout.readline().split()
    family = process_tree(int(pid))

    run.send_signal(signal.SIGKILL)
    run.wait(timeout=10)

    wait_until(lambda: not still_running(family), timeout_s=20, what="the server is gone")
    wait_until(lambda: not Path(directory).exists(), timeout_s=20, what="the directory is gone")
