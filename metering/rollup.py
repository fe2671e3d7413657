"""What samples of a plant say about an interval: the reference that both databases must agree with.

A sample counts from its own moment to the next sample's, at most `hold_s`, clipped to the interval; so one that was
measured before the interval may count in it. A sample of quality MISSING, and one whose values are all null, ends the
sample before it and covers nothing; a single null leaves its measure unknown for that time. Signs as in
docs/glossary.md; energies are split by direction and never negative. None = nothing is known.

Interpretation: a quality word that Voke does not publish counts like any other, with the worst rank (0).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

MEASURES = (
    "grid_power_kw",
    "fve_power_kw",
    "battery_power_kw",
    "consumption_power_kw",
    "soc_pct",
    "available_battery_energy_kwh",
    "battery_temperature_c",
)
ENERGIES: Mapping[str, tuple[str, int]] = {
    "grid_import_kwh": ("grid_power_kw", 1),
    "grid_export_kwh": ("grid_power_kw", -1),
    "fve_kwh": ("fve_power_kw", 1),
    "charge_kwh": ("battery_power_kw", 1),
    "discharge_kwh": ("battery_power_kw", -1),
    "consumption_kwh": ("consumption_power_kw", 1),
}
"""Energy column: the measure that it is the integral of, and the sign of the power that counts."""

GOOD_RANK = 3
TINY = 1e-30
"""A value nearer to nothing than this counts as 0: PostgreSQL refuses a product that vanishes."""
_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A realtime sample: its seven values in the order of MEASURES, None = null; `missing` = quality MISSING."""

    measured_at: datetime
    values: tuple[float | None, ...]
    quality_rank: int
    missing: bool = False

    @property
    def speaks(self) -> bool:
        return not self.missing and any(value is not None for value in self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureRollup:
    """One measure over the `known_s` seconds for which it is known."""

    known_s: float
    least: float
    most: float
    mean: float
    last: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollup:
    """What is known of an interval; a measure or energy that is not in the mapping was never known."""

    samples: int
    covered_s: float
    good_s: float
    quality_rank: int | None
    measures: Mapping[str, MeasureRollup]
    energies_kwh: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sample and the seconds that it counts within the interval (> 0)."""

    sample: Sample
    seconds: float


def roll_up(
    samples: Sequence[Sample], *, start_at: datetime, end_at: datetime, hold_s: float
) -> Rollup | None:
    """Roll up [start_at, end_at) from samples in order of time, each moment once, those held from before included.

    None where nothing was measured and nothing is held into the interval.
    """
    pieces = list(_pieces(samples, start_at, end_at, hold_s))
    measured = sum(start_at <= sample.measured_at < end_at for sample in samples)
    if not measured and not pieces:
        return None
    measures = {}
    energies: dict[str, float] = {}
    for index, name in enumerate(MEASURES):
        known = [
            (value if abs(value) >= TINY else 0.0, piece.seconds)
            for piece in pieces
            if (value := piece.sample.values[index]) is not None
        ]
        if known:
            measures[name] = _measure(known)
            energies |= {
                energy: sum(max(sign * value, 0.0) * seconds for value, seconds in known) / _HOUR_S
                for energy, (measure, sign) in ENERGIES.items()
                if measure == name
            }
    return Rollup(
        samples=measured,
        covered_s=sum(piece.seconds for piece in pieces),
        good_s=sum(piece.seconds for piece in pieces if piece.sample.quality_rank == GOOD_RANK),
        quality_rank=min((piece.sample.quality_rank for piece in pieces), default=None),
        measures=measures,
        energies_kwh=energies,
    )


def _pieces(
    samples: Sequence[Sample], start_at: datetime, end_at: datetime, hold_s: float
) -> Iterator[_Piece]:
    hold = timedelta(seconds=hold_s)
    for sample, following in pairwise([*samples, None]):
        if sample is None or not sample.speaks:
            continue
        until = min(sample.measured_at + hold, end_at)
        if following is not None:
            until = min(until, following.measured_at)
        seconds = (until - max(sample.measured_at, start_at)).total_seconds()
        if seconds > 0:
            yield _Piece(sample, seconds)


def _measure(known: Sequence[tuple[float, float]]) -> MeasureRollup:
    """Of (value, seconds) in order of time, at least one."""
    seconds = sum(seconds for _, seconds in known)
    least, most = min(value for value, _ in known), max(value for value, _ in known)
    mean = sum(value * seconds for value, seconds in known) / seconds
    return MeasureRollup(
        known_s=seconds, least=least, most=most, mean=min(max(mean, least), most), last=known[-1][0]
    )


def sum_up(parts: Sequence[Rollup]) -> Rollup | None:
    """The interval that consists of these, in order of time; None of none."""
    if not parts:
        return None
    energies: dict[str, float] = {}
    for part in parts:
        for name, energy_kwh in part.energies_kwh.items():
            energies[name] = energies.get(name, 0.0) + energy_kwh
    measures = {
        name: _sum_measure(known)
        for name in MEASURES
        if (known := [part.measures[name] for part in parts if name in part.measures])
    }
    return Rollup(
        samples=sum(part.samples for part in parts),
        covered_s=sum(part.covered_s for part in parts),
        good_s=sum(part.good_s for part in parts),
        quality_rank=min(
            (part.quality_rank for part in parts if part.quality_rank is not None), default=None
        ),
        measures=measures,
        energies_kwh=energies,
    )


def _sum_measure(parts: Sequence[MeasureRollup]) -> MeasureRollup:
    seconds = sum(part.known_s for part in parts)
    least, most = min(part.least for part in parts), max(part.most for part in parts)
    mean = sum(part.mean * part.known_s for part in parts) / seconds
    return MeasureRollup(
        known_s=seconds, least=least, most=most, mean=min(max(mean, least), most), last=parts[-1].last
    )


def columns(rollup: Rollup, *, length_s: float) -> dict[str, float | int | None]:
    """The columns of `metering.models.TelemetryRollup` for an interval of this length."""
    row: dict[str, float | int | None] = {
        "samples": rollup.samples,
        "covered_s": rollup.covered_s,
        "coverage_pct": min(100.0, 100.0 * rollup.covered_s / length_s),
        "good_s": rollup.good_s,
        "quality_rank": rollup.quality_rank,
    }
    for name in MEASURES:
        known = rollup.measures.get(name)
        row[f"{name}_s"] = known.known_s if known else 0.0
        row[f"{name}_min"] = known.least if known else None
        row[f"{name}_max"] = known.most if known else None
        row[f"{name}_mean"] = known.mean if known else None
        row[f"{name}_last"] = known.last if known else None
    return row | {name: rollup.energies_kwh.get(name) for name in ENERGIES}


def from_columns(row: Mapping[str, float | int | None]) -> Rollup:
    """The inverse of `columns`."""
    return Rollup(
        samples=int(row["samples"] or 0),
        covered_s=float(row["covered_s"] or 0.0),
        good_s=float(row["good_s"] or 0.0),
        quality_rank=None if row["quality_rank"] is None else int(row["quality_rank"]),
        measures={
            name: MeasureRollup(
                known_s=float(known_s),
                least=_known(row, f"{name}_min"),
                most=_known(row, f"{name}_max"),
                mean=_known(row, f"{name}_mean"),
                last=_known(row, f"{name}_last"),
            )
            for name in MEASURES
            if (known_s := row[f"{name}_s"])
        },
        energies_kwh={name: float(value) for name in ENERGIES if (value := row[name]) is not None},
    )


def _known(row: Mapping[str, float | int | None], name: str) -> float:
    value = row[name]
    if value is None:
        raise ValueError(f"{name} is null though its measure is known")
    return float(value)
