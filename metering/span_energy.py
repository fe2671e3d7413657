"""Energy of one register within any span, pure: the differences of its readings, by the rules of `metering.registers`.

The difference of two readings is spread evenly over the time between them. A hole within the span loses nothing: a
register is absolute. A hole over a bound is an estimate, so it covers nothing; neither does what lies before the first
or after the last reading. A fall or a leap is judged as everywhere; where its energy is not known nothing is covered.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from metering.registers import HOUR_US, REGISTERS, MeterRules, Pair, Reading, Verdict, judge


class SpanEnergy(NamedTuple):
    """What a register counted in the microseconds for which that is known; `readings`: those within the span."""

    energy_kwh: float
    known_us: int
    readings: int

    @property
    def mean_kw(self) -> float | None:
        """The mean power of the time that is known."""
        return self.energy_kwh * HOUR_US / self.known_us if self.known_us else None


def energy_of_span(
    readings: Sequence[Reading],
    *,
    register: int,
    low_us: int,
    high_us: int,
    rules: MeterRules,
    decided: Mapping[Pair, Verdict] | None = None,
) -> SpanEnergy:
    """Of [low, high). `readings` in order of time, those around the bounds included; `decided`: by people, on pairs."""
    told = [(one.at_us, value) for one in readings if (value := one.kwh[register]) is not None]
    energy_kwh, known_us = 0.0, 0
    for (before_us, before_kwh), (after_us, after_kwh) in pairwise(told):
        share_us = min(after_us, high_us) - max(before_us, low_us)
        span_us = after_us - before_us
        if share_us <= 0 or span_us > rules.bridge_us:
            continue
        within = low_us <= before_us and after_us <= high_us
        if not within and span_us > rules.tolerance_us(before_us):
            continue
        pair = Pair(REGISTERS[register], before_us, after_us, before_kwh, after_kwh)
        verdict = (decided or {}).get(pair) or judge(
            before_kwh=before_kwh, after_kwh=after_kwh, possible_kwh=rules.possible_kwh(span_us)
        )
        if verdict.energy_kwh is None:
            continue
        energy_kwh += verdict.energy_kwh * share_us / span_us
        known_us += share_us
    return SpanEnergy(energy_kwh, known_us, sum(low_us <= at_us <= high_us for at_us, _ in told))
