"""The in-process adapter keeps the port's contract."""

import pytest

from link.broker import Fate, LinkError
from link.memory import MemoryTransport
from membroker import MemBroker
from tests.link.far_sides import MemoryFarSide
from tests.link.port_contract import PortContract
from tests.link.port_world import ManualClock, fates, outgoing
from tests.threads import Aside


class TestMemoryTransport(PortContract):
    @pytest.fixture
    def far_side(self) -> MemoryFarSide:
        return MemoryFarSide()


def test_vhosts_of_one_broker_do_not_see_each_other() -> None:
    here = MemoryFarSide()
    elsewhere = MemoryTransport(MemBroker()).open_publisher(here.target, clock=ManualClock())

    sent = elsewhere.publish([outgoing(here.target, 1)])

    assert fates(sent) == [Fate.RETURNED]
    assert here.depth(here.target.queues.command) == 0


def test_how_much_waits_is_told_without_what_a_consumer_holds() -> None:
    side = MemoryFarSide()
    consumer = side.transport.open_consumer(side.target, prefetch=1)
    for _ in range(3):
        side.publish("event.alarm")
    before = consumer.waiting()

    held = consumer.fetch(max_messages=1, wait_s=0, flush_s=0)

    assert (before, len(held), consumer.waiting()) == (3, 1, 2)


def test_a_queue_that_was_deleted_can_not_tell_what_waits() -> None:
    side = MemoryFarSide()
    consumer = side.transport.open_consumer(side.target, prefetch=1)

    side.delete_queue(side.target.queues.event_alarm)

    assert consumer.waiting() is None


def test_a_fetch_that_waits_ends_when_the_link_is_cut() -> None:
    side = MemoryFarSide()
    consumer = side.transport.open_consumer(side.target, prefetch=1)
    waiting = Aside(lambda: consumer.fetch(max_messages=1, wait_s=600, flush_s=0))

    consumer.abort()

    assert isinstance(waiting.answer(), LinkError)


def test_a_publisher_that_was_cut_publishes_no_more() -> None:
    side = MemoryFarSide()
    publisher = side.transport.open_publisher(side.target, clock=ManualClock())

    publisher.abort()

    assert publisher.blocked is None
    with pytest.raises(LinkError):
        publisher.publish([outgoing(side.target, 1)])
