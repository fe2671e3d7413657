"""The stand-in as a whole: engine, reverse channel and REST in threads of their own, started and stopped
together.

simulator = Simulator(config, broker=broker, on_note=print_it)
simulator.start()
simulator.wait_for(lambda counts: counts["effects"] >= 3, timeout_s=10)
simulator.stop()
"""

import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from membroker import MemBroker
from vcp import Family, QueueNames, parse_amqps_uri
from voke_sim.clock import Clock, default_clock
from voke_sim.config import SimConfig, TransportKind
from voke_sim.config_load import ConfigError, check_config
from voke_sim.engine import Engine
from voke_sim.faults import FaultBoard
from voke_sim.journal import Journal
from voke_sim.notes import Note
from voke_sim.rest import RestApp
from voke_sim.rest_faults import RestFaults
from voke_sim.rest_server import RestServer
from voke_sim.reverse import ReverseClient
from voke_sim.summary import Counts, count
from voke_sim.transport.amqp import AmqpTransport
from voke_sim.transport.memory import MemoryTransport, declare_topology
from voke_sim.transport.port import Transport
from voke_sim.voice import IdSource

_LONGEST_WAIT_S = 1.0


class SimulatorFailed(RuntimeError):
    """A thread of the stand-in died; the cause is the error that killed it."""

    code = "SIMULATOR_FAILED"


def fresh_id() -> str:
    """A UUIDv4 as text."""
    return str(uuid.uuid4())


class Simulator:
    """One stand-in. Start it once, stop it once; `close` also closes the journal, which stays readable
    until then.

    `on_note` is called from the stand-in's threads and must be quick; an error in it stops the stand-in.
    """

    def __init__(
        self,
        config: SimConfig,
        transport: Transport | None = None,
        *,
        broker: MemBroker | None = None,
        journal: Journal | None = None,
        clock: Clock | None = None,
        new_id: IdSource = fresh_id,
        on_note: Callable[[Note], None] | None = None,
    ) -> None:
        check_config(config)
        self.config = config
        self.names: QueueNames = config.partner.queue_names
        self._clock = clock or default_clock()
        self._on_note = on_note
        self._broker = broker
        self.journal = journal or Journal(config.journal_path)
        self._transport = transport or self._make_transport()
        self._engine = Engine(config, transport=self._transport, journal=self.journal, new_id=new_id)
        self._reverse = (
            None
            if config.reverse is None
            else ReverseClient(config.reverse, journal=self.journal, seed=config.seed)
        )
        self._rest: RestServer | None = None
        self._rest_faults = RestFaults()
        if config.rest is not None:
            app = RestApp(config.rest, self._engine, self._clock)
            self._rest = RestServer(app, host=config.rest.host, port=config.rest.port)
            self._rest_faults = app.faults
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="voke-sim")
        self._loops: list[Future[None]] = []

    # Life -----------------------------------------------------------------------------------------------

    def declare_topology(self) -> None:
        """Set the in-process broker's queues up, as Voke's side does; harmless when they exist."""
        if self._broker is not None:
            vhost = self._broker.vhost(self.config.transport.vhost)
            declare_topology(vhost, self.names, self.config.partner.prefix)

    def start(self) -> None:
        """Start everything; returns at once."""
        if self.config.transport.kind is TransportKind.MEMORY and self.config.transport.declare_topology:
            self.declare_topology()
        self._transport.start()
        if self._rest is not None:
            self._rest.start()
        self._loops.append(self._pool.submit(self._run_engine))
        if self._reverse is not None:
            self._loops.append(self._pool.submit(self._run_reverse, self._reverse))
        for loop in self._loops:
            loop.add_done_callback(self._on_loop_end)

    def stop(self) -> None:
        """Stop, hand over what is still to be published, save the plants. Raises SimulatorFailed if a
        thread died.
        """
        self._stop.set()
        self._pool.shutdown(wait=True)
        if self._loops and self.failure is None:
            self._tell(self._engine.finish(self._clock()))
        self._transport.close()
        if self._reverse is not None:
            self._reverse.close()
        if self._rest is not None:
            self._rest.stop()
        self.raise_failure()

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.close()

    # Watching -------------------------------------------------------------------------------------------

    @property
    def faults(self) -> FaultBoard:
        """The misbehaviour in force; may be changed at any time."""
        return self._engine.faults

    @property
    def rest_faults(self) -> RestFaults:
        """The refusals of the REST reads in force; may be changed at any time."""
        return self._rest_faults

    def set_limits(self, external_plant_id: str, **limits: float) -> None:
        """Voke's own people change limits of a site, by their names on the wire; the partner is not told."""
        with self._engine.lock:
            for site in self._engine.sites:
                if site.config.external_plant_id == external_plant_id:
                    known = site.config.limits if site.state.constraints is None else site.state.constraints
                    site.configure(Family.CONFIG_CONSTRAINTS, {**known, **limits})
                    return
        raise ValueError(f"{external_plant_id} is none of the sites")

    def plant_time_s(self) -> dict[str, float]:
        """Of each site by its externalPlantId: seconds since the midnight before its plant's first second."""
        with self._engine.lock:
            return {site.config.external_plant_id: site.plant.time_s for site in self._engine.sites}

    @property
    def rest_url(self) -> str | None:
        """Address of the REST reads, without a path."""
        return None if self._rest is None else self._rest.url

    @property
    def is_connected(self) -> bool:
        """Whether messages flow at this moment."""
        return self._transport.is_connected

    @property
    def is_taking(self) -> bool:
        """Whether the broker is set up to take what the partner sends."""
        return self._engine.is_taking

    @property
    def failure(self) -> BaseException | None:
        """What killed a thread, if one died."""
        return next((loop.exception() for loop in self._loops if loop.done() and loop.exception()), None)

    def raise_failure(self) -> None:
        """Raise SimulatorFailed if a thread died."""
        if self.failure is not None:
            raise SimulatorFailed(f"{type(self.failure).__name__}: {self.failure}") from self.failure

    def counts(self) -> Counts:
        """How often what happened since the journal began."""
        return count(self.journal)

    def pulled(self) -> dict[str, int]:
        """Answered requests of the reverse channel by kind: token, list, config, update (2xx and 304)."""
        pulls = self.counts()["pulls"]
        return {
            kind: sum(n for status, n in by_status.items() if 200 <= int(status) < 400)
            for kind, by_status in pulls.items()
        }

    def wait_for(self, condition: Callable[[Counts], bool], *, timeout_s: float) -> Counts:
        """Wait until the counts fulfil a condition; those counts. Raises TimeoutError and SimulatorFailed."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                self.raise_failure()
                counts = self.counts()
                if condition(counts):
                    return counts
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"not within {timeout_s:g} s; counts: {counts}")
                self._changed.wait(min(left_s, _LONGEST_WAIT_S))

    # Threads --------------------------------------------------------------------------------------------

    def _run_engine(self) -> None:
        settings = self.config
        while not self._stop.is_set():
            deliveries = self._transport.receive(settings.transport.prefetch, settings.tick_period_s)
            self._tell(self._engine.tick(self._clock(), deliveries))

    def _run_reverse(self, reverse: ReverseClient) -> None:
        while not self._stop.is_set():
            self._tell(reverse.step(self._clock()))
            at = self._clock()
            wait_s = (reverse.next_due_at(at) - at).total_seconds()
            self._stop.wait(max(0.01, min(wait_s, _LONGEST_WAIT_S)))

    def _tell(self, notes: list[Note]) -> None:
        if not notes:
            return
        if self._on_note is not None:
            for note in notes:
                self._on_note(note)
        with self._changed:
            self._changed.notify_all()

    def _on_loop_end(self, loop: Future[None]) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def _make_transport(self) -> Transport:
        transport = self.config.transport
        if transport.kind is TransportKind.MEMORY:
            if self._broker is None:
                raise ConfigError("transport.kind", "memory needs a broker of the embedding program")
            return MemoryTransport(
                self._broker.vhost(transport.vhost),
                self.names,
                routing_prefix=self.config.partner.prefix,
                prefetch=transport.prefetch,
            )
        return AmqpTransport(
            parse_amqps_uri(transport.uri or ""),
            self.names,
            self.config.partner.prefix,
            transport,
            random.Random(self.config.seed),  # noqa: S311 - jitter
        )
