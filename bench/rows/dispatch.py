"""Setpoints that are due in one tick, until the last of them is SENT in the database.

Ours: the tick `queue_due` in this process, as a worker runs it, and `manage.py relay` in a process of its own, which is
connected before the clock starts, as in production.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from bench.dispatching import Fleet, plan, running_relay, until_sent
from bench.floor_dispatch import Floor
from bench.naive_dispatch import send_each
from bench.row import Better, Row, Target, Variant, WarmUp, at_least
from bench.world import World
from esm import clock
from esm.ticks import run_tick
from tests.services.proxy import Proxy

ORDER = 30
ROUND_TRIP_S = 0.020
WITHIN_S, QUICK_WITHIN_S = 420.0, 120.0


def rows(world: World) -> Sequence[Row]:
    """`dispatch_10k` and `dispatch_rtt20`."""
    count, naive_count = (2_000, 200) if world.quick else (10_000, 600)
    within_s = QUICK_WITHIN_S if world.quick else WITHIN_S
    fleet = Fleet(world, plants=count)
    floor = Floor(fleet, count)
    tenfold = Variant(
        name="10 each for a tenth of the plants", run=_ours(fleet, count, each=10), warm_up=WarmUp.NEVER
    )
    references = [] if world.quick else [tenfold]  # one message of a plant is on its way at a time
    return [
        Row(
            name="dispatch_10k",
            what=f"{count:,} setpoints due in one tick: signed, stored, confirmed by the broker, SENT recorded",
            unit="cmd/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=_ours(fleet, count)),
                Variant(name="naive", run=lambda: send_each(fleet, naive_count), warm_up=WarmUp.FULL),
                Variant(name="floor: sign", run=floor.sign),
                Variant(name="floor: COPY", run=floor.copy),
                Variant(name="floor: publish", run=floor.publish),
                Variant(name="floor: update", run=floor.update),
                *references,
            ],
            targets=[at_least("naive", 8), at_least("floor", 0.5)],
            within_s=within_s,
        ),
        Row(
            name="dispatch_rtt20",
            what=f"the same, the broker behind a link with a round trip of {ROUND_TRIP_S * 1000:g} ms",
            unit="cmd/s",
            better=Better.HIGHER,
            variants=[
                # The relay is a new process each time; the tick before it has been warmed up by the row above.
                Variant(name="ours", run=_far(fleet, count), warm_up=WarmUp.NEVER),
                Variant(name="local", run=_ours(fleet, count), warm_up=WarmUp.NEVER),
            ],
            within_s=within_s,
            targets=[
                Target(
                    text="<= 1.5 x the local time",
                    met=lambda result: result.value * 1.5 >= result.others["local"],
                )
            ],
        ),
    ]


def _ours(fleet: Fleet, count: int, *, each: int = 1) -> Callable[[], float]:
    def run() -> float:
        fleet.empty()
        plan(fleet, count, each=each)
        with running_relay(fleet):
            return _timed(fleet, count)

    return run


def _far(fleet: Fleet, count: int) -> Callable[[], float]:
    def run() -> float:
        fleet.empty()
        plan(fleet, count)
        partner = fleet.side.partner
        with Proxy(fleet.world.rabbit.port, latency_s=ROUND_TRIP_S / 2) as far:
            uri = partner.uri.replace(f":{fleet.world.rabbit.port}/", f":{far.port}/")
            with running_relay(fleet, amqps_uri=uri):
                return _timed(fleet, count)

    return run


def _timed(fleet: Fleet, count: int) -> float:
    """One tick; commands per second until the last one is SENT."""
    began = perf_counter()
    run_tick("queue_due", at=clock.now())
    return count / until_sent(fleet, count, began=began)
