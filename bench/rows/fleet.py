"""Two consumers and two relays over two connections, beside one of each: is it more, is anything lost or doubled.

Each run counts: every message of the queues is one row, every command is confirmed once and one message at the broker.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from time import perf_counter

from django.conf import settings

from bench.dispatching import TABLES, Fleet, any_unsent, plan
from bench.emptying import held_back, middle_rate, stored, until
from bench.house import processes
from bench.ingesting import empty_tables
from bench.messages import Voice, Wire, fill, require_empty
from bench.row import Better, Row, Variant, WarmUp
from bench.world import START, World
from dispatch.models import OutboundMessage, Outcome
from esm import clock
from esm.ticks import run_tick
from plants.models import Installation

ORDER = 90
PLANTS = 100
CONNECTIONS = 2
WITHIN_S, QUICK_WITHIN_S = 300.0, 120.0


def rows(world: World) -> Sequence[Row]:
    """`fleet_ingest` and `fleet_dispatch`."""
    ingest = Ingest(world, rounds=48 if world.quick else 96)
    dispatch = Dispatch(world, each=1_000 if world.quick else 3_000)
    within_s = QUICK_WITHIN_S if world.quick else WITHIN_S
    return [
        Row(
            name="fleet_ingest",
            what="telemetry in the queues of two connections -> committed rows, two consumers beside one",
            unit="msg/s",
            better=Better.HIGHER,
            variants=_variants(ingest.run),
            within_s=within_s,
        ),
        Row(
            name="fleet_dispatch",
            what="setpoints of two connections in the outbox -> SENT, two relays beside one",
            unit="cmd/s",
            better=Better.HIGHER,
            variants=_variants(dispatch.run),
            within_s=within_s,
        ),
    ]


def _variants(run: Callable[[int], float]) -> Sequence[Variant]:
    return [
        Variant(name="ours", run=lambda: run(2), warm_up=WarmUp.NEVER),
        Variant(name="one process", run=lambda: run(1), warm_up=WarmUp.NEVER),
    ]


class Ingest:
    """Two filled connections; the processes are connected before anything is stored."""

    def __init__(self, world: World, *, rounds: int) -> None:
        self._world = world
        self._rounds = rounds

    @cached_property
    def _fleets(self) -> list[Fleet]:
        return [Fleet(self._world, plants=PLANTS) for _ in range(CONNECTIONS)]

    @cached_property
    def _wires(self) -> list[list[Wire]]:
        return [
            Voice(prefix=one.side.partner.slug).rounds(
                [str(plant.voke_uuid) for plant in one.plants], count=self._rounds, start=START
            )
            for one in self._fleets
        ]

    def run(self, consumers: int) -> float:
        """Messages a second of both connections together."""
        empty_tables(self._world)
        for one, wires in zip(self._fleets, self._wires, strict=True):
            fill(self._world, one.side, wires)
        everything = [wire for wires in self._wires for wire in wires]
        meters = sum(".meter." in wire.routing_key for wire in everything)
        wanted = (len(everything) - meters, 2 * meters)
        held = consumers * CONNECTIONS * settings.AMQP_PREFETCH
        with held_back(self._world) as release, self._world.database() as look:
            with processes(self._world, [one.side for one in self._fleets], *["consume"] * consumers):
                release()
                rate = middle_rate(look, held=held, count=len(everything))
                until(lambda: stored(look) == wanted, f"{wanted} rows")
            for one in self._fleets:
                require_empty(self._world, one.side)
            if stored(look) != wanted:
                raise AssertionError(f"{stored(look)} rows, not {wanted}")
        return rate


class Dispatch:
    """Two connections whose outbox is full when the relays, which are connected, are let go.

    One process signs and stores what is due, whatever the number of relays, and is slower than they are: with it in the
    time two relays and one would be told by the tick.
    """

    def __init__(self, world: World, *, each: int) -> None:
        self._world = world
        self._each = each

    @cached_property
    def _fleets(self) -> list[Fleet]:
        return [Fleet(self._world, plants=self._each) for _ in range(CONNECTIONS)]

    def run(self, relays: int) -> float:
        """Commands a second of both connections together."""
        for one in self._fleets:
            one.empty()
        for one in self._fleets:
            plan(one, self._each)
        count = CONNECTIONS * self._each
        sides = [one.side for one in self._fleets]
        with self._world.database() as look, processes(self._world, sides, *["relay"] * relays):
            _let_send(False)
            run_tick("queue_due", at=clock.now())
            began = perf_counter()
            _let_send(True)
            until(lambda: not any_unsent(look), f"{count} commands")
            took_s = perf_counter() - began
        self._check(count)
        self._world.truncate(*TABLES)
        return count / took_s

    def _check(self, count: int) -> None:
        """Each command left once, and each connection's broker holds its own."""
        once = OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED, attempts=1).count()
        held = [one.at_the_broker() for one in self._fleets]
        if once != count or held != [self._each] * CONNECTIONS:
            raise AssertionError(
                f"of {count} commands {once} were confirmed at once, the brokers hold {held}"
            )


def _let_send(enabled: bool) -> None:
    """The switch over all of dispatch: while it is off nothing is claimed."""
    Installation.objects.update_or_create(pk=1, defaults={"dispatch_enabled": enabled})
