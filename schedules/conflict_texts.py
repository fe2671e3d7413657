"""What stands against a plan, in sentences: amounts in kW and kWh, without the time of the slot. Pure."""

from schedules.slots import number_text
from vcp import Direction
from vcp.said import Numeral, Said, joined, said


def kw_text(power_kw: float) -> Said:
    """`12.5 kW`."""
    return said("%(power)s kW", power=Numeral(number_text(power_kw)))


def over_site(direction: Direction, *, power_kw: float, limit_kw: float) -> Said:
    """More than the grid connection takes or gives."""
    told = {"power": kw_text(power_kw), "limit": kw_text(limit_kw)}
    if direction is Direction.IMPORT:
        return said("%(power)s is over the site's import limit of %(limit)s", **told)
    return said("%(power)s is over the site's export limit of %(limit)s", **told)


def over_battery(*, charging: bool, at_least: bool, power_kw: float, whose: Said, limit_kw: float) -> Said:
    """More than the battery may do; `at_least`: other sources carry the rest at best."""
    told = {
        "word": said("charging") if charging else said("discharging"),
        "power": kw_text(power_kw),
        "whose": whose,
        "limit": kw_text(limit_kw),
    }
    if at_least:
        return said("needs %(word)s at %(power)s or more; %(whose)s allows %(limit)s", **told)
    return said("needs %(word)s at %(power)s; %(whose)s allows %(limit)s", **told)


def unhelped_battery(*, charging: bool, power_kw: float, whose: Said, limit_kw: float) -> Said:
    """More than the battery may do where nothing else helps."""
    told = {"power": kw_text(power_kw), "whose": whose, "limit": kw_text(limit_kw)}
    if charging:
        return said(
            "needs charging at %(power)s while no consumption helps; %(whose)s allows %(limit)s", **told
        )
    return said("needs discharging at %(power)s while no sun helps; %(whose)s allows %(limit)s", **told)


def battery_bound(*, full: bool, pct: float, lacking_kwh: float, assumed_pct: float | None) -> Said:
    """The battery's charge reaches an end of its window; `assumed_pct`: where it was thought to begin."""
    told = {"charge": Numeral(f"{pct:.1f}"), "energy": Numeral(f"{lacking_kwh:.2f}")}
    text = (
        said("the battery is full for this plan at %(charge)s %%: %(energy)s kWh too much", **told)
        if full
        else said("the battery is empty for this plan at %(charge)s %%: %(energy)s kWh too much", **told)
    )
    if assumed_pct is None:
        return text
    return joined(" ", [text, said("(its charge is not known, %(charge)s %% assumed)", charge=assumed_pct)])


def fitting(text: Said, *, value: float, unit: str) -> Said:
    """The sentence with the nearest value that would fit."""
    return said(
        "%(problem)s; %(value)s %(unit)s would fit",
        problem=text,
        value=Numeral(number_text(value)),
        unit=unit,
    )
