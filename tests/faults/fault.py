"""What a fault is: `strike` breaks something and awaits that it is broken, `heal` puts it right; one class each.

Edge cases: a strike that fails leaves what it did to `heal`, which therefore must work after any part of `strike`.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections

from tests.faults.load import Load
from tests.faults.sockets import owner_of
from tests.faults.stage import Stage
from tests.services.proc import ServiceError, wait_until
from tests.services.reaper import live_members

PATIENCE_S = 120.0
"""Long, since only what never comes takes so long: a machine with other work is five times as slow."""
T = TypeVar("T")
_DATABASE_TROUBLE = (DatabaseError, InterfaceError, psycopg.OperationalError)


@dataclass(kw_only=True)
class Scene:
    """Where a fault strikes; everything that it chooses is drawn from `rng`."""

    stage: Stage
    load: Load
    rng: random.Random


class Fault:
    """One kind of trouble. `name` is what the run prints."""

    name = ""

    def __init__(self, scene: Scene) -> None:
        self.stage = scene.stage
        self.load = scene.load
        self.rng = scene.rng

    def strike(self) -> None:
        """Break it."""
        raise NotImplementedError

    def heal(self) -> None:
        """Put it right; nothing to do for what is over by itself."""


REGISTRY: dict[str, Callable[[Scene], Fault]] = {}


def register(kind: type[Fault]) -> type[Fault]:
    """Make a fault one of those that runs are drawn from."""
    REGISTRY[kind.name] = kind
    return kind


def until(look: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Look until it is so; a database that is away at the moment is asked again."""
    wait_until(lambda: asked(look), timeout_s=within_s, what=what)


def asked(look: Callable[[], T]) -> T | None:
    """The answer, or None while the database can't give one."""
    close_old_connections()
    try:
        return look()
    except _DATABASE_TROUBLE:
        return None


def surely(look: Callable[[], T], what: str) -> T:
    """The answer, however often the database must be asked."""
    found: list[T] = []

    def once() -> bool:
        answer = asked(lambda: (look(),))
        if answer is not None:
            found.append(answer[0])
        return bool(found)

    wait_until(once, timeout_s=PATIENCE_S, what=what)
    return found[0]


@contextmanager
def waiting_in(stage: Stage, table: str, *names: str) -> Iterator[str]:
    """Hold a table until one of these processes waits for it in the middle of its work; answers which one."""
    with stage.database() as lock, stage.database() as watch, lock.transaction(force_rollback=True):
        lock.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        groups = {name: live_members(stage.processes[name].pid) for name in names}
        found: list[str] = []

        def look() -> bool:
            ports = watch.execute("SELECT client_port FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            found.extend(_owner(port, groups) for (port,) in ports.fetchall())
            found[:] = [name for name in found if name]
            return bool(found)

        wait_until(look, timeout_s=PATIENCE_S, what=f"{' or '.join(names)} in the middle of its work")
        yield found[0]


def _owner(port: int, groups: dict[str, list[int]]) -> str:
    for name, members in groups.items():
        if any(owner_of(port, pids={name: pid}) for pid in members):
            return name
    return ""


def must_be(found: Any, wanted: Any, what: str) -> None:
    """ServiceError when it is not so: the run fails, whatever the evidence says."""
    if found != wanted:
        raise ServiceError(f"{what}: {found!r} instead of {wanted!r}")
