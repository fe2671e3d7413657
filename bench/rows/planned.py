"""Slots of many plants that begin at one moment, until each has its signed message in the outbox.

Ours: the tick `plan_slots` in this process, as a worker runs it. What the relay does with the messages is
`dispatch_10k`.
"""

from collections.abc import Sequence

from bench.dispatching import Fleet
from bench.planned import WrittenRows, carry_out, submit_each
from bench.row import Better, Row, Variant, WarmUp, at_least
from bench.world import World

ORDER = 35
WITHIN_S, QUICK_WITHIN_S = 420.0, 120.0


def rows(world: World) -> Sequence[Row]:
    """`slots_10k`."""
    count, naive_count = (2_000, 200) if world.quick else (10_000, 600)
    fleet = Fleet(world, plants=count)
    written = WrittenRows(fleet, count)
    return [
        Row(
            name="slots_10k",
            what=f"{count:,} slots that begin at one moment: judged, signed, stored, in the outbox",
            unit="slots/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=lambda: carry_out(fleet, count)),
                Variant(name="naive", run=lambda: submit_each(fleet, naive_count), warm_up=WarmUp.FULL),
                Variant(name="floor", run=written.write),
            ],
            targets=[at_least("naive", 8)],
            within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
        )
    ]
