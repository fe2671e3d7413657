"""The in-process adapter keeps the port's contract."""

import pytest

from link.broker import Fate
from link.memory import MemoryTransport
from membroker import MemBroker
from tests.link.far_sides import MemoryFarSide
from tests.link.port_contract import PortContract
from tests.link.port_world import ManualClock, fates, outgoing


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
