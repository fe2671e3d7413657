"""The console's pages over 1,000 plants, a day of plans and commands, and ten million samples."""

from collections.abc import Mapping, Sequence

from bench.console import Fleet, addresses, rows_address
from bench.row import Better, Row, Variant, at_most
from bench.world import World

ORDER = 75
WITHIN_S, QUICK_WITHIN_S = 400.0, 120.0
_WHAT: Mapping[str, str] = {
    "page": "the fleet's page: totals, cards, 50 rows",
    "list": "the list alone: 50 rows",
    "search": "the list while somebody types",
    "top": "totals and cards, as refreshed every 10 s",
    "day": "the fleet's day: plan and measurement",
    "rows": "50 rows anew",
}


def rows(world: World) -> Sequence[Row]:
    """`console_fleet_{part}`: p99 of the whole of Django, in this process; the median beside it."""
    fleet = Fleet(world)
    return [
        Row(
            name=f"console_fleet_{name}",
            what=f"p99 of {what}, {fleet.plants:,} plants",
            unit="ms",
            better=Better.LOWER,
            variants=[
                Variant(name="ours", run=lambda name=name: _answer(fleet, name).p99_ms),
                Variant(name="p50", run=lambda name=name: _answer(fleet, name).p50_ms),
            ],
            targets=[at_most(100, "ms")],
            within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
        )
        for name, what in _WHAT.items()
    ]


def _answer(fleet: Fleet, name: str):
    if name == "rows":
        return fleet.answer(rows_address(fleet))
    address, headers = addresses()[name]
    return fleet.answer(address, **headers)
