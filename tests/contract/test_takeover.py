"""A second bundle takes over while commands flow: each is carried out once, whichever connection it went over."""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.policy import current_policy
from dispatch.services.draining import DrainRules, retire_drained
from dispatch.services.takeover import take_over
from dispatch.states import State
from esm import clock
from link import drained
from plants.models import Alarm, Connection, ConnectionMode, DeadLetter
from plants.selectors.draining import reading_of
from tests import factories
from tests.contract.test_scenarios import setpoint
from tests.contract.world import World, eventually, memory_world
from voke_sim.config import PartnerConfig, SimConfig, TransportConfig, TransportKind
from voke_sim.simulator import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = DrainRules(least=timedelta(0), grace=timedelta(0), gone_after=timedelta(seconds=30))
PERIOD = timedelta(seconds=0.5)
NEW_KEY = "ffeeddccbbaa99887766554433221100" * 2


ANSWERED = (State.ACCEPTED, State.EXECUTING, State.COMPLETED, State.DEVIATED, State.FAILED)


def second_bundle(old: Connection) -> Connection:
    """Imported and taking over in one step, as `connect_voke --takes-over` does it."""
    with transaction.atomic():
        new = factories.connection(
            owner=old.organisation, mode=ConnectionMode.OBSERVE, vhost="partner-second", signing_key=NEW_KEY
        )
        take_over(old=old, new=new, at=clock.now(), policy=current_policy())
    return new


def second_voke(world: World) -> Simulator:
    """Voke behind the new key: the same sites in another vhost, with another signing key."""
    before = world.simulator.config
    facts = {name: getattr(before, name) for name in ("sites", "factor", "telemetry", "execution")}
    return Simulator(
        SimConfig(
            partner=PartnerConfig(
                slug="acme", signing_key=NEW_KEY, signed_families=before.partner.signed_families
            ),
            transport=TransportConfig(
                kind=TransportKind.MEMORY, vhost="partner-second", declare_topology=True
            ),
            **facts,
        ),
        broker=world.broker,
    )


def effects_of(command, *simulators: Simulator) -> int:
    """How many effects the command had, at whichever Voke."""
    ids = [str(message.message_id) for message in command.messages.all()]
    marks = ", ".join("?" * len(ids))
    rows = [
        one.journal.rows(f"SELECT COUNT(*) AS n FROM effects WHERE message_id IN ({marks})", *ids)[0]
        for one in simulators
    ]
    return sum(int(row["n"]) for row in rows)


def is_read_for(span: timedelta, old: Connection) -> bool:
    """Whether the consumer has proven so long that nothing is left in the old queues."""
    found = reading_of(connection_id=old.pk, at=clock.now(), gone_after=AT_ONCE.gone_after)
    return found.since is not None and found.until is not None and found.until - found.since >= span


def test_commands_that_flow_during_a_takeover_are_each_carried_out_once(monkeypatch):
    monkeypatch.setattr(drained, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(drained, "ASK_EVERY_S", 0.1)
    with memory_world() as world:
        Connection.objects.filter(pk=world.connection.pk).update(realtime_period_s=PERIOD.total_seconds())
        other = second_voke(world)
        other.declare_topology()
        with other:
            commands = [world.send(setpoint(float(kw))) for kw in range(1, 9)]
            new = second_bundle(world.connection)
            commands += [world.send(setpoint(float(kw))) for kw in range(9, 13)]
            for command in commands[:-1]:
                world.wait_for(command, *ANSWERED)
            world.wait_for(commands[-1], State.COMPLETED)

            assert [effects_of(one, world.simulator, other) for one in commands] == [1] * 12
            assert {one.connection_id for one in commands[8:]} == {new.pk}
            assert effects_of(commands[-1], other) == 1
            eventually(lambda: is_read_for(PERIOD, world.connection), what="the old one is read to the end")
            retired = retire_drained(at=clock.now(), rules=AT_ONCE, policy=current_policy())
        assert retired == 1
        assert not Alarm.objects.exists()
        assert not DeadLetter.objects.exists()
