"""The platform's processes as an installation runs them, and a voice of Voke's that speaks beside what is measured.

Only the connections that are asked for are served while processes run: what other rows left is of no concern.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chorus import Song
from bench.world import START, Side, World
from plants.models import Connection, LinkHealth, LinkState
from tests.services.proc import ManagedProcess, ServiceError, wait_until

ROOT = Path(__file__).resolve().parent.parent
STOPPED_WITHIN_S = 30.0
_CELERY = ("-m", "celery", "-A", "esm")
COMMANDS: Mapping[str, Sequence[str]] = {
    "relay": ("manage.py", "relay"),
    "consume": ("manage.py", "consume"),
    "worker": (
        *_CELERY, "worker", "--loglevel", "WARNING", "--concurrency", "2", "--without-gossip", "--without-mingle",
        "--queues", "ticks",
    ),
    "slow-worker": (
        *_CELERY, "worker", "--loglevel", "WARNING", "--concurrency", "2", "--without-gossip", "--without-mingle",
        "--queues", "slow-ticks",
    ),
    "beat": (*_CELERY, "beat", "--loglevel", "WARNING"),
}  # fmt: skip
_ROLES = {"relay": LinkHealth.Role.PUBLISH, "consume": LinkHealth.Role.CONSUME}


@contextmanager
def processes(world: World, sides: Sequence[Side], *names: str) -> Iterator[None]:
    """Processes of COMMANDS (a name as often as it should run) until the block ends; their links stand."""
    ours = [side.connection.pk for side in sides]
    others = Connection.objects.exclude(pk__in=ours).filter(retired_at__isnull=True)
    retired = list(others.values_list("pk", flat=True))
    LinkHealth.objects.filter(connection_id__in=ours).delete()
    Connection.objects.filter(pk__in=retired).update(retired_at=START)
    try:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(TemporaryDirectory()))
            started: list[ManagedProcess] = []
            stack.callback(_stop, started)
            started += (_start(world, name, scratch, number) for number, name in enumerate(names))
            for name, role in _ROLES.items():
                _await_links(ours, role, names.count(name) * len(ours), started)
            yield
    finally:
        Connection.objects.filter(pk__in=retired).update(retired_at=None)


def _start(world: World, name: str, scratch: Path, number: int) -> ManagedProcess:
    words = list(COMMANDS[name])
    if name == "beat":
        words += ["--schedule", str(scratch / "schedule")]
    return ManagedProcess(
        name,
        [*(("nice", "--adjustment=10") if name == "slow-worker" else ()), sys.executable, *words],
        log_file=scratch / f"{name}-{number}.log",
        env={"PATH": os.environ["PATH"], "PULSE_DIR": str(scratch), **world.environment},
        cwd=ROOT,
    )


def _stop(started: Sequence[ManagedProcess]) -> None:
    """All at the same time; raises ServiceError when one has to be killed."""
    for process in started:
        if process.running:
            process.signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(STOPPED_WITHIN_S)
        except ServiceError:
            for other in started:
                if other.running:
                    other.kill()
            raise


def _await_links(
    connections: Sequence[int], role: LinkHealth.Role, count: int, started: Sequence[ManagedProcess]
) -> None:
    links = LinkHealth.objects.filter(connection_id__in=connections, role=role, state=LinkState.CONNECTED)

    def connected() -> bool:
        for process in started:
            if not process.running:
                raise process.error(f"ended (exit {process.returncode})")
        return links.count() >= count

    wait_until(connected, timeout_s=90, what=f"{count} links of {role} are connected")


@contextmanager
def speaking(song: Song) -> Iterator[None]:
    """Voke speaks beside the block, from a process of its own; it has begun, and is silenced at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.chorus"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdin is not None and child.stdout is not None
    with child:
        try:
            child.stdin.write(json.dumps(asdict(song)) + "\n")
            child.stdin.flush()
            if child.stdout.readline().strip() != "speaking":
                raise RuntimeError("Voke's voice did not begin")
            yield
            if child.poll() is not None:
                raise RuntimeError("Voke's voice ended too early")
        finally:
            child.kill()
