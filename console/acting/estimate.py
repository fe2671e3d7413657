"""What the battery would come to by a command's end: pure, from present values held still. An estimate, never a rule.

With consumption counted in, the target is the grid's, and the battery does what load and sun leave: grid - load + PV.
Without, the target is the site's own (battery and PV). The battery does no more than its limits; losses are left out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Now:
    """Present values: kW and %; powers never negative but the battery's (+ = charging). None = not known."""

    soc_pct: float | None
    pv_kw: float | None
    load_kw: float | None


@dataclass(frozen=True, kw_only=True)
class BatteryFacts:
    """`capacity_kwh` 0 = no battery; limits None = not known; `low_pct`, `high_pct`: what is allowed until the end."""

    capacity_kwh: float
    max_charge_kw: float | None
    max_discharge_kw: float | None
    low_pct: float
    high_pct: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """`battery_kw`: what is wanted of it, + = charging; `lacking_kw`: how much of that it can't do.

    `soc_pct`: the charge at the end, stopped at the bounds; `bound_at`: when it gets there, None = not before the end.
    """

    battery_kw: float
    lacking_kw: float
    soc_pct: float
    bound_at: datetime | None
    is_charging: bool


def battery_for_target(target_kw: float, now: Now, *, with_consumption: bool) -> float | None:
    """What a battery must do for a site target (kW, + = import); None where sun or load are not known."""
    if now.pv_kw is None or (with_consumption and now.load_kw is None):
        return None
    return target_kw + now.pv_kw - ((now.load_kw or 0.0) if with_consumption else 0.0)


def estimate(
    battery_kw: float, now: Now, facts: BatteryFacts, *, from_at: datetime, until_at: datetime
) -> Estimate | None:
    """Where a battery power leads to; None without a battery or a known charge."""
    if facts.capacity_kwh <= 0 or now.soc_pct is None or until_at <= from_at:
        return None
    limit = facts.max_charge_kw if battery_kw > 0 else facts.max_discharge_kw
    done = battery_kw if limit is None else max(-limit, min(limit, battery_kw))
    rate_pct_h = 100 * done / facts.capacity_kwh
    hours = (until_at - from_at).total_seconds() / 3600
    reached = now.soc_pct + rate_pct_h * hours
    bound = _bound(now.soc_pct, reached, facts)
    bound_at = None
    if bound is not None and rate_pct_h:
        bound_at = from_at + timedelta(hours=max(0.0, (bound - now.soc_pct) / rate_pct_h))
    return Estimate(
        battery_kw=battery_kw,
        lacking_kw=abs(battery_kw - done),
        soc_pct=reached if bound is None else bound,
        bound_at=bound_at,
        is_charging=done > 0,
    )


def _bound(start: float, reached: float, facts: BatteryFacts) -> float | None:
    """The bound that is passed on the way; a battery beyond it already is only not driven further out."""
    if reached > start and reached > facts.high_pct:
        return max(start, facts.high_pct)
    if reached < start and reached < facts.low_pct:
        return min(start, facts.low_pct)
    return None
