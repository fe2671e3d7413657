"""Cleans up after a test run that died without a word (kill -9, a crash): a tiny process that outlives it.

The run tells the reaper over a pipe which process groups and directories it owns. When the pipe closes,
whatever is still registered is stopped and removed. A run that ends well has nothing registered by then. A
death signal (PR_SET_PDEATHSIG) would not do: it follows the thread that started the server, and it leaves
the directories.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

GRACE_S = 5.0


def live_members(group: int) -> list[int]:
    """Process ids of a group that still run; zombies, which only wait for their parent, do not count."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # ended while we looked
            continue
        if int(pgrp) == group and state not in "ZX":
            members.append(int(stat.parent.name))
    return members


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when the group is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


class Reaper:
    """The side of the test run: starts the helper at the first registration."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[str] | None = None

    def watch_group(self, group: int, stop_signal: signal.Signals) -> None:
        """From now on the group dies with this process; `stop_signal` is tried before SIGKILL."""
        self._tell(f"+group {group} {int(stop_signal)}")

    def forget_group(self, group: int) -> None:
        self._tell(f"-group {group}")

    def watch_directory(self, directory: Path) -> None:
        """From now on the directory is removed with this process."""
        self._tell(f"+directory {directory}")

    def forget_directory(self, directory: Path) -> None:
        self._tell(f"-directory {directory}")

    def close(self) -> None:
        """Let the helper do what is left, and wait for it."""
        if self._helper is None:
            return
        helper, self._helper = self._helper, None
        assert helper.stdin is not None
        helper.stdin.close()
        helper.wait(timeout=GRACE_S * 4)

    def _tell(self, line: str) -> None:
        if self._helper is None:
            self._helper = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            atexit.register(self.close)
        assert self._helper.stdin is not None
        self._helper.stdin.write(line + "\n")
        self._helper.stdin.flush()


REAPER = Reaper()


def reap(orders: TextIO) -> None:
    """The helper's side: read registrations until the pipe closes, then stop and remove what is left."""
    groups: dict[int, int] = {}
    directories: set[str] = set()
    for line in orders:
        verb, _, rest = line.strip().partition(" ")
        if verb == "+group":
            group, number = rest.split()
            groups[int(group)] = int(number)
        elif verb == "-group":
            groups.pop(int(rest), None)
        elif verb == "+directory":
            directories.add(rest)
        elif verb == "-directory":
            directories.discard(rest)
    _stop_groups(groups)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _stop_groups(groups: dict[int, int]) -> None:
    for group, number in groups.items():
        signal_group(group, number)
    deadline = time.monotonic() + GRACE_S
    while any(live_members(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in groups:
        signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reap(sys.stdin)
