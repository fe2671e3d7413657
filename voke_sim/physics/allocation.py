"""The plant's local controller: which powers keep the site inside what it was asked for.

The order is one taste for all orders: leave batteries idle where that is enough, then use them, then
curtail PV where the order allows it; the site's limits come last and may always curtail.
"""

from collections.abc import Mapping

import msgspec

from voke_sim.physics.battery import Window


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a power between two bounds (equal = a target). + = import.

    With `include_consumption` the power is the grid's; without, it is battery minus PV: what the devices
    alone take.
    """

    low_kw: float | None = None
    high_kw: float | None = None
    include_consumption: bool = True
    may_curtail: bool = False


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """Targets for all batteries together (+ = charging) and for all PV together."""

    battery_kw: float
    pv_kw: float


def allocate(
    *,
    load_kw: float,
    pv_kw: float,
    idle_kw: float,
    ordered: Window,
    possible: Window,
    band: Band | None,
    grid: Band,
) -> Allocation:
    """Targets from the load, the PV power at hand, what the batteries were told and may do, the order, the
    limits.

    `idle_kw` is what the batteries take when nothing is asked of them together (fixed orders to single
    ones). The order moves batteries only within what they were told themselves (`ordered`); the grid limits
    may use all that is `possible`.
    """
    now = Allocation(battery_kw=idle_kw, pv_kw=pv_kw)
    if band is not None:
        now = _into(band, now, load_kw if band.include_consumption else 0.0, ordered)
    return _into(grid, now, load_kw, possible)


def _into(band: Band, now: Allocation, load_kw: float, room: Window) -> Allocation:
    """Move into the band by the batteries, then by curtailing what they could not take."""
    battery_kw, pv_kw = now.battery_kw, now.pv_kw
    net_kw = load_kw - pv_kw + battery_kw
    if band.high_kw is not None and net_kw > band.high_kw:
        battery_kw = max(min(room.low_kw, battery_kw), battery_kw - (net_kw - band.high_kw))
    elif band.low_kw is not None and net_kw < band.low_kw:
        missing_kw = band.low_kw - net_kw
        battery_kw = min(max(room.high_kw, battery_kw), battery_kw + missing_kw)
        missing_kw -= battery_kw - now.battery_kw
        if band.may_curtail:
            pv_kw = max(0.0, pv_kw - missing_kw)
    return Allocation(battery_kw=battery_kw, pv_kw=pv_kw)


def share_out(
    total_kw: float, *, ordered: Mapping[str, Window], possible: Mapping[str, Window]
) -> dict[str, float]:
    """Split a battery target: each from its idle point into what it was told, then into what it may do."""
    points = {name: window.clip(0.0) for name, window in ordered.items()}
    points = _spread(points, ordered, total_kw - sum(points.values()))
    return _spread(points, possible, total_kw - sum(points.values()))


def _spread(
    points: Mapping[str, float], windows: Mapping[str, Window], missing_kw: float
) -> dict[str, float]:
    """Move all points in proportion to the room that each has in the direction of what is missing."""
    room = {
        name: max(0.0, windows[name].high_kw - point if missing_kw > 0 else point - windows[name].low_kw)
        for name, point in points.items()
    }
    all_room_kw = sum(room.values())
    if all_room_kw <= 0:
        return dict(points)
    part = max(-1.0, min(1.0, missing_kw / all_room_kw))
    return {name: point + part * room[name] for name, point in points.items()}
