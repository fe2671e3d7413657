"""Slows guessing down: after some free attempts each further one waits twice as long as the one before.

An attempt is counted before it is looked at, so attempts that run side by side can't outrun the count; a right one
is taken back. While one waits, right and wrong are refused alike, or waiting would stop nobody.

What is counted: the account that was typed (whether it exists or not), the network address, and instead of both the
browser, where the person has signed in with it before. So a stranger who fails on purpose makes the person wait at a
new browser only, and people behind one address are not locked out of theirs by a neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.db import transaction

from people.digests import current_pepper, digest
from people.models import AttemptCount

FIRST_WAIT_S = 30


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One thing that attempts are counted for.

    `free` attempts cost nothing, a wait is at most `longest_s`, and the count begins anew after `window_s`.
    `shared`: others pass here too, so that one right attempt does not forgive the wrong ones.
    """

    kind: str
    value: str
    free: int
    longest_s: int = 900
    window_s: int = 900
    shared: bool = False

    @property
    def key(self) -> str:
        """What the row is found by."""
        return digest(purpose=f"attempts:{self.kind}", text=self.value, version=current_pepper())


def admit(*, gates: Sequence[Gate], at: datetime) -> int:
    """Count one attempt at every gate; answers 0, or for how many seconds nothing is looked at (nothing is counted)."""
    by_key = {gate.key: gate for gate in gates}
    with transaction.atomic():
        AttemptCount.objects.bulk_create(
            [AttemptCount(key=key, failures=0, since=at) for key in sorted(by_key)], ignore_conflicts=True
        )
        rows = list(AttemptCount.objects.select_for_update().filter(pk__in=by_key).order_by("pk"))
        wait = max((_wait_s(row, at) for row in rows), default=0)
        if wait:
            return wait
        for row in rows:
            _count(row, by_key[row.key], at)
            row.save(update_fields=["failures", "since", "blocked_until"])
    return 0


def forgive(*, gates: Sequence[Gate]) -> None:
    """The attempt was right: own gates forget everything, shared ones this attempt."""
    AttemptCount.objects.filter(pk__in=[gate.key for gate in gates if not gate.shared]).delete()
    with transaction.atomic():
        shared = {gate.key: gate for gate in gates if gate.shared}
        for row in AttemptCount.objects.select_for_update().filter(pk__in=shared).order_by("pk"):
            row.failures = max(0, row.failures - 1)
            if row.failures < shared[row.key].free:
                row.blocked_until = None
            row.save(update_fields=["failures", "blocked_until"])


def prune_attempts(*, at: datetime) -> int:
    """Drop counts that are a day old; answers how many."""
    return AttemptCount.objects.filter(since__lt=at - timedelta(days=1, hours=1)).delete()[0]


def _wait_s(row: AttemptCount, at: datetime) -> int:
    if row.blocked_until is None or row.blocked_until <= at:
        return 0
    return ceil((row.blocked_until - at).total_seconds())


def _count(row: AttemptCount, gate: Gate, at: datetime) -> None:
    if at - row.since > timedelta(seconds=gate.window_s):
        row.failures, row.since = 0, at
    row.failures += 1
    beyond = row.failures - gate.free
    row.blocked_until = (
        None
        if beyond < 0
        else at + timedelta(seconds=min(FIRST_WAIT_S * 2 ** min(beyond, 20), gate.longest_s))
    )
