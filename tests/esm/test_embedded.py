"""The tick thread of an embedded installation: whatever one tick meets, all of them come round again."""

import threading

import pytest
from django.db import InterfaceError, OperationalError

from dispatch.services.life import LostRace
from esm import embedded
from esm.ticks import TICKS
from tests.factories import AT


@pytest.mark.parametrize(
    "trouble",
    [OperationalError("away"), InterfaceError("closed"), LostRace("QUEUED -> SENT"), ValueError("ours")],
    ids=lambda one: type(one).__name__,
)
def test_a_tick_that_fails_stops_neither_the_others_nor_the_thread(monkeypatch, trouble):
    stop = threading.Event()
    called = []

    def fail(name, *, at):
        called.append(name)
        if len(called) == len(TICKS):
            stop.set()
        raise trouble

    monkeypatch.setattr(embedded, "run_tick", fail)

    embedded.run_ticks(stop, clock=lambda: AT)

    assert called == [tick.name for tick in TICKS]
