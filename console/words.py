"""How numbers, states and ages look in pages: markup around the words of `plants.words`; the same rules as words.js."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from plants.words import IDLE_BELOW_KW, decimal_text, energy_text, power_text

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

NARROW: Final = "\u202f"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a state is drawn: the family (colour), the icon, the word."""

    family: str
    icon: str
    word: "str | StrPromise"


_wait, _move, _ok, _doubt, _fail = "wait", "move", "ok", "doubt", "fail"
LOOKS: Final[Mapping[str, Look]] = {
    # command states
    "SCHEDULED": Look(family=_wait, icon="clock", word=gettext_lazy("Scheduled")),
    "QUEUED": Look(family=_wait, icon="inbox", word=gettext_lazy("Queued")),
    "SENT": Look(family=_move, icon="send", word=gettext_lazy("Sent")),
    "ACCEPTED": Look(family=_move, icon="check", word=gettext_lazy("Accepted")),
    "QUEUED_BY_VOKE": Look(family=_move, icon="hourglass", word=gettext_lazy("Queued by Voke")),
    "EXECUTING": Look(family=_move, icon="loader", word=gettext_lazy("Executing")),
    "COMPLETED": Look(family=_ok, icon="check-check", word=gettext_lazy("Completed")),
    "VERIFIED": Look(family=_ok, icon="badge-check", word=gettext_lazy("Verified")),
    "PARTIAL": Look(family=_doubt, icon="split", word=gettext_lazy("Partly taken")),
    "DEVIATED": Look(family=_doubt, icon="equal-not", word=gettext_lazy("Deviated")),
    "UNCONFIRMED": Look(family=_doubt, icon="clock-alert", word=gettext_lazy("Unconfirmed")),
    "OFF_TARGET": Look(family=_doubt, icon="eye-off", word=gettext_lazy("Off target")),
    "NO_DATA": Look(family=_doubt, icon="circle-dashed", word=gettext_lazy("No data")),
    "REJECTED": Look(family=_fail, icon="octagon-x", word=gettext_lazy("Rejected")),
    "FAILED": Look(family=_fail, icon="octagon-alert", word=gettext_lazy("Failed")),
    "RETURNED": Look(family=_fail, icon="undo-2", word=gettext_lazy("Returned")),
    "REFUSED": Look(family=_fail, icon="shield-x", word=gettext_lazy("Refused")),
    "CANCELLED": Look(family=_wait, icon="ban", word=gettext_lazy("Cancelled")),
    "SUPERSEDED": Look(family=_wait, icon="hand", word=gettext_lazy("Superseded")),
    "EXPIRED": Look(family=_wait, icon="timer-off", word=gettext_lazy("Expired unsent")),
    # severities
    "INFO": Look(family=_move, icon="circle", word=gettext_lazy("Info")),
    "WARNING": Look(family=_doubt, icon="triangle-alert", word=gettext_lazy("Warning")),
    "ERROR": Look(family=_fail, icon="octagon-alert", word=gettext_lazy("Error")),
    "CRITICAL": Look(family="crit", icon="octagon-x", word=gettext_lazy("Critical")),
    # plans
    "DRAFT": Look(family=_wait, icon="pencil", word=gettext_lazy("Draft")),
    "CHECKED": Look(family=_move, icon="list-checks", word=gettext_lazy("Checked")),
    "PUBLISHED": Look(family=_ok, icon="calendar-check", word=gettext_lazy("Published")),
    "DONE": Look(family=_ok, icon="check-check", word=gettext_lazy("Done")),
    "REPLACED": Look(family=_wait, icon="history", word=gettext_lazy("Replaced")),
    # connections
    "ACTIVE": Look(family=_ok, icon="zap", word=gettext_lazy("Active")),
    "OBSERVE": Look(family=_wait, icon="eye", word=gettext_lazy("Observes")),
    "CONNECTED": Look(family=_ok, icon="plug-zap", word=gettext_lazy("Connected")),
    "CONNECTING": Look(family=_move, icon="loader", word=gettext_lazy("Connecting")),
    "SILENT": Look(family=_doubt, icon="ear-off", word=gettext_lazy("Silent")),
    "SLOW": Look(family=_doubt, icon="snail", word=gettext_lazy("Storing slowly")),
    "BLOCKED": Look(family=_fail, icon="ban", word=gettext_lazy("Blocked")),
    "DOWN": Look(family=_fail, icon="unplug", word=gettext_lazy("Down")),
}


def look_of(state: str) -> Look:
    """How a state is drawn; a word that nobody knows is grey and stands as it came."""
    known = LOOKS.get(state)
    return known if known is not None else Look(family=_wait, icon="square", word=state)


def amount(value: float, unit: str = "kW") -> SafeString:
    """The amount without direction and its unit, one decimal below ten, two above a thousand (MW, MWh)."""
    size = abs(value)
    if size >= 999.5 and unit.startswith("k"):
        number, unit = decimal_text(size / 1000, 2), f"M{unit[1:]}"
    else:
        number = decimal_text(size, 1 if 0.05 <= size < 9.95 else 0)
    return format_html('{}<span class="u">{}</span>', number, unit)


def missing() -> SafeString:
    """What stands where nothing is known."""
    return format_html('<span class="dim">{}</span>', gettext("No data"))


def grid_word(power_kw: float | None) -> str:
    """Importing, Exporting, Idle, or nothing."""
    return _directed(power_kw, gettext("Importing"), gettext("Exporting"))


def battery_word(power_kw: float | None) -> str:
    """Charging, Discharging, Idle, or nothing."""
    return _directed(power_kw, gettext("Charging"), gettext("Discharging"))


def missed_text(*, off_by: float | None, target: float | None, unit: str) -> str:
    """By how much a target was missed: `41 kW short`, `12 kW over`; of a target of zero `3.0 kW import`.

    `off_by` and `target` in `unit`, in the sign of the site.
    """
    if off_by is None or target is None:
        return gettext("Off target")
    amount = energy_text(off_by) if unit == "kWh" else power_text(off_by)
    if not target:
        return f"{amount} {gettext('import') if off_by > 0 else gettext('export')}"
    short = (off_by > 0) != (target > 0)
    return (gettext("%(amount)s short") if short else gettext("%(amount)s over")) % {"amount": amount}


def _directed(power_kw: float | None, positive: str, negative: str) -> str:
    if power_kw is None:
        return ""
    if abs(power_kw) < IDLE_BELOW_KW:
        return gettext("Idle")
    return positive if power_kw > 0 else negative
