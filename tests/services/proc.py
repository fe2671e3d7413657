"""Child processes for tests: an own group each, output awaited line by line, stopped without remains."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.services.reaper import REAPER, live_members, signal_group

# Below Linux's range for outgoing connections, so that none of them takes a port between choice and use. Runs side by
# side are each given a part of it (TEST_PORTS=first-last).
_FIRST, _, _LAST = os.environ.get("TEST_PORTS", "20000-29999").partition("-")
PORT_RANGE = range(int(_FIRST), int(_LAST) + 1)
MAX_LINES = 20_000
AN_AGE_S = 25.0
"""What ends by itself has ended by then on the slowest machine; what hangs has not."""
_handed_out: set[int] = set()


class ServiceError(RuntimeError):
    """A test server or process did not do what the test waits for; the text ends with its last output."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on; never the same one twice within this run."""
    for port in random.sample(PORT_RANGE, k=len(PORT_RANGE)):
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise ServiceError(f"no free TCP port between {_FIRST} and {_LAST}")


def scratch_directory(name: str) -> Path:
    """A new temporary directory that is removed by `remove_directory`, or by the reaper if the run dies."""
    directory = Path(tempfile.mkdtemp(prefix=f"esm-test-{name}-"))
    REAPER.watch_directory(directory)
    return directory


def remove_directory(directory: Path) -> None:
    """Remove a directory made by `scratch_directory`."""
    shutil.rmtree(directory, ignore_errors=False)
    REAPER.forget_directory(directory)


class ManagedProcess:
    """A child process in its own process group (Ctrl-C does not reach it) whose output can be awaited.

    Output (stdout and stderr together) goes to `log_file`; `wait_for_line` searches the last 20,000 lines.
    `stop_signal` is what `terminate` sends to the process itself; `user` switches to that account (root
    only).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._stop_signal = stop_signal
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._count = 0
        self._ended = False
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [str(word) for word in argv],
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        REAPER.watch_group(self.pid, stop_signal)
        self._reader = threading.Thread(target=self._read_output, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def mark(self) -> int:
        """The number of lines seen so far, as `after` of a later `wait_for_line`."""
        with self._news:
            return self._count

    def wait_for_line(self, pattern: str, timeout_s: float, *, after: int = 0) -> re.Match[str]:
        """The first line (from number `after` on) that matches; ServiceError on timeout or early end."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                first = self._count - len(self._lines)
                for number, line in enumerate(self._lines, start=first):
                    if number >= after and (found := regex.search(line)):
                        return found
                after = max(after, self._count)
                if self._ended:
                    raise self.error(f"ended (exit {self.returncode}) without a line matching {pattern!r}")
                if (
                    not self._news.wait(max(0.0, deadline - time.monotonic()))
                    and time.monotonic() >= deadline
                ):
                    raise self.error(f"no line matching {pattern!r} within {timeout_s:g} s")

    def output(self) -> str:
        """What it wrote so far, up to the last 20,000 lines."""
        with self._news:
            return "\n".join(self._lines)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end and its last output; the exit code."""
        try:
            code = self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise self.error(f"still running after {timeout_s:g} s") from None
        self._settle()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        self._process.send_signal(number)

    def terminate(self, timeout_s: float = 60.0) -> int:
        """Ask it to stop and wait; ServiceError (after SIGKILL) when it does not; the exit code."""
        self.signal(self._stop_signal)
        try:
            return self.wait(timeout_s)
        except ServiceError:
            self.kill()
            raise

    def kill(self) -> int:
        """SIGKILL to the whole group; the exit code of the process."""
        signal_group(self.pid, signal.SIGKILL)
        code = self._process.wait(timeout=60)
        self._settle()
        return code

    def error(self, what: str) -> ServiceError:
        """An error that names the process and shows its last lines."""
        with self._news:
            tail = "\n".join(list(self._lines)[-25:])
        return ServiceError(f"{self.name}: {what}; last output:\n{tail}")

    def _settle(self) -> None:
        """After the process ended: end what it left in its group, collect the rest of the output."""
        signal_group(self.pid, signal.SIGKILL)
        wait_until(lambda: not live_members(self.pid), timeout_s=60, what=f"the group of {self.name} is gone")
        self._reader.join(timeout=60)
        REAPER.forget_group(self.pid)

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream, self.log_file.open("ab") as log:
            for line in stream:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._count += 1
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def wait_until(
    probe: Callable[[], object],
    *,
    timeout_s: float,
    what: str,
    process: ManagedProcess | None = None,
    interval_s: float = 0.02,
) -> None:
    """Ask `probe` until it is true; ServiceError when the time is over or when `process` ends before."""
    deadline = time.monotonic() + timeout_s
    never = threading.Event()
    while not probe():
        if process is not None and not process.running:
            raise process.error(f"ended (exit {process.returncode}) before: {what}")
        if time.monotonic() >= deadline:
            text = f"not within {timeout_s:g} s: {what}"
            raise process.error(text) if process is not None else ServiceError(text)
        never.wait(interval_s)


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, for a child."""
    return {**os.environ, **changes}
