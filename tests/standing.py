"""Rows that a whole module of tests looks at: made once, and gone with the module.

What a test itself writes is undone behind it as ever: its transaction lies within the one here. Only for modules
without tests that commit (`transactional_db`, `live_server`).
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, TypeVar

from django.db import transaction
from pytest_django import DjangoDbBlocker

from esm import clock

T = TypeVar("T")


class Standing(Generic[T]):
    """What was made; each test takes a copy of its own, as the rows are in the database."""

    def __init__(self, made: T) -> None:
        self._made = made

    def copy(self) -> T:
        """Objects that no other test changes."""
        return copy.deepcopy(self._made)


@contextmanager
def standing(blocker: DjangoDbBlocker, make: Callable[[], T], *, at: datetime) -> Iterator[Standing[T]]:
    """Within the block the rows of `make()`, made at the instant `at`, are in the database.

    For a fixture of module scope that asks for `django_db_setup` and `django_db_blocker`.
    """
    outer = transaction.atomic()
    with blocker.unblock():
        outer.__enter__()
    try:
        with blocker.unblock(), clock.frozen(at):
            made = make()
        yield Standing(made)
    finally:
        with blocker.unblock():
            transaction.set_rollback(True)
            outer.__exit__(None, None, None)
