"""How a run of the roll-ups goes: chunk after chunk within a budget, each a transaction that no other runs beside."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from django.db import IntegrityError, connection, transaction

from plants.services.partitions import PartitionedTable, ensure_partitions, forget_known_partitions


class Budget:
    """The time that a run may take, from its making on."""

    def __init__(self, budget_s: float) -> None:
        self._ends = time.monotonic() + budget_s

    @property
    def spent(self) -> bool:
        """Whether the run ends here; the next one goes on."""
        return time.monotonic() >= self._ends

    def until_none(self, step: Callable[[], int]) -> int:
        """Repeat a step until it finds nothing to do or the budget is spent, at least once; the sum of its answers."""
        done = 0
        while count := step():
            done += count
            if self.spent:
                break
        return done


@contextmanager
def chunk_at_a_time(
    *, lock: int, days: Collection[date], tables: Sequence[PartitionedTable]
) -> Iterator[None]:
    """A transaction that nobody else's with this lock runs beside, after the partitions of these days were made.

    On SQLite a transaction has the database to itself anyway.
    """
    ensure_partitions(days=days, tables=tables)
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
            yield
    except IntegrityError:
        forget_known_partitions()  # another process may have dropped one: it is made again before the next chunk
        raise
