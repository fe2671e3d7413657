"""Photovoltaics: the sun's height over the day, clouds that come and go, and an inverter that ramps."""

import math
import random

from voke_sim.config import PvConfig, WeatherConfig

DAY_S = 86_400.0
_TILT_DEG = 23.45
_CLOUD_TIME_S = 3_600.0
_CLEAREST, _DARKEST = 1.0, 0.1
_AIR_MASS_EXPONENT = 1.15


def sun_share(weather: WeatherConfig, plant_time_s: float) -> float:
    """Clear-sky power as a share of the peak power, 0 at night.

    `plant_time_s` counts from the midnight before the first plant second. The height of the sun follows
    from latitude, day of the year and solar hour; the exponent stands for the longer way through the air at
    low sun.
    """
    day = weather.start_day_of_year + int(plant_time_s // DAY_S)
    declination = math.radians(_TILT_DEG) * math.sin(2 * math.pi * (284 + day) / 365)
    hour_angle = 2 * math.pi * (plant_time_s % DAY_S) / DAY_S - math.pi
    latitude = math.radians(weather.latitude_deg)
    noon_part = math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    height = math.sin(latitude) * math.sin(declination) + noon_part
    return math.pow(max(0.0, height), _AIR_MASS_EXPONENT)


def next_clearness(weather: WeatherConfig, clearness: float, dt_s: float, rng: random.Random) -> float:
    """The sky's clearness (1 = no cloud) `dt_s` later: noise that returns to the mean within about an
    hour.
    """
    pull = min(1.0, dt_s / _CLOUD_TIME_S)
    noise = weather.cloud_noise * math.sqrt(2 * pull) * rng.gauss(0.0, 1.0)
    moved = clearness + pull * (weather.mean_clearness - clearness) + noise
    return min(_CLEAREST, max(_DARKEST, moved))


def available_kw(pv: PvConfig, sun: float, clearness: float) -> float:
    """What the modules could give right now."""
    return pv.peak_kw * sun * clearness


def next_power_kw(pv: PvConfig, power_kw: float, *, available: float, wanted: float, dt_s: float) -> float:
    """The inverter's output `dt_s` later: towards `wanted` at its ramp, never above what the sun gives."""
    ramp = pv.peak_kw * pv.ramp_pct_per_s / 100.0 * dt_s
    target = min(available, wanted)
    return min(available, max(power_kw - ramp, min(power_kw + ramp, target)))
