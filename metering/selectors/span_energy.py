"""What the meters of many plants counted within any spans: the site's at its grid connection, or its own devices'.

As a mean power, in the site's sign (positive = import), so that it compares with telemetry; times the span it is the
energy. None where the meters can't tell it: one of the registers is missing, or meters of one role took turns within
the span (an exchange), which telemetry tells better.

- The site's: import less export of its GRID meters; where none has that role, of all meters (as `energy_balance`).
- Its own: charge less discharge less production, each from whichever meter tells it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from metering.registers import REGISTERS, MeterRules, Pair, Reading, Verdict
from metering.rules import RollupRules
from metering.selectors.energy import GRID
from metering.selectors.meter_facts import MeterLimits, PlantFacts, facts_of_plants
from metering.selectors.meter_readings import PlantSpan, readings_of_plants, to_us
from metering.selectors.span_power import PowerSpan
from metering.services.register_events import StoredEvents
from metering.span_energy import SpanEnergy, energy_of_span

_IMPORT, _EXPORT, _PRODUCTION, _CHARGE, _DISCHARGE = range(len(REGISTERS))
_AT_ONCE = 0.9
"""Registers whose known times differ more than this did not count side by side."""
_AROUND_US = timedelta(hours=1) // timedelta(microseconds=1)
"""At most this far around a span its neighbours are looked for, however long the expected period is."""


class EnergySpan(NamedTuple):
    """A span and whether the plant's own power is meant, else the grid's."""

    span: PowerSpan
    own: bool


@dataclass(frozen=True, kw_only=True)
class MeteredMean:
    """The mean power that the registers tell, for how many seconds, and how many readings that took."""

    mean_kw: float
    known_s: float
    readings: int


class _Bounds(NamedTuple):
    low_us: int
    high_us: int
    rules: MeterRules


def metered_means(
    *, spans: Sequence[EnergySpan], rules: RollupRules, limits: MeterLimits
) -> list[MeteredMean | None]:
    """For each span what its meters counted: five queries on PostgreSQL, however many spans."""
    if not spans:
        return []
    plant_ids = sorted({one.span.plant_id for one in spans})
    facts = facts_of_plants(plant_ids=plant_ids, rules=rules, limits=limits)
    events = StoredEvents(
        plant_ids=plant_ids,
        low_us=min(to_us(one.span.low) for one in spans),
        high_us=max(to_us(one.span.high) for one in spans),
    )
    wide = [_around(one.span, facts.get(one.span.plant_id)) for one in spans]
    found: list[MeteredMean | None] = []
    for one, by_device in zip(spans, readings_of_plants(spans=wide), strict=True):
        plant_id = one.span.plant_id
        if plant_id not in facts:
            found.append(None)
            continue
        bounds = _Bounds(to_us(one.span.low), to_us(one.span.high), facts[plant_id].rules)
        decided = {device: events.decided((plant_id, device)) for device in by_device}
        found.append(_own(one, by_device, bounds, decided) if one.own else _grid(by_device, bounds, decided))
    return found


def _around(span: PowerSpan, facts: PlantFacts | None) -> PlantSpan:
    """The span with the readings around it that say what the registers were at its bounds."""
    low_us, high_us = to_us(span.low), to_us(span.high)
    around_us = 0 if facts is None else min(facts.rules.tolerance_us(low_us), _AROUND_US)
    return PlantSpan(span.plant_id, low_us - around_us, high_us + around_us + 1)


_Decided = Mapping[str, Mapping[Pair, Verdict] | None]


def _grid(
    by_device: Mapping[str, Sequence[Reading]], bounds: _Bounds, decided: _Decided
) -> MeteredMean | None:
    at_grid = {device: told for device, told in by_device.items() if told[-1].role == GRID} or by_device
    return _signed(at_grid, {_IMPORT: 1, _EXPORT: -1}, bounds, decided)


def _own(
    one: EnergySpan, by_device: Mapping[str, Sequence[Reading]], bounds: _Bounds, decided: _Decided
) -> MeteredMean | None:
    signs = {_CHARGE: 1, _DISCHARGE: -1} if one.span.has_battery else {}
    if one.span.has_pv:
        signs |= {_PRODUCTION: -1}
    return _signed(by_device, signs, bounds, decided) if signs else None


def _signed(
    by_device: Mapping[str, Sequence[Reading]],
    signs: Mapping[int, int],
    bounds: _Bounds,
    decided: _Decided,
) -> MeteredMean | None:
    """The sum of the registers with these signs; None unless each is told, all of them for the same time."""
    mean_kw, parts = 0.0, []
    for register, sign in signs.items():
        counted = [
            part
            for device, told in by_device.items()
            if (part := _counted(told, register, bounds, decided[device])).known_us
        ]
        if not counted:
            return None
        parts += counted
        mean_kw += sign * sum(part.mean_kw or 0.0 for part in counted)
    known_us = [part.known_us for part in parts]
    if min(known_us) < _AT_ONCE * max(known_us):
        return None
    return MeteredMean(
        mean_kw=mean_kw, known_s=min(known_us) / 1_000_000, readings=sum(part.readings for part in parts)
    )


def _counted(
    told: Sequence[Reading], register: int, bounds: _Bounds, decided: Mapping[Pair, Verdict] | None
) -> SpanEnergy:
    return energy_of_span(
        told,
        register=register,
        low_us=bounds.low_us,
        high_us=bounds.high_us,
        rules=bounds.rules,
        decided=decided,
    )
