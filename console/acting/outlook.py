"""What the battery comes to by the end of a request, in words: an estimate, said with "about"."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext as _

from console.acting.asked import Asked
from console.acting.estimate import BatteryFacts, Estimate, Now, battery_for_target, estimate
from console.acting.finding import Finding, doubts, fits
from console.acting.situation import Situation
from dispatch.rules import setpoint_power_kw
from dispatch.services.soc_bounds import SocBounds, SocWanted, soc_bounds
from plants.words import percent_text, power_text
from schedules.slots import local_text
from vcp import (
    DeviceBatch,
    DeviceCommandType,
    Direction,
    Mode,
    SiteSetpoint,
)

_IDLE_KW = 0.5
_T = DeviceCommandType
CHARGES = frozenset({_T.BESS_CHARGE, _T.BESS_CONTINUOUS_CHARGE})


def power_of(asked: Asked) -> float | None:
    """The power that is asked for, kW without its direction; None = it names none."""
    payload = asked.payload
    if isinstance(payload, SiteSetpoint):
        return setpoint_power_kw(payload)
    if isinstance(payload, DeviceBatch):
        params = payload.commands[0].params
        return None if params is None else params.power_kw
    return None


def soc_of(asked: Asked, situation: Situation) -> Iterator[Finding]:
    """Where the charge would be at the end, and what the battery can't do of it."""
    if situation.plant.capacity_kwh <= 0 or asked.until_at is None or isinstance(asked.payload, Mode):
        return
    state = situation.fresh_state
    if state is None:
        since = _("for %(age)s") % {"age": situation.age} if situation.age else _("yet")
        yield doubts(_("No data %(since)s, so the charge at the end is not estimated") % {"since": since})
        return
    now = Now(soc_pct=state.soc_pct, pv_kw=state.fve_power_kw, load_kw=state.consumption_power_kw)
    battery_kw = _battery_kw(asked, now)
    if battery_kw is None:
        return
    bounds = _bounds(situation, asked.until_at)
    facts = BatteryFacts(
        capacity_kwh=situation.plant.capacity_kwh,
        max_charge_kw=situation.plant.max_charge_kw,
        max_discharge_kw=situation.plant.max_discharge_kw,
        low_pct=bounds.low,
        high_pct=bounds.high,
    )
    found = estimate(battery_kw, now, facts, from_at=situation.at, until_at=asked.until_at)
    if found is not None:
        yield from _told(found, bounds, asked.until_at, situation)


def _battery_kw(asked: Asked, now: Now) -> float | None:
    payload, power_kw = asked.payload, power_of(asked)
    if power_kw is None:
        return None
    if isinstance(payload, SiteSetpoint):
        sign = 1.0 if payload.direction is Direction.IMPORT else -1.0
        return battery_for_target(sign * power_kw, now, with_consumption=payload.include_consumption)
    if isinstance(payload, DeviceBatch):
        word = payload.commands[0].command
        if word in CHARGES:
            return power_kw
        return -power_kw if word is _T.BESS_DISCHARGE else None
    return None


def _bounds(situation: Situation, until_at: datetime) -> SocBounds:
    plant = situation.plant
    own = SocBounds(
        0.0 if plant.soc_min_pct is None else plant.soc_min_pct,
        100.0 if plant.soc_max_pct is None else plant.soc_max_pct,
    )
    wanted = SocWanted(
        key=plant.pk,
        own=own,
        time_config_id=plant.time_config_id if plant.config_enabled else None,
        zone=plant.time_zone,
        from_at=situation.at,
        to_at=until_at,
    )
    return soc_bounds([wanted])[plant.pk]


def _told(found: Estimate, bounds: SocBounds, until_at: datetime, situation: Situation) -> Iterator[Finding]:
    end = local_text(until_at, zone=situation.zone)
    if found.lacking_kw >= _IDLE_KW:
        can = _("charge") if found.is_charging else _("discharge")
        yield doubts(
            _(
                "Load and sun as now, the battery would have to %(verb)s %(wanted)s, about %(lacking)s more than it can"
            )
            % {"verb": can, "wanted": power_text(found.battery_kw), "lacking": power_text(found.lacking_kw)}
        )
    if found.bound_at is not None:
        when = local_text(found.bound_at, zone=situation.zone)
        word = _("full") if found.is_charging else _("empty")
        yield doubts(
            _("Battery is %(word)s at about %(when)s, before the end: %(bound)s is its bound")
            % {"word": word, "when": when, "bound": percent_text(found.soc_pct)},
            icon="battery-charging",
        )
    else:
        bound = bounds.high if found.is_charging else bounds.low
        allowed = _("allowed up to") if found.is_charging else _("allowed from")
        yield fits(
            _("Battery reaches about %(soc)s at %(end)s, %(allowed)s %(bound)s")
            % {
                "soc": percent_text(found.soc_pct),
                "end": end,
                "allowed": allowed,
                "bound": percent_text(bound),
            }
        )
