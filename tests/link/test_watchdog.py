"""A worker that stands still: seen from outside, its link cut, replaced; given up when even that does not help."""

import threading

import pytest

from link.broker import LinkError
from link.supervisor import MOST_ABANDONED, Supervisor, WorkersStuck
from link.watchdog import Limits, Progress, Step
from link.workers import ConsumeOptions, ConsumeWorker
from plants.models import Connection, LinkHealth, LinkState, TelemetryReading
from plants.services.link_health import note_link
from tests import factories
from tests.factories import AT
from tests.link.fakes import FakeConsumer, FakeTransport
from tests.link.helpers import realtime
from tests.threads import WITHIN_S, until

pytestmark = pytest.mark.django_db(transaction=True)
IMPATIENT = Limits(connect_s=60.0, link_s=0.05, database_s=60.0)


class HangingConsumer(FakeConsumer):
    """Its `fetch` returns only when the link is cut; `deaf`: not even then, until the test lets it go."""

    def __init__(self, *, deaf=False):
        super().__init__([], threading.Event())
        self.entered, self.cut, self.let_go = threading.Event(), threading.Event(), threading.Event()
        self.deaf = deaf

    def fetch(self, *, max_messages, wait_s, flush_s):
        self.entered.set()
        (self.let_go if self.deaf else self.cut).wait(WITHIN_S)
        raise LinkError("cut")

    def abort(self):
        self.cut.set()


class PatientConsumer(FakeConsumer):
    """Hands out its batches and then waits until it is told to stop."""

    def fetch(self, *, max_messages, wait_s, flush_s):
        if self.batches:
            return super().fetch(max_messages=max_messages, wait_s=wait_s, flush_s=flush_s)
        threading.Event().wait(0.005)
        return []


class World:
    """A supervisor of consume workers over the links that a test gives."""

    def __init__(self, link, consumers):
        self.link, self.consumers = link, consumers
        self.transport = FakeTransport([*consumers])
        self.alive = 0
        self.stuck = []
        self.supervisor = Supervisor(
            name="test",
            wanted=lambda: {link.pk: Connection.objects.get(pk=link.pk)},
            make=self.make,
            alive=self.beat,
            stuck=self.note,
        )

    def make(self, connection):
        options = ConsumeOptions(
            prefetch=10, batch=5, flush_s=0.001, retention_days=400, wait_s=0.001, holder="me"
        )
        return ConsumeWorker(
            connection=connection,
            transport=self.transport,
            clock=lambda: AT,
            options=options,
            limits=IMPATIENT,
        )

    def beat(self):
        self.alive += 1

    def note(self, pk):
        self.stuck.append(pk)
        note_link(
            connection_id=pk,
            role=LinkHealth.Role.CONSUME,
            holder="me",
            state=LinkState.DOWN,
            at=AT,
            error="it stood still",
            error_code="STUCK",
        )

    def look_until(self, condition, what):
        until(lambda: self.supervisor.look_once() or condition(), what)


@pytest.fixture
def world():
    made = []

    def make(link, *consumers):
        made.append(World(link, consumers))
        return made[-1]

    yield make
    for one in made:
        for consumer in one.consumers:
            if isinstance(consumer, HangingConsumer):
                consumer.deaf = False
                consumer.cut.set()
                consumer.let_go.set()
        one.supervisor.stop_all()


def test_a_consumer_that_hangs_on_its_link_is_cut_and_its_successor_consumes(world):
    plant = factories.plant()
    hanging = HangingConsumer()
    batch = [realtime(plant)]
    healthy = PatientConsumer([batch], threading.Event())
    scene = world(plant.connection, hanging, healthy)
    scene.supervisor.look_once()
    assert hanging.entered.wait(WITHIN_S)

    scene.look_until(lambda: healthy.acked == batch, "the successor acknowledged")

    assert scene.stuck == [plant.connection_id]
    assert TelemetryReading.objects.count() == 1
    assert scene.supervisor.abandoned == 0
    row = LinkHealth.objects.get()
    assert (row.state, row.error_code) == (LinkState.CONNECTED, "STUCK")


def test_a_thread_that_never_comes_back_is_left_behind_and_another_takes_its_place(world):
    plant = factories.plant()
    deaf = HangingConsumer(deaf=True)
    healthy = PatientConsumer([[realtime(plant)]], threading.Event())
    scene = world(plant.connection, deaf, healthy)
    scene.supervisor.look_once()

    scene.look_until(lambda: len(healthy.acked) == 1, "the successor acknowledged")

    assert scene.supervisor.abandoned == 1


def test_a_process_that_carries_a_stuck_thread_shows_no_sign_of_life_until_the_thread_is_back(world):
    deaf = HangingConsumer(deaf=True)
    scene = world(factories.connection(), deaf, PatientConsumer([], threading.Event()))
    scene.supervisor.look_once()
    scene.look_until(lambda: scene.supervisor.abandoned == 1, "abandoned")
    beats = scene.alive
    for _ in range(3):
        scene.supervisor.look_once()
    assert scene.alive == beats

    deaf.let_go.set()
    scene.look_until(lambda: scene.alive > beats, "a sign of life")

    assert scene.supervisor.abandoned == 0


def test_too_many_threads_that_never_come_back_end_the_process(world):
    consumers = [HangingConsumer(deaf=True) for _ in range(MOST_ABANDONED)]
    scene = world(factories.connection(), *consumers)
    stop = threading.Event()
    scene.supervisor._look_every_s = 0.02

    with pytest.raises(WorkersStuck, match=f"{MOST_ABANDONED} worker threads"):
        scene.supervisor.run(stop)

    assert [one.entered.is_set() for one in consumers] == [True] * MOST_ABANDONED


def test_an_abandoned_worker_says_nothing_any_more_and_stops_when_it_comes_back(world):
    deaf = HangingConsumer(deaf=True)
    scene = world(factories.connection(), deaf, PatientConsumer([], threading.Event()))
    scene.supervisor.look_once()
    scene.look_until(
        lambda: len(scene.transport.targets) == 2 and LinkHealth.objects.get().state == LinkState.CONNECTED,
        "the successor is connected",
    )
    threads = list(scene.supervisor._abandoned)

    deaf.let_go.set()
    [one.join(WITHIN_S) for one in threads]

    assert not any(one.is_alive() for one in threads)
    assert LinkHealth.objects.get().state == LinkState.CONNECTED
    assert deaf.closed == 1


# --- where a worker stands --------------------------------------------------------------------------------------------


def test_a_step_within_its_limit_is_not_overdue_and_idling_never_is():
    progress = Progress(Limits(link_s=60.0))

    with progress.during(Step.LINK):
        within = progress.overdue_s()

    assert (within, progress.overdue_s(), progress.step) == (0.0, 0.0, Step.IDLE)


def test_a_step_that_exceeds_its_limit_is_overdue_until_it_comes_forward():
    progress = Progress(Limits(database_s=0.0, link_s=60.0))

    with progress.during(Step.DATABASE):
        until(lambda: progress.overdue_s() > 0, "overdue")
        with progress.during(Step.LINK):
            inner = progress.overdue_s()
        outer = progress.step

    assert (inner, outer) == (0.0, Step.DATABASE)


def test_a_sign_of_progress_starts_the_time_of_a_step_anew():
    progress = Progress(Limits(database_s=0.05))

    with progress.during(Step.DATABASE):
        until(lambda: progress.overdue_s() > 0, "overdue")
        progress.beat()
        after = progress.overdue_s()

    assert after == 0.0
