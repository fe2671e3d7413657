"""What the detail of an event says, in sentences; members that a later version added are shown as they are."""

from collections.abc import Iterator, Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dispatch.diagnosis_words import confidence_word, step_words
from dispatch.words import cause_text, deviation_text, state_word
from plants.words import power_text

_MOST_RESULTS = 50


def detail_lines(detail: object) -> Iterator[str]:
    """One sentence for each member that says something."""
    if not isinstance(detail, Mapping):
        return
    deviation = deviation_text(detail)
    if deviation:
        yield f"{deviation[:1].upper()}{deviation[1:]}."
    for name, value in detail.items():
        if name not in ("status", "deviationKw"):
            yield from _lines(str(name), value)


# What is said of a member whose value is shown as it is.
_SENTENCES: Final[Mapping[str, "str | Promise"]] = {
    "reason": gettext_lazy("Reason: %(value)s"),
    "message": gettext_lazy("Voke says: %(value)s"),
    "messageId": gettext_lazy("New message %(value)s."),
    "log": gettext_lazy("Voke's command log says %(value)s."),
    "override": gettext_lazy("Override %(value)s."),
    "by": gettext_lazy("By command #%(value)s."),
    "stops": gettext_lazy("It ends command #%(value)s."),
    "takesBack": gettext_lazy("It takes back command #%(value)s."),
    "lateS": gettext_lazy("%(value)s s after its time."),
}


def _lines(name: str, value: object) -> Iterator[str]:
    match name:
        case "broker":
            yield (
                _("The broker says: %(value)s") % {"value": value}
                if value
                else _("The broker gave no reason.")
            )
        case "next":
            yield _("Next: %(value)s.") % {"value": step_words(str(value)).title}
        case "confidence":
            yield _("This is %(value)s.") % {"value": confidence_word(str(value))}
        case "results":
            yield from _results(value)
        case "actualKw":
            yield _("Actual %(value)s.") % {"value": _power(value)}
        case "targetKw":
            yield _("Target %(value)s.") % {"value": _power(value)}
        case "winner":
            # A number where a command came first; else the words of what was in force, as they were written down.
            told = (
                _("Pre-empted by command #%(value)s.")
                if isinstance(value, int)
                else _("Pre-empted: %(value)s.")
            )
            yield told % {"value": value}
        case _ if name in _SENTENCES:
            yield str(_SENTENCES[name]) % {"value": value}
        case _:
            yield f"{name}: {value}"


def _power(value: object) -> str:
    return power_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _results(results: object) -> Iterator[str]:
    """What Voke said of each device of a batch."""
    if not isinstance(results, list):
        return
    for result in results[:_MOST_RESULTS]:
        if isinstance(result, Mapping):
            code = result.get("rejectionCode")
            why = f": {cause_text(str(code))}" if code else ""
            yield f"{result.get('deviceId')} {state_word(str(result.get('status'))).lower()}{why}"
