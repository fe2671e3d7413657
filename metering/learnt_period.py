"""Which period a stream shows, from rollups alone: how many readings there were and how much they cover.

While readings are no further apart than one is held, the time covered by each is the period itself, holes or not. Where
they are further apart each covers its whole hold and no more: then the interval divided by their number is the period.
Quarter-hours with holes would then show too long a one, so most quarter-hours must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from metering.rules import QUARTER_S

LEAST_QUARTERS = 8
CLEARLY = 0.2
"""So much shorter or longer (as a share) is another period; and within so much the quarter-hours agree."""
_ALIKE = 0.05
_ALMOST_ALL = 0.98


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One quarter-hour with at least one reading: their number, the seconds they cover, the most that one can cover."""

    readings: int
    covered_s: float
    most_each_s: float

    @property
    def period_s(self) -> float:
        each_s = self.covered_s / self.readings
        apart = not each_s or each_s >= _ALMOST_ALL * self.most_each_s
        return QUARTER_S / self.readings if apart else each_s


def other_period(
    quarters: Sequence[Shown], *, expected_s: float, default_s: float, most_s: float
) -> float | None:
    """The period that these quarter-hours show if it is clearly another than expected; None = it is not, or unclear.

    One that is about the default is the default; none is longer than `most_s`.
    """
    if len(quarters) < LEAST_QUARTERS:
        return None
    low, middle, high = quantiles([shown.period_s for shown in quarters], n=4, method="inclusive")
    if high - low > 2 * CLEARLY * middle or abs(middle - expected_s) <= CLEARLY * expected_s:
        return None
    period_s = default_s if abs(middle - default_s) <= _ALIKE * default_s else round(middle, 1)
    period_s = min(max(period_s, 1.0), most_s)
    return None if abs(period_s - expected_s) <= CLEARLY * expected_s else period_s
