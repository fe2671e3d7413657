"""One look for all relays of a process, which still publish what becomes due."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError

from dispatch.selectors import connections_with_waiting
from dispatch.states import State
from link.doorbell import Doorbell
from link.relay import RelayOptions
from link.worker import run_worker
from link.workers import RelayWorker
from plants.models import Connection, ConnectionMode
from plants.services.connections import set_connection_dispatch
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode, state_of
from tests.factories import AT
from tests.link.fakes import CountedBackoff, FakePublisher, FakeTransport
from tests.queries import queries_of
from tests.threads import WITHIN_S, Aside, until


class Looks:
    """A look that counts how often it was taken, and a time that is set."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.taken = 0
        self.now_s = 0.0

    def look(self):
        self.taken += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def timer(self):
        return self.now_s


def test_all_who_ask_within_the_time_share_one_look():
    looks = Looks({1, 3})
    bell = Doorbell(looks.look, every_s=0.025, timer=looks.timer)

    heard = [bell.rings(number) for number in range(200)]

    assert [number for number, rings in enumerate(heard) if rings] == [1, 3]
    assert looks.taken == 1


def test_after_its_time_it_is_looked_again():
    looks = Looks(set(), {7})
    bell = Doorbell(looks.look, every_s=0.025, timer=looks.timer)
    before = bell.rings(7)
    looks.now_s = 0.025

    assert (before, bell.rings(7)) == (False, True)


def test_a_look_that_failed_is_taken_again_by_the_next_one_who_asks():
    looks = Looks(ValueError("away"), {7})
    bell = Doorbell(looks.look, every_s=0.025, timer=looks.timer)

    with pytest.raises(ValueError):
        bell.rings(7)

    assert bell.rings(7)


@pytest.mark.django_db
def test_only_connections_that_may_publish_and_have_something_to_are_called():
    waits, off, observes, empty = (factories.plant() for _ in range(4))
    for plant in (waits, off, observes):
        ask(plant, mode())
    set_connection_dispatch(connection_id=off.connection_id, enabled=False)
    Connection.objects.filter(pk=observes.connection_id).update(mode=ConnectionMode.OBSERVE)

    called = connections_with_waiting()
    deliver(waits.connection)

    assert called == {waits.connection_id}
    assert connections_with_waiting() == frozenset()
    assert empty.connection_id not in called


@pytest.mark.django_db
def test_the_look_is_one_query_however_many_connections_there_are():
    for _ in range(5):
        ask(factories.plant(), mode())

    assert queries_of(connections_with_waiting) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("called", "state"), [(True, State.SENT), (False, State.QUEUED)])
def test_a_relay_publishes_when_it_is_called(called, state):
    plant, stop = factories.plant(), threading.Event()
    command = ask(plant, mode())
    asked = []

    def look():
        asked.append(1)
        if len(asked) == 3:
            stop.set()
        return {plant.connection_id} if called else set()

    worker = RelayWorker(
        connection=plant.connection,
        transport=FakeTransport([FakePublisher()]),
        clock=lambda: AT,
        policy=factories.policy(),
        options=RelayOptions(holder="r1", lease_ttl=timedelta(seconds=15), window=10),
        poll_s=0.001,
        doorbell=Doorbell(look, every_s=0.0),
    )

    run_worker(worker, stop, backoff=CountedBackoff())

    assert state_of(command) == state


class SlowLook:
    """A look that lasts until `over` is set, and a thousand seconds; `asked`: a clock that each reading moves on."""

    def __init__(self, answer):
        self.answer, self.taken, self.asked = answer, 0, 0
        self.begun, self.over = threading.Event(), threading.Event()

    def look(self):
        self.taken += 1
        self.begun.set()
        assert self.over.wait(WITHIN_S)
        self.asked += 1000
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def timer(self):
        self.asked += 1
        return float(self.asked)


@pytest.mark.parametrize("answer", [OperationalError("away"), frozenset({7})], ids=["fails", "answers"])
def test_those_who_ask_while_a_slow_look_lasts_share_what_it_comes_to(answer):
    slow = SlowLook(answer)
    bell = Doorbell(slow.look, every_s=100.0, timer=slow.timer)
    first = Aside(lambda: bell.rings(7))
    assert slow.begun.wait(WITHIN_S)
    asked = slow.asked
    others = [Aside(lambda: bell.rings(7)) for _ in range(2)]
    until(lambda: slow.asked == asked + 2, "two more ask")

    slow.over.set()
    heard = [aside.answer() for aside in (first, *others)]

    assert heard == ([answer] * 3 if isinstance(answer, Exception) else [True] * 3)
    assert slow.taken == 1
