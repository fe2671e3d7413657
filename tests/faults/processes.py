"""The platform's processes of a run, by name: started, watched, and started anew after they were hit."""

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.proc import ManagedProcess, ServiceError, child_environment

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 240.0
RELAYS = ("relay-1", "relay-2")
CONSUMERS = ("consume-1", "consume-2")
_CELERY = ("-m", "celery", "-A", "esm")
_COMMANDS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(RELAYS, ("manage.py", "relay")),
    **dict.fromkeys(CONSUMERS, ("manage.py", "consume")),
    "worker": (
        *_CELERY,
        "worker",
        "--loglevel",
        "INFO",
        "--concurrency",
        "1",
        "--without-gossip",
        "--without-mingle",
    ),
    "beat": (*_CELERY, "beat", "--loglevel", "INFO", "--schedule", "{directory}/beat-schedule"),
}
_READY: Mapping[str, str] = {
    "relay": r"relay: running",
    "consume": r"consume: running",
    "worker": r"celery@\S+ ready",
    "beat": r"beat: Starting",
}


class Processes:
    """Every name runs once; `start` waits until it is ready."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, ManagedProcess] = {}
        self._commands: dict[str, tuple[Sequence[str], str]] = {
            name: (words, _READY[name.partition("-")[0]]) for name, words in _COMMANDS.items()
        }

    def define(self, name: str, words: Sequence[str], ready: str) -> None:
        """One more process: what follows `python`, and the line that says that it is ready."""
        self._commands[name] = (words, ready)

    def names(self) -> list[str]:
        """All processes of the run."""
        return list(self._commands)

    def __getitem__(self, name: str) -> ManagedProcess:
        return self._running[name]

    def launch(self, name: str) -> None:
        """Start without waiting."""
        words, _ = self._commands[name]
        self._running[name] = ManagedProcess(
            name,
            [sys.executable, *(word.format(directory=self._directory) for word in words)],
            log_file=self._directory / f"{name}.log",
            env=child_environment(DJANGO_SETTINGS_MODULE="esm.settings", PYTHONUNBUFFERED="1"),
            cwd=ROOT,
        )

    def await_ready(self, name: str) -> None:
        """Wait for the line that says so; ServiceError when it ends before."""
        self._running[name].wait_for_line(self._commands[name][1], START_S)

    def start(self, *names: str) -> None:
        """Start these together and wait for all of them."""
        for name in names:
            self.launch(name)
        for name in names:
            self.await_ready(name)

    def holder_of(self, pid: int) -> str:
        """The name of the process with this id, '' when it is none of ours."""
        return next((name for name, process in self._running.items() if process.pid == pid), "")

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run."""
        return {name: process.pid for name, process in self._running.items() if process.running}

    def dead(self) -> list[str]:
        """Names whose process has ended without being asked to."""
        return [name for name, process in self._running.items() if not process.running]

    def retire(self, name: str) -> None:
        """Ask one to stop for good; ServiceError when it does not end in order."""
        code = self._running.pop(name).terminate(30.0)
        del self._commands[name]
        if code != 0:
            raise ServiceError(f"{name}: exit code {code} at its end")

    def stop(self) -> dict[str, int]:
        """Ask all to stop; their exit codes."""
        for process in self._running.values():
            if process.running:
                process.signal(signal.SIGTERM)
        return {name: process.wait(30.0) for name, process in self._running.items()}

    def kill(self) -> None:
        """End all at once."""
        for process in self._running.values():
            if process.running:
                process.kill()
