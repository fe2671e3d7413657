"""What a consumer of an old connection proves: two looks on one link, nothing of before the first in its hands."""

import threading

import pytest
from django.db import OperationalError

from link import drained
from link.broker import LinkError, Tally
from link.drained import ASK_EVERY_S, LOOK_EVERY_S, Drained, Proof
from link.watchdog import Progress
from plants.models import Connection, LinkHealth
from tests import factories
from tests.factories import AT
from tests.link.fakes import FakeConsumer
from tests.link.helpers import seconds

QUIET_S = 35.0


# --- one link's looks -------------------------------------------------------------------------------------------------


def looked(*looks):
    """(since, until) after looks of (second, empty, came, settled), as seconds after AT."""
    proof = Proof()
    for second, empty, came, settled in looks:
        proof.look(at=AT + seconds(second), empty=empty, tally=Tally(came=came, settled=settled))
    return tuple(None if one is None else (one - AT).total_seconds() for one in (proof.since, proof.until))


def test_one_look_proves_nothing_because_a_message_may_be_under_way():
    assert looked((0, True, 5, 5)) == (None, None)


def test_the_second_look_proves_the_moment_of_the_first():
    assert looked((0, True, 5, 5), (2, True, 5, 5)) == (0, 0)


def test_what_came_between_two_looks_has_to_be_stored_too():
    assert looked((0, True, 5, 5), (2, True, 6, 5)) == (None, None)
    assert looked((0, True, 5, 5), (2, True, 6, 5), (4, True, 6, 6)) == (0, 0)


def test_a_flow_that_never_stops_is_no_obstacle():
    looks = [(second, True, 10 * second + 10, 10 * second) for second in range(10)]

    since, until = looked(*looks)

    assert (since, until) == (0, 6)


def test_messages_that_wait_undo_what_was_proven():
    assert looked((0, True, 5, 5), (2, True, 5, 5), (4, False, 5, 5)) == (None, None)


def test_after_a_backlog_the_proof_begins_anew():
    assert looked((0, True, 5, 5), (2, True, 5, 5), (4, False, 5, 5), (6, True, 9, 9), (8, True, 9, 9)) == (
        6,
        6,
    )


# --- looked at and written down ---------------------------------------------------------------------------------------


class Moment:
    """Seconds since AT that pass when the test says so, as a clock and as a monotonic time."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s

    def clock(self):
        return AT + seconds(self.s)


@pytest.fixture
def moment():
    return Moment()


@pytest.fixture
def old(db):
    link = factories.connection()
    link.succeeded_by = factories.connection(owner=link.organisation)
    link.handed_over_at = AT
    link.save()
    LinkHealth.objects.create(
        connection=link, role="CONSUME", holder="consume-1", state="CONNECTED", since=AT, seen_at=AT
    )
    return link


def drained_of(link, moment):
    return Drained(
        connection_id=link.pk,
        holder="consume-1",
        clock=moment.clock,
        progress=Progress(),
        quiet_after_s=lambda: QUIET_S,
        now=moment,
    )


def consumer(depth=0, cls=FakeConsumer):
    return cls([], threading.Event(), depth=depth)


def look(looking, moment, reader, *, times, every_s=LOOK_EVERY_S):
    for _ in range(times):
        looking.look(reader)
        moment.s += every_s


def written(link):
    row = LinkHealth.objects.get(connection=link)
    return row.unread, row.unread_at, row.read_since, row.read_until


def test_an_old_connection_whose_queues_are_empty_is_proven_to_be_read(old, moment):
    look(drained_of(old, moment), moment, consumer(), times=3)

    assert written(old) == (0, AT + seconds(4), AT, AT + seconds(2))


def test_what_waits_and_what_is_held_count_as_unread(old, moment):
    reader = consumer(depth=3)
    reader.came = 4

    look(drained_of(old, moment), moment, reader, times=1)

    assert written(old) == (7, AT, None, None)


def test_a_new_link_begins_anew_because_what_the_old_one_held_went_back(old, moment):
    looking = drained_of(old, moment)
    look(looking, moment, consumer(), times=3)

    look(looking, moment, consumer(), times=1)

    assert written(old) == (0, AT + seconds(6), None, None)


def test_a_consumer_that_may_not_ask_proves_it_by_silence_alone(old, moment):
    looking, reader = drained_of(old, moment), consumer(depth=None)
    look(looking, moment, reader, times=2, every_s=QUIET_S - 1)
    before = written(old)
    look(looking, moment, reader, times=2)

    assert before == (None, AT + seconds(QUIET_S - 1), None, None)
    assert written(old)[2:] == (AT + seconds(2 * (QUIET_S - 1)), AT + seconds(2 * (QUIET_S - 1)))


def test_a_delivery_ends_that_silence(old, moment):
    looking, reader = drained_of(old, moment), consumer(depth=None)
    look(looking, moment, reader, times=1, every_s=QUIET_S)
    reader.came += 1
    reader.acked = [object()]

    look(looking, moment, reader, times=2, every_s=QUIET_S - 1)

    assert written(old)[2:] == (None, None)


@pytest.mark.parametrize("change", [{"succeeded_by": None}, {"retired_at": AT}], ids=["in use", "retired"])
def test_a_connection_that_does_not_drain_is_not_looked_at(old, moment, change):
    Connection.objects.filter(pk=old.pk).update(**change)

    class Never(FakeConsumer):
        def waiting(self):
            raise LinkError("asked")

    look(drained_of(old, moment), moment, consumer(cls=Never), times=2, every_s=ASK_EVERY_S)

    assert written(old) == (None, None, None, None)


def test_it_is_looked_at_every_two_seconds_and_not_at_every_turn(old, moment, django_assert_num_queries):
    looking, reader = drained_of(old, moment), consumer()
    looking.look(reader)
    moment.s += LOOK_EVERY_S - 0.1

    with django_assert_num_queries(0):
        looking.look(reader)


def test_a_database_that_is_away_stops_nobody_from_reading(old, moment, monkeypatch):
    looking = drained_of(old, moment)

    def away(**_):
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(drained, "note_reading", away)
        looking.look(consumer())
    moment.s += ASK_EVERY_S
    looking.look(consumer())

    assert written(old)[1] == AT + seconds(ASK_EVERY_S)


def test_a_link_that_breaks_while_it_is_asked_is_told(old, moment):
    class Broken(FakeConsumer):
        def waiting(self):
            raise LinkError("cut")

    with pytest.raises(LinkError, match="cut"):
        drained_of(old, moment).look(consumer(cls=Broken))
