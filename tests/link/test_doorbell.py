"""One look for all relays of a process, which still publish what becomes due."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, transaction

from dispatch.bell import heard_by
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

NEVER_S = 10 * WITHIN_S


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


def test_while_nothing_waits_and_rings_are_relied_on_it_is_looked_seldom():
    looks = Looks(set(), {7})
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(True)
    heard = []
    for looks.now_s in (0.0, 0.025, 0.999, 1.0):
        heard.append((bell.rings(7), looks.taken))

    assert heard == [(False, 1), (False, 1), (False, 1), (True, 2)]


@pytest.mark.parametrize(("relied_on", "found"), [(False, set()), (True, {9})])
def test_while_something_waits_or_rings_may_be_missed_it_is_looked_often(relied_on, found):
    """What waits may be held back: no ring says when it may go."""
    looks = Looks(found, {7})
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(relied_on)
    before = bell.rings(7)
    looks.now_s = 0.025

    assert (before, bell.rings(7)) == (False, True)


def test_a_ring_is_heard_once_by_its_relay_without_a_look_and_by_no_other():
    looks = Looks(set())
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(True)
    before = [bell.rings(number) for number in (7, 8)]

    bell.ring(7)

    assert before == [False, False]
    assert [bell.rings(number) for number in (8, 7, 7)] == [False, True, False]
    assert looks.taken == 1


def test_after_a_ring_the_next_look_comes_soon():
    """The relay may not have been able to send what it was called for: the lease was another's."""
    looks = Looks(set(), {7})
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(True)
    bell.rings(7)
    bell.ring(7)
    bell.rings(7)
    looks.now_s = 0.025

    assert bell.rings(7)


def test_what_rang_before_its_relay_was_there_is_found_by_a_look_that_comes_soon():
    looks = Looks(set(), {7})
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(True)
    bell.rings(8)
    bell.ring(7)
    looks.now_s = 0.025

    assert bell.rings(7)


@pytest.mark.parametrize("relied_on", [True, False])
def test_when_rings_begin_or_cease_to_be_heard_it_is_looked_at_once(relied_on):
    looks = Looks(set(), {7})
    bell = Doorbell(looks.look, every_s=0.025, idle_s=1.0, timer=looks.timer)
    bell.rely(not relied_on)
    bell.rings(7)

    bell.rely(relied_on)

    assert bell.rings(7)


@pytest.mark.parametrize(
    "call", [lambda bell: bell.ring(7), lambda bell: bell.wake(7), lambda bell: bell.rely(False)]
)
def test_a_pause_ends_by_a_ring_by_being_woken_and_when_rings_cease_to_be_heard(call):
    bell = Doorbell(set, every_s=100.0, idle_s=100.0)
    bell.rings(7)
    paused = Aside(lambda: bell.pause(7, at_least_s=NEVER_S, at_most_s=NEVER_S))

    call(bell)

    assert paused.answer() is None


def test_a_ring_is_not_kept_waiting_by_a_look_that_lasts():
    slow = SlowLook(frozenset())
    bell = Doorbell(slow.look, every_s=100.0, timer=slow.timer)
    looking = Aside(lambda: bell.rings(7))
    assert slow.begun.wait(WITHIN_S)

    rung = Aside(lambda: bell.ring(7))
    rung.answer()
    heard_meanwhile = bell.rings(7)
    slow.over.set()

    assert (heard_meanwhile, looking.answer()) == (True, False)


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


class PausedBell(Doorbell):
    """Rings by hand alone, and tells when a relay pauses."""

    def __init__(self):
        super().__init__(frozenset, every_s=NEVER_S, idle_s=NEVER_S)
        self.paused = threading.Event()

    def pause(self, connection_id, **bounds):
        self.paused.set()
        super().pause(connection_id, **bounds)


@pytest.fixture
def pausing_relay():
    """(plant, worker, its publisher, bell, stop, thread) of a relay that waits for a ring, in windows of two."""
    plant, stop, bell, publisher = factories.plant(), threading.Event(), PausedBell(), FakePublisher()
    worker = RelayWorker(
        connection=plant.connection,
        transport=FakeTransport([publisher]),
        clock=lambda: AT,
        policy=factories.policy(),
        options=RelayOptions(holder="r1", lease_ttl=timedelta(seconds=15), window=2),
        poll_s=NEVER_S,
        doorbell=bell,
    )
    running = Aside(lambda: run_worker(worker, stop, backoff=CountedBackoff()))
    assert bell.paused.wait(WITHIN_S)
    yield SimpleNamespace(
        plant=plant, worker=worker, publisher=publisher, bell=bell, stop=stop, running=running
    )
    stop.set()
    worker.wake()
    running.answer()


@pytest.mark.django_db(transaction=True)
def test_one_ring_after_the_commit_has_a_relay_send_all_of_its_outbox(pausing_relay):
    more = [factories.plant(on=pausing_relay.plant.connection) for _ in range(4)]

    with heard_by(pausing_relay.bell.ring), transaction.atomic():
        asked = [ask(plant, mode()) for plant in (pausing_relay.plant, *more)]
    until(lambda: state_of(asked[-1]) == State.SENT, "the last one is sent")

    assert [state_of(command) for command in asked] == [State.SENT] * 5
    assert [len(window) for window in pausing_relay.publisher.windows] == [2, 2, 1]


@pytest.mark.django_db(transaction=True)
def test_a_relay_that_pauses_ends_at_once_when_it_is_told_to(pausing_relay):
    pausing_relay.stop.set()
    pausing_relay.worker.wake()

    pausing_relay.running.answer()

    assert pausing_relay.publisher.closed == 1


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
