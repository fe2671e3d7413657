"""Energy from the readings of one meter: what its registers counted in each quarter-hour, and where they fell or leapt.

A register is absolute and grows, so the energy between two readings is their difference. It is spread evenly over the
time between them; quarter-hours sum to what the register counted. A register that is missing in some readings goes on
from its last known value. Rules:

- Hole: two readings further apart than the tolerance. Their energy counts, is told as estimated, and covers nothing.
- Bridge: two values further apart than this have nothing to do with each other; nothing is counted between them.
- Jitter: a fall by one step of the last digit is no event. It is counted as it is, because the next reading takes it
  back; a quarter-hour's energy never goes below zero for it.
- A fall or a leap is judged by what the plant could have moved since, see `judge`. Energy that is not known stays out
  of the sums, and the time it belongs to is not covered.

Interpretation: Voke does not say how registers end; full scales are those of common meters, powers of ten and of two.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

QUARTER_US = 900_000_000
HOUR_US = 3_600_000_000
REGISTERS = ("IMPORT", "EXPORT", "PRODUCTION", "CHARGE", "DISCHARGE")
RESOLUTION_KWH = 0.0015
"""One step of the last digit of common meters (0.001 kWh) and what floats add to it."""
POWER_MARGIN = 1.5
"""Rated and agreed powers are passed for a while; only far beyond them a difference is no energy."""
STEP_US = 900_000_000
"""A gateway that reads its meter every quarter-hour shows all of that energy in one step."""
NEAR_FULL = 0.01
"""A register that ran over was within this share of its full scale."""
FULL_SCALES_KWH = tuple(
    sorted([*(10.0**digits for digits in range(3, 10)), 2**31 / 1000, 2**32 / 1000, 2**31 / 100, 2**32 / 100])
)


class LeapKind(StrEnum):
    """What a fall or a leap of a register is taken for."""

    RESET = "RESET"
    ROLLOVER = "ROLLOVER"
    EXCHANGE = "EXCHANGE"


class Reading(NamedTuple):
    """What a meter said at one instant (microseconds since 1970, UTC); None = the register was not told.

    `kwh` in the order of REGISTERS. A reading of quality MISSING tells no register.
    """

    at_us: int
    quality_rank: int
    role: str
    kwh: tuple[float | None, ...]


class Pair(NamedTuple):
    """Two values of one register that follow each other."""

    register: str
    before_us: int
    after_us: int
    before_kwh: float
    after_kwh: float


class Verdict(NamedTuple):
    """What the difference of a pair is taken for: no kind = plain counting; no energy = not known."""

    kind: LeapKind | None
    energy_kwh: float | None


class Leap(NamedTuple):
    """A pair whose difference is not plain counting, and what is counted for it."""

    pair: Pair
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class MeterRules:
    """What a plant's meters are judged by.

    `tolerances`: (valid from, tolerance), microseconds, ascending, the first valid since ever; two readings further
    apart leave a hole. `power_kw`: the most that the plant is known to move in any direction.
    """

    tolerances: Sequence[tuple[int, int]]
    bridge_us: int
    power_kw: float

    def tolerance_us(self, at_us: int) -> int:
        """How far the next reading after `at_us` may be away."""
        return self.tolerances[max(0, bisect_right(self.tolerances, (at_us, 1 << 62)) - 1)][1]

    def possible_kwh(self, span_us: int) -> float:
        """The most that a register can have counted in this time."""
        return POWER_MARGIN * self.power_kw * (span_us + STEP_US) / HOUR_US


@dataclass(frozen=True, kw_only=True)
class QuarterEnergy:
    """What one meter counted in one quarter-hour; columns of `metering.models.MeterQuarter`.

    `energies_kwh` in the order of REGISTERS, None = nothing is known. `quality_rank`: of the worst reading that counts.
    """

    role: str
    energies_kwh: tuple[float | None, ...]
    readings: int
    covered_s: float
    quality_rank: int | None
    estimated: bool
    events: str


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The quarter-hours of which something is known, by their beginning (microseconds), and the leaps found."""

    quarters: Mapping[int, QuarterEnergy]
    leaps: Sequence[Leap]


@dataclass(slots=True)
class _Quarter:
    """A quarter-hour while it is counted."""

    energies_kwh: list[float | None] = field(default_factory=lambda: [None] * len(REGISTERS))
    role: str = ""
    readings: int = 0
    covered_us: int = 0
    rank: int | None = None
    estimated: bool = False
    events: set[LeapKind] = field(default_factory=set)

    def add(self, register: int, energy_kwh: float) -> None:
        known = self.energies_kwh[register]
        self.energies_kwh[register] = energy_kwh if known is None else known + energy_kwh

    def worst(self, rank: int) -> None:
        if self.rank is None or rank < self.rank:
            self.rank = rank

    def result(self) -> QuarterEnergy:
        return QuarterEnergy(
            role=self.role,
            energies_kwh=tuple(None if one is None else max(0.0, one) for one in self.energies_kwh),
            readings=self.readings,
            covered_s=self.covered_us / 1_000_000,
            quality_rank=self.rank,
            estimated=self.estimated,
            events=",".join(kind for kind in LeapKind if kind in self.events),
        )


def judge(*, before_kwh: float, after_kwh: float, possible_kwh: float) -> Verdict:
    """What the difference of two values is taken for, when at most `possible_kwh` can have been counted between them.

    ROLLOVER: it was close to a full scale and the way over it was possible. RESET: it fell, and all of the new value
    can have been counted since. EXCHANGE: every other fall, and a rise beyond what was possible; its energy is unknown.
    """
    risen = after_kwh - before_kwh
    if -RESOLUTION_KWH <= risen <= possible_kwh:
        return Verdict(None, risen)
    if risen > 0:
        return Verdict(LeapKind.EXCHANGE, None)
    for full in FULL_SCALES_KWH:
        if full * (1 - NEAR_FULL) <= before_kwh < full and full + risen <= possible_kwh and after_kwh >= 0:
            return Verdict(LeapKind.ROLLOVER, full + risen)
    if 0 <= after_kwh <= possible_kwh:
        return Verdict(LeapKind.RESET, after_kwh)
    return Verdict(LeapKind.EXCHANGE, None)


def count_energy(
    readings: Sequence[Reading],
    *,
    low_us: int,
    high_us: int,
    rules: MeterRules,
    decided: Mapping[Pair, Verdict] | None = None,
) -> Counted:
    """The quarter-hours of [low, high) of one meter; both bounds begin a quarter-hour.

    `readings` are in order of time, no instant twice, and reach for each register to its last known value before and
    its first at or after the bounds. `decided`: what people decided on pairs, in place of `judge`.
    """
    told = [one for one in readings if any(value is not None for value in one.kwh)]
    count = _Count(told, low_us, high_us, rules, decided or {})
    for register in range(len(REGISTERS)):
        count.register(register)
    count.coverage()
    return Counted(
        quarters={number * QUARTER_US: count.quarters[number].result() for number in sorted(count.quarters)},
        leaps=count.leaps,
    )


class _Count:
    """One run of `count_energy`. Quarter-hours are numbered from 1970."""

    def __init__(
        self,
        readings: Sequence[Reading],
        low_us: int,
        high_us: int,
        rules: MeterRules,
        decided: Mapping[Pair, Verdict],
    ) -> None:
        self.readings = readings
        self.numbers = [one.at_us // QUARTER_US for one in readings]
        self.first, self.end = low_us // QUARTER_US, high_us // QUARTER_US
        self.rules = rules
        self.decided = decided
        self.quarters: dict[int, _Quarter] = {}
        self.leaps: list[Leap] = []
        self.unknown: list[tuple[int, int]] = []
        self.least_tolerance_us = min(tolerance for _, tolerance in rules.tolerances)

    def quarter(self, number: int) -> _Quarter:
        found = self.quarters.get(number)
        if found is None:
            found = self.quarters[number] = _Quarter()
        return found

    def register(self, register: int) -> None:
        """Sum the differences of one register.

        Nearly all pairs are plain: both within one quarter-hour, no hole, no leap. They are summed right here.
        """
        rate = POWER_MARGIN * self.rules.power_kw / HOUR_US
        near_us = 0 if self.decided else self.least_tolerance_us
        before: Reading | None = None
        value_before, at_before, number_before = 0.0, 0, -1
        total: float | None = None
        for reading, number in zip(self.readings, self.numbers, strict=True):
            value = reading.kwh[register]
            if value is None:
                continue
            at = reading.at_us
            if before is not None:
                span, risen = at - at_before, value - value_before
                if (
                    number == number_before
                    and span <= near_us
                    and -RESOLUTION_KWH <= risen <= rate * (span + STEP_US)
                ):
                    total = risen if total is None else total + risen
                else:
                    self._flush(register, number_before, total)
                    total = None
                    pair = Pair(REGISTERS[register], at_before, at, value_before, value)
                    self._uncommon(register, pair, before, reading)
            before, value_before, at_before, number_before = reading, value, at, number
        self._flush(register, number_before, total)

    def _flush(self, register: int, number: int, total: float | None) -> None:
        if total is not None and self.first <= number < self.end:
            self.quarter(number).add(register, total)

    def _uncommon(self, register: int, pair: Pair, before: Reading, after: Reading) -> None:
        """A pair over a boundary, over a hole, with a leap, or that somebody may have decided on."""
        span = pair.after_us - pair.before_us
        outside = pair.after_us <= self.first * QUARTER_US or pair.before_us >= self.end * QUARTER_US
        if outside or span > self.rules.bridge_us:
            return
        verdict = self.decided.get(pair) or judge(
            before_kwh=pair.before_kwh, after_kwh=pair.after_kwh, possible_kwh=self.rules.possible_kwh(span)
        )
        if verdict.kind is not None:
            self.leaps.append(Leap(pair, verdict))
        if verdict.energy_kwh is None:
            self.unknown.append((pair.before_us, pair.after_us))
        rank = min(before.quality_rank, after.quality_rank)
        hole = span > self.rules.tolerance_us(pair.before_us)
        for number, share_us in self._shares(pair.before_us, pair.after_us):
            quarter = self.quarter(number)
            quarter.worst(rank)
            quarter.role = after.role or quarter.role
            if verdict.kind is not None:
                quarter.events.add(verdict.kind)
            if verdict.energy_kwh is not None:
                quarter.add(register, verdict.energy_kwh * share_us / span)
                quarter.estimated |= hole or verdict.kind is not None

    def coverage(self) -> None:
        """Count the readings of each quarter-hour, and the seconds between those that are no hole."""
        before: Reading | None = None
        for reading, number in zip(self.readings, self.numbers, strict=True):
            if self.first <= number < self.end:
                quarter = self.quarter(number)
                quarter.readings += 1
                quarter.worst(reading.quality_rank)
                quarter.role = reading.role or quarter.role
            if before is not None:
                self._cover(before, reading)
            before = reading

    def _cover(self, before: Reading, after: Reading) -> None:
        low, high = before.at_us, after.at_us
        if high - low > self.least_tolerance_us and high - low > self.rules.tolerance_us(low):
            return
        if self.unknown and any(begin <= low and high <= end for begin, end in self.unknown):
            return
        for number, share_us in self._shares(low, high):
            self.quarter(number).covered_us += share_us

    def _shares(self, low_us: int, high_us: int) -> Iterator[tuple[int, int]]:
        """(quarter-hour, microseconds of [low, high) within it), of those that are asked for."""
        first, last = low_us // QUARTER_US, (high_us - 1) // QUARTER_US
        for number in range(max(first, self.first), min(last, self.end - 1) + 1):
            begin = number * QUARTER_US
            yield number, min(high_us, begin + QUARTER_US) - max(low_us, begin)
