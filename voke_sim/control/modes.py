"""The seven operating modes as laws for the plant's local controller.

Interpretation: the modes' names are documented, their behaviour is not. Each is a band for the grid power:
- STANDARD: nothing is asked; batteries idle, PV free.
- ZERO_EXPORT: grid power never negative; what the batteries cannot take is curtailed.
- MAX_EXPORT: as much export as the site's limits and devices allow.
- PEAK_SHAVING: import kept below the site's threshold; batteries are filled from surplus.
- LOCAL_OPTIMIZATION: own consumption of own power: surplus into, deficit out of the batteries; nothing is
  curtailed.
- GRID_TARGET: grid power at the site's target value, by the batteries.
- LDS_SUPPORT: the local distribution system is spared: grid power within plus or minus the site's band,
  curtailing.
"""

from collections.abc import Callable, Mapping

import msgspec

from vcp import OperatingMode
from voke_sim.config import SiteConfig
from voke_sim.physics.allocation import Band

_ALL_THERE_IS_KW = 1e9


class ModeLaw(msgspec.Struct, frozen=True, kw_only=True):
    """What a mode asks of the plant, and which bounds count as broken when the plant can't keep them."""

    band: Band | None
    promise: Band | None = None


def _standard(site: SiteConfig) -> ModeLaw:
    return ModeLaw(band=None)


def _zero_export(site: SiteConfig) -> ModeLaw:
    band = Band(low_kw=0.0, may_curtail=True)
    return ModeLaw(band=band, promise=band)


def _max_export(site: SiteConfig) -> ModeLaw:
    return ModeLaw(band=Band(low_kw=-_ALL_THERE_IS_KW, high_kw=-_ALL_THERE_IS_KW))


def _peak_shaving(site: SiteConfig) -> ModeLaw:
    ceiling = Band(high_kw=site.peak_shaving_kw)
    return ModeLaw(band=Band(low_kw=0.0, high_kw=site.peak_shaving_kw), promise=ceiling)


def _local_optimization(site: SiteConfig) -> ModeLaw:
    return ModeLaw(band=Band(low_kw=0.0, high_kw=0.0))


def _grid_target(site: SiteConfig) -> ModeLaw:
    band = Band(low_kw=site.grid_target_kw, high_kw=site.grid_target_kw)
    return ModeLaw(band=band, promise=band)


def _lds_support(site: SiteConfig) -> ModeLaw:
    band = Band(low_kw=-site.lds_band_kw, high_kw=site.lds_band_kw, may_curtail=True)
    return ModeLaw(band=band, promise=band)


_LAWS: Mapping[OperatingMode, Callable[[SiteConfig], ModeLaw]] = {
    OperatingMode.STANDARD: _standard,
    OperatingMode.ZERO_EXPORT: _zero_export,
    OperatingMode.MAX_EXPORT: _max_export,
    OperatingMode.PEAK_SHAVING: _peak_shaving,
    OperatingMode.LOCAL_OPTIMIZATION: _local_optimization,
    OperatingMode.GRID_TARGET: _grid_target,
    OperatingMode.LDS_SUPPORT: _lds_support,
}


def law_of(mode: OperatingMode, site: SiteConfig) -> ModeLaw:
    """The mode's law at a site."""
    return _LAWS[mode](site)


def excess_kw(promise: Band, grid_kw: float) -> float:
    """By how much a grid power is outside the promised bounds; 0 inside."""
    above = grid_kw - promise.high_kw if promise.high_kw is not None else 0.0
    below = promise.low_kw - grid_kw if promise.low_kw is not None else 0.0
    return max(0.0, above, below)
