"""A site's own consumption: a daily shape, scaled to its mean, with slow noise."""

import math
import random
from collections.abc import Mapping

from voke_sim.config import LoadConfig, LoadProfile
from voke_sim.physics.pv import DAY_S

_NOISE_TIME_S = 900.0
_HOUR_S = 3_600.0
_LIMIT = 3.0

_HOURLY: Mapping[LoadProfile, tuple[float, ...]] = {
    LoadProfile.FLAT: (1.0,) * 24,
    LoadProfile.HOUSEHOLD: (
        *(0.55, 0.5, 0.45, 0.45, 0.5, 0.65, 1.0, 1.35, 1.2, 1.0, 0.9, 0.95),
        *(1.1, 1.0, 0.9, 0.9, 1.05, 1.35, 1.7, 1.85, 1.75, 1.5, 1.1, 0.75),
    ),
    LoadProfile.OFFICE: (
        *(0.4, 0.4, 0.4, 0.4, 0.4, 0.5, 0.7, 1.1, 1.5, 1.7, 1.75, 1.75),
        *(1.65, 1.7, 1.7, 1.65, 1.5, 1.2, 0.9, 0.7, 0.55, 0.5, 0.45, 0.4),
    ),
    LoadProfile.INDUSTRY: (
        *(0.7, 0.7, 0.7, 0.7, 0.75, 0.9, 1.2, 1.3, 1.3, 1.3, 1.25, 1.2),
        *(1.1, 1.2, 1.25, 1.2, 1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.75, 0.7),
    ),
}


def next_noise(noise: float, dt_s: float, rng: random.Random) -> float:
    """A standard normal that forgets itself within a quarter of an hour, bounded to plus or minus 3."""
    pull = min(1.0, dt_s / _NOISE_TIME_S)
    moved = noise * (1.0 - pull) + math.sqrt(2 * pull) * rng.gauss(0.0, 1.0)
    return min(_LIMIT, max(-_LIMIT, moved))


def load_kw(load: LoadConfig, plant_time_s: float, noise: float) -> float:
    """The consumption at that moment of the plant's day; hours run into each other without a step."""
    shape = _HOURLY[load.profile]
    hour, into = divmod((plant_time_s % DAY_S) / _HOUR_S, 1.0)
    here, there = shape[int(hour)], shape[(int(hour) + 1) % 24]
    mean = sum(shape) / 24
    factor = (here + (there - here) * into) / mean
    return max(0.0, load.mean_kw * factor * (1.0 + noise * load.noise_pct / 100.0))
