"""Days and moments as pages write them: names of the language, in the order that its translation gives."""

from datetime import date
from typing import Final

from django.utils.dateformat import format as formatted
from django.utils.translation import gettext, pgettext

# Letters of Django's date filter: D j F = "Tue 14 July". A translation may turn them round: "D j. F".
_FORMS: Final = {
    "date": lambda: pgettext("date format", "D j F"),
    "day": lambda: pgettext("date format", "D j F Y"),
    "full": lambda: pgettext("date format", "D j F, H:i:s"),
    "month": lambda: pgettext("date format", "j F"),
    "brief": lambda: pgettext("date format", "j M"),
    "weekday": lambda: pgettext("date format", "D j M"),
}


def day_text(day: date, form: str = "date") -> str:
    """A day, or a moment on a wall clock, in words.

    `form`: date `Tue 14 July`, day `Tue 14 July 2026`, full `Tue 14 July, 13:42:05`, month `14 July`, brief `14 Jul`,
    weekday `Tue 14 Jul`.
    """
    return formatted(day, _FORMS[form]())


def hours_text(length_s: float) -> str:
    """Says so when the clock changes on a day of that length; "" of any other day."""
    hours = length_s / 3600
    return "" if hours == 24 else gettext("%(hours)g hours, the clock changes") % {"hours": hours}
