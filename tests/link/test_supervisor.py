"""One worker per wanted connection: started, stopped, restarted when its facts change or it died, all within bounds."""

import threading
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from django.db import OperationalError

from link.broker import LinkError
from link.run import consume_supervisor, relay_supervisor
from link.supervisor import Supervisor
from link.watchdog import Limits, Progress
from plants.models import Connection, ConnectionMode, LinkHealth
from tests import factories
from tests.factories import AT
from tests.link.fakes import FakeTransport
from tests.threads import WITHIN_S, until

pytestmark = pytest.mark.django_db(transaction=True)


class FakeWorker:
    """Says that it runs and waits until it is told to stop, or dies when told to."""

    role = LinkHealth.Role.CONSUME

    def __init__(self, connection, *, deaf=False):
        self.connection = connection
        self.connection_id = connection.pk
        self.started, self.finished = threading.Event(), threading.Event()
        self.leave, self.die = threading.Event(), threading.Event()
        self._deaf = deaf
        self.progress = Progress(Limits(link_s=0.0))
        self.aborted = threading.Event()

    def once(self, stop):
        self.started.set()
        while not self.leave.is_set() and (self._deaf or not stop.is_set()):
            if self.die.wait(0.002):
                raise SystemExit

    def broken(self, error):
        raise AssertionError(error)

    def close_link(self):
        pass

    def hurried(self):
        return False

    def abort(self):
        self.aborted.set()

    def wake(self):
        pass

    def finish(self):
        self.finished.set()


class World:
    """What is wanted, and the workers that were made for it."""

    def __init__(self):
        self.wanted = {}
        self.made = []

    def supervisor(self, **changes):
        return Supervisor(
            name="test", wanted=lambda: self.wanted, make=self.make, **({"look_every_s": 0.005} | changes)
        )

    def make(self, connection):
        self.made.append(FakeWorker(connection))
        return self.made[-1]

    def want(self, *links):
        self.wanted = {link.pk: Connection.objects.get(pk=link.pk) for link in links}

    def running(self):
        return [worker.connection.pk for worker in self.made if worker.started.wait(WITHIN_S)]


@pytest.fixture
def world():
    made = World()
    yield made
    for worker in made.made:
        worker.leave.set()


def test_every_wanted_connection_gets_one_worker(world):
    links = [factories.connection() for _ in range(2)]
    world.want(*links)
    supervisor = world.supervisor()

    supervisor.look_once()
    supervisor.look_once()

    assert world.running() == [link.pk for link in links]
    supervisor.stop_all()


def test_a_worker_that_is_no_longer_wanted_stops_and_the_others_go_on(world):
    gone, kept = factories.connection(), factories.connection()
    world.want(gone, kept)
    supervisor = world.supervisor()
    supervisor.look_once()

    world.want(kept)
    supervisor.look_once()

    assert world.made[0].finished.wait(WITHIN_S)
    assert not world.made[1].finished.is_set()
    supervisor.stop_all()


@pytest.mark.parametrize(
    "changes",
    [
        {"amqps_uri": "amqps://acme:newkey@localhost:5671/partner-1"},
        {"vhost": "partner-new"},
        {"queue_prefix": "other"},
        {"routing_prefix": "other"},
        {"queues": {"eventStatus": "elsewhere"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_worker_is_started_anew_when_the_address_or_names_of_its_link_change(world, changes):
    link = factories.connection()
    world.want(link)
    supervisor = world.supervisor()
    supervisor.look_once()

    Connection.objects.filter(pk=link.pk).update(**changes)
    world.want(link)
    supervisor.look_once()
    until(lambda: supervisor.look_once() or len(world.made) == 2, "a second worker")

    assert world.made[0].finished.is_set()
    assert world.made[1].started.wait(WITHIN_S)
    supervisor.stop_all()


def test_a_worker_is_not_started_anew_by_a_change_that_its_link_does_not_feel(world):
    link = factories.connection()
    world.want(link)
    supervisor = world.supervisor()
    supervisor.look_once()

    Connection.objects.update(name="another name", scopes=["vcp:connect"])
    world.want(link)
    supervisor.look_once()

    assert len(world.made) == 1
    supervisor.stop_all()


def test_there_is_never_a_second_worker_beside_one_that_still_runs(world):
    link = factories.connection()
    world.want(link)
    world.make = lambda connection: world.made.append(FakeWorker(connection, deaf=True)) or world.made[-1]
    supervisor = world.supervisor()
    supervisor.look_once()
    Connection.objects.update(vhost="partner-new")
    world.want(link)

    for _ in range(3):
        supervisor.look_once()

    assert len(world.made) == 1
    world.made[0].leave.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_died_is_replaced(world):
    world.want(factories.connection())
    supervisor = world.supervisor()
    supervisor.look_once()
    world.made[0].die.set()

    until(lambda: supervisor.look_once() or len(world.made) == 2, "a second worker")

    assert world.made[1].started.wait(WITHIN_S)
    supervisor.stop_all()


def test_stopping_all_takes_one_bounded_time_however_many_do_not_listen(world):
    world.want(*[factories.connection() for _ in range(5)])
    world.make = lambda connection: world.made.append(FakeWorker(connection, deaf=True)) or world.made[-1]
    supervisor = world.supervisor(stop_within_s=12.0)
    supervisor.look_once()
    now, waits = [0.0], []

    def join(_thread, timeout):
        waits.append(timeout)
        now[0] += min(timeout, 5.0)

    with (
        mock.patch.object(threading.Thread, "join", join),
        mock.patch("link.supervisor.time", SimpleNamespace(monotonic=lambda: now[0])),
    ):
        supervisor.stop_all()

    assert waits == [12.0, 7.0, 2.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "trouble", [OperationalError("away"), ZeroDivisionError()], ids=["database", "fault"]
)
def test_the_supervisor_survives_what_it_meets_and_says_when_it_looked(world, trouble):
    link, stop, turned = factories.connection(), threading.Event(), threading.Event()
    world.want(link)
    answers = iter([trouble])

    def wanted():
        error = next(answers, None)
        if error is not None:
            raise error
        return world.wanted

    supervisor = Supervisor(
        name="test", wanted=wanted, make=world.make, look_every_s=0.005, on_turn=turned.set
    )
    thread = threading.Thread(target=supervisor.run, args=(stop,), daemon=True)
    thread.start()

    assert turned.wait(WITHIN_S)
    assert world.made[0].started.wait(WITHIN_S)
    stop.set()
    thread.join(WITHIN_S)
    assert world.made[0].finished.is_set()


# --- which connections ------------------------------------------------------------------------------------------------


def looked(make_supervisor):
    """The connections that a supervisor opens links for, and what it says of the others."""
    transport = FakeTransport([LinkError("not now")])
    supervisor = make_supervisor(transport=transport, clock=lambda: AT + timedelta(seconds=1))
    supervisor.look_once()
    until(lambda: bool(transport.targets), "a link opened")
    supervisor.stop_all()
    return {target.connection_id for target in transport.targets}


def test_a_relay_serves_active_connections_and_a_consumer_observing_ones_too():
    active = factories.connection()
    observing = factories.connection(mode=ConnectionMode.OBSERVE)

    assert looked(relay_supervisor) == {active.pk}
    assert looked(consume_supervisor) == {active.pk, observing.pk}


@pytest.mark.parametrize(("make", "role"), [(relay_supervisor, "PUBLISH"), (consume_supervisor, "CONSUME")])
def test_a_connection_whose_secrets_cannot_be_decrypted_is_said_to_be_refused_and_stops_nobody_else(
    make, role
):
    """It ended the whole supervisor, and with it every other connection's link."""
    broken, sound = factories.connection(), factories.connection()
    factories.make_undecryptable(broken, "amqps_uri")

    served = looked(make)

    row = LinkHealth.objects.get(connection=broken)
    assert served == {sound.pk}
    assert (row.role, row.state, row.since) == (role, "REFUSED", AT + timedelta(seconds=1))
    assert (row.error_code, bool(row.holder)) == ("SECRET_UNREADABLE", True)


def test_a_retired_connection_is_left_alone_and_one_that_was_succeeded_is_still_drained():
    successor = factories.connection()
    drained = factories.connection(owner=successor.organisation, succeeded_by=successor, handed_over_at=AT)
    factories.connection(owner=successor.organisation, succeeded_by=successor, retired_at=AT)

    assert looked(relay_supervisor) == {successor.pk, drained.pk}
    assert looked(consume_supervisor) == {successor.pk, drained.pk}


def test_each_relay_worker_has_a_lease_of_its_own_and_the_process_one_name():
    """The successor of a worker that stands still must wait until its lease is over."""
    links = [factories.connection() for _ in range(2)]
    supervisor = relay_supervisor(transport=FakeTransport([LinkError("no")]), clock=lambda: AT)

    made = [supervisor._make(link) for link in links]

    assert len({worker._options.holder for worker in made}) == 2
    assert len({worker._health._holder for worker in made}) == 1
