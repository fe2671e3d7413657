"""Where the power flows: a bus bar with bays, the connected sources and sinks of a plant, as values for the picture.

A bay is drawn only where the plant has such a thing. Its line is 3 to 16 px wide, by its power against the largest
rating of the plant; its chevron says where to, its words say the same. Interpretation: the site's consumption contains
its chargers (consumption = grid + PV - battery), so where chargers tell their power the load is shown without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from console.words import battery_word, grid_word
from plants.models import Asset, Plant, PlantState
from plants.words import IDLE_BELOW_KW, Freshness, freshness, local_number, percent_text, power_text
from vcp import AssetType

NARROWEST_PX, WIDEST_PX = 3.0, 16.0
MEGAWATT_FROM_KW = 999.5
PV_TYPES = (AssetType.FVE, AssetType.INVERTER)


@dataclass(frozen=True, kw_only=True)
class Bay:
    """One source or sink. `into`: its power flows into the bus, None = it is idle or not known. `x_pct`: its place.

    `hue`: "idle" without a flow, as a colour would tell of one. `details`: its detail by the hue of either
    direction where they differ.
    """

    name: str
    icon: str
    hue: str
    is_top: bool
    x_pct: float
    power_kw: float | None
    word: str
    detail: str
    into: bool | None
    width_px: float
    title: str
    details: Mapping[str, str]

    @property
    def up(self) -> bool | None:
        """Where its chevron points."""
        return None if self.into is None else self.into is not self.is_top

    @property
    def inner_px(self) -> float:
        """How wide the drifting dashes within its line are."""
        return round(max(2.0, self.width_px * 0.42), 1)

    @property
    def knot_px(self) -> float:
        """How large its knot on the bus is."""
        return round(max(5.0, self.width_px * 0.55), 1)

    @property
    def chevron_y_pct(self) -> int:
        return 25 if self.is_top else 75


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The picture. `through_kw`: all that flows in; `unexplained_kw`: what the numbers leave over, None = not known."""

    top: Sequence[Bay]
    bottom: Sequence[Bay]
    through_kw: float | None
    unexplained_kw: float | None
    rating_kw: float
    measured_at: datetime | None
    is_stale: bool
    is_of_today: bool
    sentence: str

    @property
    def bays(self) -> list[Bay]:
        return [*self.top, *self.bottom]

    @property
    def is_balanced(self) -> bool:
        """Whether what flows in comes out, to a kilowatt or two percent."""
        if self.unexplained_kw is None or self.through_kw is None:
            return False
        return abs(self.unexplained_kw) <= max(1.0, 0.02 * self.through_kw)


@dataclass(frozen=True, kw_only=True)
class Chargers:
    """What the plant's EV chargers tell: how many there are, how many charge, their power together."""

    count: int = 0
    charging: int = 0
    power_kw: float | None = None

    @property
    def word(self) -> str:
        """How many of them charge."""
        if not self.count:
            return ""
        return gettext("%(charging)d of %(count)d EV") % {"charging": self.charging, "count": self.count}


def flow_of(
    plant: Plant, state: PlantState | None, assets: Sequence[Asset], chargers: Chargers, *, at: datetime
) -> Flow:
    """The picture of what was measured last."""
    measured_at = None if state is None else state.measured_at
    seen = state if measured_at is not None else None
    kinds = {asset.asset_type for asset in assets}
    grid_kw = None if seen is None else seen.grid_power_kw
    pv_kw = None if seen is None else seen.fve_power_kw
    battery_kw = None if seen is None else seen.battery_power_kw
    whole_load_kw = None if seen is None else seen.consumption_power_kw
    load_kw = whole_load_kw
    if load_kw is not None and chargers.power_kw is not None:
        load_kw = max(load_kw - chargers.power_kw, 0.0)
    rating_kw = _rating(plant, assets, [grid_kw, pv_kw, battery_kw, whole_load_kw])
    top = [_grid(plant, grid_kw)]
    if plant.fve_peak_power_kwp or kinds & set(PV_TYPES) or pv_kw:
        top.append(_pv(plant, pv_kw))
    bottom = []
    if plant.capacity_kwh or AssetType.BESS in kinds or battery_kw:
        bottom.append(_battery(battery_kw, None if seen is None else seen.soc_pct))
    if plant.plant_with_load or load_kw:
        bottom.append(_sink("load", icon="factory", power_kw=load_kw, word=gettext("Load")))
    if chargers.count:
        bottom.append(_sink("ev", icon="ev-charger", power_kw=chargers.power_kw, word=chargers.word))
    parts = [*_placed(top, rating_kw, is_top=True)], [*_placed(bottom, rating_kw, is_top=False)]
    known = None not in (grid_kw, pv_kw if len(top) > 1 else 0, whole_load_kw)
    return Flow(
        top=parts[0],
        bottom=parts[1],
        through_kw=_through(grid_kw, pv_kw, battery_kw) if seen is not None else None,
        unexplained_kw=(
            (grid_kw or 0) + (pv_kw or 0) - (battery_kw or 0) - (whole_load_kw or 0) if known else None
        ),
        rating_kw=rating_kw,
        measured_at=measured_at,
        is_stale=freshness(measured_at, at=at) is Freshness.OLD,
        is_of_today=measured_at is not None and _same_day(measured_at, at, zone=plant.time_zone),
        sentence=_sentence([*parts[0], *parts[1]]),
    )


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A bay before it has its place. `title`: what it is, whatever it does."""

    name: str
    title: str
    icon: str
    hue: str
    power_kw: float | None
    word: str
    detail: str
    into: bool
    details: Mapping[str, str] = field(default_factory=dict)


def _grid(plant: Plant, power_kw: float | None) -> _Draft:
    exports = power_kw is not None and power_kw < 0
    details = {"imp": _limit(plant.max_import_kw), "exp": _limit(plant.max_export_kw)}
    return _Draft(
        name="grid",
        title=gettext("Grid"),
        icon="utility-pole",
        hue="exp" if exports else "imp",
        power_kw=power_kw,
        word=grid_word(power_kw) or gettext("Grid"),
        detail=details["exp" if exports else "imp"],
        details=details,
        into=not exports,
    )


def _limit(power_kw: float | None) -> str:
    return "" if power_kw is None else gettext("limit %(power)s") % {"power": _rated(power_kw, "")}


def _rated(power_kw: float, unit: str) -> str:
    """`412 kWp` of the unit `\u202fkWp`, `400` of none; from a megawatt on it has its own."""
    if power_kw >= MEGAWATT_FROM_KW:
        return power_text(power_kw) + unit.removeprefix("\u202fkW")
    return local_number(f"{power_kw:g}") + unit


def _pv(plant: Plant, power_kw: float | None) -> _Draft:
    peak = plant.fve_peak_power_kwp
    idle = power_kw is not None and abs(power_kw) < IDLE_BELOW_KW
    return _Draft(
        name="pv",
        title=gettext("PV"),
        icon="solar-panel",
        hue="pv",
        power_kw=power_kw,
        word=gettext("PV") if power_kw is None else gettext("Idle") if idle else gettext("Producing"),
        detail="" if not peak else _rated(peak, "\u202fkWp"),
        into=True,
    )


def _battery(power_kw: float | None, soc_pct: float | None) -> _Draft:
    gives = power_kw is not None and power_kw < 0
    return _Draft(
        name="battery",
        title=gettext("Battery"),
        icon="battery-charging",
        hue="dis" if gives else "chg",
        power_kw=power_kw,
        word=battery_word(power_kw) or gettext("Battery"),
        detail="" if soc_pct is None else percent_text(soc_pct),
        into=gives,
    )


def _sink(name: str, *, icon: str, power_kw: float | None, word: str) -> _Draft:
    return _Draft(
        name=name, title=word, icon=icon, hue=name, power_kw=power_kw, word=word, detail="", into=False
    )


def _placed(drafts: Sequence[_Draft], rating_kw: float, *, is_top: bool) -> list[Bay]:
    """Side by side with equal room; a bay that is idle or not known has a thin line without direction."""
    still = [one.power_kw is None or abs(one.power_kw) < IDLE_BELOW_KW for one in drafts]
    return [
        Bay(
            name=one.name,
            title=one.title,
            icon=one.icon,
            hue="idle" if still[number] else one.hue,
            is_top=is_top,
            x_pct=round(100 * (2 * number + 1) / (2 * len(drafts)), 2),
            power_kw=one.power_kw,
            word=one.word,
            detail=one.detail,
            details=one.details,
            into=None if still[number] else one.into,
            width_px=width_px(one.power_kw, rating_kw),
        )
        for number, one in enumerate(drafts)
    ]


def width_px(power_kw: float | None, rating_kw: float) -> float:
    """How wide a bay's line is; the same rule as in flow.js."""
    if power_kw is None or abs(power_kw) < IDLE_BELOW_KW:
        return 2.0
    return round(min(WIDEST_PX, max(NARROWEST_PX, WIDEST_PX * abs(power_kw) / rating_kw)), 1)


def _rating(plant: Plant, assets: Sequence[Asset], powers: Sequence[float | None]) -> float:
    """The largest power that the plant is made for, or that it shows now."""
    known = [
        plant.max_import_kw,
        plant.max_export_kw,
        plant.fve_peak_power_kwp,
        plant.max_charge_kw,
        plant.max_discharge_kw,
        *(asset.rated_power_kw for asset in assets),
        *(None if power is None else abs(power) for power in powers),
    ]
    return max([value for value in known if value], default=1.0)


def _through(grid_kw: float | None, pv_kw: float | None, battery_kw: float | None) -> float | None:
    if grid_kw is None and pv_kw is None and battery_kw is None:
        return None
    return max(grid_kw or 0, 0) + max(pv_kw or 0, 0) + max(-(battery_kw or 0), 0)


def _same_day(one: datetime, other: datetime, *, zone: str) -> bool:
    wall = ZoneInfo(zone)
    return one.astimezone(wall).date() == other.astimezone(wall).date()


def _sentence(bays: Sequence[Bay]) -> str:
    """The picture in words."""
    told = [
        f"{bay.word} {power_text(bay.power_kw)}" if bay.into is not None and bay.power_kw is not None
        else gettext("%(what)s: no data") % {"what": bay.word} if bay.power_kw is None
        else gettext("%(what)s idle") % {"what": bay.title}
        for bay in bays
    ]  # fmt: skip
    return f"{', '.join(told)}."
