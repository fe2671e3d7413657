"""A whole world for scenarios: the platform's own loops, a stand-in for Voke, and a broker between them.

The same scenarios run over membroker and over RabbitMQ with TLS: only `make_world` knows which.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections

from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.requests import CommandRequest
from dispatch.services.commands import submit
from dispatch.services.emergency import release, send_emergency
from dispatch.services.site_config import switch_connection
from esm import clock
from esm.embedded import run_ticks
from link.amqp import AmqpsTransport
from link.broker import Transport
from link.memory import MemoryTransport
from link.run import consume_supervisor, relay_supervisor
from membroker import MemBroker
from plants.models import Connection, ConnectionMode, Plant, TelemetryReading
from plants.services.connections import import_bundle
from tests import factories
from tests.factories import OPERATOR
from tests.services.partner import Partner
from vcp import Emergency, KeyDecoding, parse_bundle
from voke_sim.config import (
    BatteryConfig,
    ExecutionConfig,
    LoadConfig,
    PartnerConfig,
    PvConfig,
    SimConfig,
    SiteConfig,
    TelemetryConfig,
    TransportConfig,
    TransportKind,
)
from voke_sim.simulator import Simulator

PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.02
T = TypeVar("T")


def eventually(look: Callable[[], T], *, what: str, within_s: float = PATIENCE_S) -> T:
    """Look until something true comes back; fails with `what` when the time is over."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        pause.wait(_LOOK_EVERY_S)


@dataclass(kw_only=True)
class World:
    """The platform with one connection and one plant, and Voke's stand-in."""

    connection: Connection
    plant: Plant
    simulator: Simulator
    broker: MemBroker | None

    def send(self, payload: Any, **asked: Any) -> Command:
        """Ask for a command as an operator."""
        request = CommandRequest(external_plant_id=self.plant.external_plant_id, payload=payload, **asked)
        call = send_emergency if isinstance(payload, Emergency) else submit
        return call(
            organisation_id=self.plant.organisation_id,
            request=request,
            actor=OPERATOR,
            at=clock.now(),
            policy=current_policy(),
        ).command

    def release(self) -> Command:
        """Release the plant's emergency."""
        return release(
            organisation_id=self.plant.organisation_id,
            external_plant_id=self.plant.external_plant_id,
            actor=OPERATOR,
            reason="scenario",
            at=clock.now(),
            policy=current_policy(),
        )

    def wait_for(self, command: Command, *states: str) -> Command:
        """The command once it is in one of the states."""

        def look() -> bool:
            command.refresh_from_db()
            return command.state in states

        try:
            eventually(look, what=f"{command} in {', '.join(states)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {command.state} ({command.cause})") from None
        return command

    def verdicts(self, command: Command) -> list[str]:
        """What the stand-in's journal says of the command's messages."""
        ids = [str(message.message_id) for message in command.messages.order_by("pk")]
        marks = ", ".join("?" * len(ids))
        rows = self.simulator.journal.rows(
            f"SELECT verdict FROM messages WHERE message_id IN ({marks})", *ids
        )
        return [row["verdict"] for row in rows]

    def plant_is_heard(self) -> bool:
        """Whether telemetry of the plant arrived."""
        return TelemetryReading.objects.filter(plant=self.plant).exists()

    def wait_for_intake(self, *, bound: bool) -> None:
        """Wait until the broker takes what goes to Voke, or no longer does."""
        eventually(lambda: self.simulator.is_taking is bound, what=f"bound={bound}")

    def families_received(self) -> set[str]:
        """The families of what reached the stand-in."""
        return {row["family"] for row in self.simulator.journal.rows("SELECT family FROM messages")}

    def effects(self, command: Command) -> int:
        """How many effects the command's messages had at the stand-in."""
        ids = [str(message.message_id) for message in command.messages.all()]
        marks = ", ".join("?" * len(ids))
        rows = self.simulator.journal.rows(
            f"SELECT COUNT(*) AS n FROM effects WHERE message_id IN ({marks})", *ids
        )
        return int(rows[0]["n"])


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What a world stands on: a connection, how each side reaches the broker, and a broker that is in this process."""

    connection: Connection
    transport: Transport
    config: TransportConfig
    partner: PartnerConfig
    broker: MemBroker | None


def memory_wiring() -> Wiring:
    """Everything in this process."""
    broker = MemBroker()
    link = factories.connection(rest_base_url="")
    return Wiring(
        connection=link,
        transport=MemoryTransport(broker),
        config=TransportConfig(kind=TransportKind.MEMORY, vhost=link.vhost, declare_topology=True),
        partner=PartnerConfig(
            slug="acme", signing_key=factories.SIGNING_KEY, signed_families=tuple(link.signed_families)
        ),
        broker=broker,
    )


def amqps_wiring(partner: Partner, ca_file: str) -> Wiring:
    """A real broker, on which each side has its own rights and its own client library."""
    at = clock.now()
    link = import_bundle(
        organisation=factories.organisation(),
        bundle=parse_bundle(json.dumps(partner.bundle()).encode()),
        name="scenario",
        source="ref-esm",
        scopes=[],
        sign_emergency=True,
        key_decoding=KeyDecoding.HEX,
        at=at,
    )
    Connection.objects.filter(pk=link.pk).update(rest_base_url="")
    link.refresh_from_db()
    switch_connection(connection=link, mode=ConnectionMode.ACTIVE, at=at)
    return Wiring(
        connection=link,
        transport=AmqpsTransport(
            ca_file=ca_file,
            heartbeat_s=settings.AMQP_HEARTBEAT_S,
            confirm_timeout_s=settings.AMQP_CONFIRM_TIMEOUT_S,
        ),
        config=TransportConfig(kind=TransportKind.AMQP, uri=partner.voke_uri, ca_file=ca_file),
        partner=PartnerConfig(
            slug=partner.slug,
            signing_key=partner.signing_key,
            queues=partner.queues,
            signed_families=tuple(link.signed_families),
        ),
        broker=None,
    )


def memory_world(**sim: Any) -> AbstractContextManager[World]:
    """Everything in this process."""
    return _world(memory_wiring(), sim=sim)


def amqps_world(partner: Partner, ca_file: str, **sim: Any) -> AbstractContextManager[World]:
    """The platform and the stand-in on a real broker, each with its own rights and its own client library."""
    return _world(amqps_wiring(partner, ca_file), sim=sim)


@contextmanager
def _world(wiring: Wiring, *, sim: dict[str, Any]) -> Iterator[World]:
    """`sim` configures the stand-in; `neighbours` in it: so many further plants. Without `rest` nobody asks Voke."""
    neighbours = sim.pop("neighbours", 0)
    link, transport, broker = wiring.connection, wiring.transport, wiring.broker
    plant, *others = [factories.plant(on=link) for _ in range(1 + neighbours)]
    sites = tuple(site_of(one) for one in (plant, *others))
    simulator = Simulator(
        SimConfig(partner=wiring.partner, transport=wiring.config, sites=sites, **(_quick() | sim)),
        broker=broker,
    )
    simulator.declare_topology()
    if simulator.rest_url is not None:
        link.rest_base_url = f"{simulator.rest_url}/api/v1"
        link.save(update_fields=["rest_base_url"])
    stop = threading.Event()
    loops = [
        relay_supervisor(transport=transport, clock=clock.now).run,
        consume_supervisor(transport=transport, clock=clock.now).run,
        lambda event: run_ticks(event, clock=clock.now),
    ]
    threads = [threading.Thread(target=closing, args=(loop, stop), daemon=True) for loop in loops]
    with simulator:
        for thread in threads:
            thread.start()
        try:
            world = World(connection=link, plant=plant, simulator=simulator, broker=broker)
            eventually(lambda: _knows_topology(simulator), what="the stand-in knows the topology")
            yield world
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads), "a loop did not stop"


def closing(loop: Callable[[threading.Event], None], stop: threading.Event) -> None:
    """Run a loop in a thread of its own; its database connections are closed with it."""
    try:
        loop(stop)
    finally:
        connections.close_all()


def _knows_topology(simulator: Simulator) -> bool:
    return len(simulator.journal.rows("SELECT 1 FROM messages WHERE family LIKE 'config.%'")) >= 2


def _quick() -> dict[str, Any]:
    return {
        "factor": 60.0,
        "telemetry": TelemetryConfig(realtime_period_s=0.2, meter_period_s=0.5),
        "execution": ExecutionConfig(stable_plant_s=10.0, deadline_plant_s=120.0),
    }


def site_of(plant: Plant) -> SiteConfig:
    """The physical plant behind `factories.plant`: a battery B1 and PV S1 with a small load."""
    return SiteConfig(
        site_id=str(plant.voke_uuid),
        external_plant_id=plant.external_plant_id,
        name=plant.name,
        batteries=(BatteryConfig(device_id="B1", capacity_kwh=80, max_charge_kw=40, max_discharge_kw=40),),
        pv=(PvConfig(device_id="S1", peak_kw=60),),
        load=LoadConfig(mean_kw=10.0, noise_pct=0),
    )
