"""What the detail of an event says, in sentences; members that a later version added are shown as they are."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dispatch.diagnosis_words import confidence_word, step_words
from dispatch.words import cause_text, deviation_text, state_word
from plants.words import power_text

_MOST_RESULTS = 50
_EACH_ALONE = 6
"""Devices of a batch that get a line each; more are told together by what became of them."""
_MOST_NAMES = 4


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
            yield from result_lines(value)
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
            yield f"{name}: {json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value}"


def _power(value: object) -> str:
    return power_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def result_lines(results: object, *, names: int = _MOST_RESULTS) -> Iterator[str]:
    """What Voke said of each device of a batch; of many, a line for all with the same answer and `names` of them."""
    said = [one for one in results if isinstance(one, Mapping)] if isinstance(results, list) else []
    if len(said) <= _EACH_ALONE:
        for one in said:
            told, message = _why(one), one.get("message")
            yield f"{one.get('deviceId')} {_word(one).lower()}{f': {told}' if told else ''}{_aside(message)}"
        return
    together: dict[tuple[str, str], list[str]] = {}
    for one in said:
        together.setdefault((_word(one), _why(one)), []).append(str(one.get("deviceId")))
    for (word, why), devices in together.items():
        counted = ngettext("%(count)d device", "%(count)d devices", len(devices)) % {"count": len(devices)}
        some = ", ".join(devices[:names])
        if len(devices) > names:
            some = f"{counted}, {some}, …" if why else counted
        yield f"{word}{_aside(why)}: {some}"


def result_text(results: object) -> str:
    """The same as sentences for a headline: few names of those that were refused, none of those that went well."""
    return " ".join(
        line if line.endswith("…") else f"{line}." for line in result_lines(results, names=_MOST_NAMES)
    )


def _word(result: Mapping[str, object]) -> str:
    return state_word(str(result.get("status")))


def _why(result: Mapping[str, object]) -> str:
    code = result.get("rejectionCode")
    return cause_text(str(code)) if code else ""


def _aside(text: object) -> str:
    return f" ({text})" if text else ""
