"""The texts that the console's scripts show: their one table, which every page brings along in its language.

words.js looks them up by the English text: `t("Saving")`, and where a count decides `tn("{n} slot", "{n} slots", n)`.
The scripts fill in what stands in braces. A page in English brings nothing, for the scripts have the English texts.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from django.utils.translation import gettext, gettext_noop, ngettext

from console.language import stored

TEXTS: Final = (
    gettext_noop("An update of Voke was added or decided."),
    gettext_noop("and {n} more"),
    gettext_noop("assumed"),
    gettext_noop("Balanced to 1 kW"),
    gettext_noop("Battery"),
    gettext_noop("Changed, saving soon"),
    gettext_noop("Charging"),
    gettext_noop("clock goes back"),
    gettext_noop("clock leaps forward"),
    gettext_noop("Copied"),
    gettext_noop("Copying is not allowed here; select the text instead."),
    gettext_noop("Critical alarm"),
    gettext_noop("day of slots"),
    gettext_noop("different"),
    gettext_noop("Direction"),
    gettext_noop("Discharging"),
    gettext_noop("Draft saved"),
    gettext_noop("Edit"),
    gettext_noop("exp"),
    gettext_noop("export"),
    gettext_noop("Export"),
    gettext_noop("Export limit {n}"),
    gettext_noop("Exporting"),
    gettext_noop("fits {n}"),
    gettext_noop("Grid"),
    gettext_noop("high priority"),
    gettext_noop("Idle"),
    gettext_noop("imp"),
    gettext_noop("import"),
    gettext_noop("Import"),
    gettext_noop("Import limit {n}"),
    gettext_noop("Importing"),
    gettext_noop("Limit"),
    gettext_noop("limit {n}"),
    gettext_noop("Live updates paused {age}, reconnecting"),
    gettext_noop("Load this page anew"),
    gettext_noop("locked"),
    gettext_noop("Newest"),
    gettext_noop("No data"),
    gettext_noop("No slot was changed by both."),
    gettext_noop("Not saved"),
    gettext_noop("Not saved yet, trying again. Kept in this browser."),
    gettext_noop("Not saved: somebody else changed this day"),
    gettext_noop("Nothing planned"),
    gettext_noop("Nothing was pasted: it has too many lines."),
    gettext_noop("Nothing was pasted: none of its times is a slot of this day."),
    gettext_noop("Nothing was pasted: there is no column of numbers."),
    gettext_noop("Nothing was pasted: “{n}” is no power or no time."),
    gettext_noop("Planned"),
    gettext_noop("positive read as export"),
    gettext_noop("Power"),
    gettext_noop("Press Ctrl V to paste: this browser does not let a button read the clipboard."),
    gettext_noop("Producing"),
    gettext_noop("PV"),
    gettext_noop("Read as import"),
    gettext_noop("Saving"),
    gettext_noop("Select slots in the picture, or choose a span here."),
    gettext_noop("Sign in again"),
    gettext_noop("Slots have begun meanwhile: they stay as they are."),
    gettext_noop("SoC"),
    gettext_noop("Somebody"),
    gettext_noop("State"),
    gettext_noop("Tap a block to change it."),
    gettext_noop("That did not work. Nothing is shown as done."),
    gettext_noop("The chart could not be loaded."),
    gettext_noop("The list is in order again"),
    gettext_noop("The server can't be reached. Nothing was changed."),
    gettext_noop("The server is busy: live updates paused {age}, trying again"),
    gettext_noop("The server did not answer in time. Try again."),
    gettext_noop(
        "The server did not answer in time. It may be done: look at the commands before you send it again."
    ),
    gettext_noop("The server hears no news at present: values stand still, commands are carried out."),
    gettext_noop("The theme could not be kept."),
    gettext_noop("Theme: as the device"),
    gettext_noop("Theme: dark"),
    gettext_noop("Theme: light"),
    gettext_noop("These slots have begun: they stay as they are."),
    gettext_noop("Try again"),
    gettext_noop("Too many windows of yours are open: values stand still in this one. Close another."),
    gettext_noop("Undo"),
    gettext_noop("Use what fits"),
    gettext_noop("Use {n}"),
    gettext_noop("v{n} draft"),
    gettext_noop("What was not saved is back."),
    gettext_noop("window ends at {n} %"),
    gettext_noop("without consumption"),
    gettext_noop("You are signed out."),
    gettext_noop("You have signed in again in another window."),
    gettext_noop("{n} over"),
    gettext_noop("{power} unexplained"),
)
# Wire words that scripts show as `plants.words.label_text` does: the operating modes.
LABELS: Final = (
    gettext_noop("Standard"),
    gettext_noop("Zero export"),
    gettext_noop("Max export"),
    gettext_noop("Peak shaving"),
    gettext_noop("Local optimization"),
    gettext_noop("Grid target"),
    gettext_noop("Lds support"),
)
PLURALS: Final[Mapping[str, Callable[[int], str]]] = {
    "{n} changed, refresh": lambda n: ngettext("{n} changed, refresh", "{n} changed, refresh", n),
    "{n} left out: locked or outside the day": lambda n: ngettext(
        "{n} left out: locked or outside the day",
        "{n} left out: locked or outside the day",
        n,
    ),
    "{n} new": lambda n: ngettext("{n} new", "{n} new", n),
    "{n} new alarm, show": lambda n: ngettext("{n} new alarm, show", "{n} new alarms, show", n),
    "{n} selected": lambda n: ngettext("{n} selected", "{n} selected", n),
    "{n} slot": lambda n: ngettext("{n} slot", "{n} slots", n),
    "{n} slot copied": lambda n: ngettext("{n} slot copied", "{n} slots copied", n),
    "{n} slot pasted": lambda n: ngettext("{n} slot pasted", "{n} slots pasted", n),
    "{n} slot was changed by both: there yours would stand.": lambda n: ngettext(
        "{n} slot was changed by both: there yours would stand.",
        "{n} slots were changed by both: there yours would stand.",
        n,
    ),
}
# One count of each plural form that a language may have: words.js takes the form of the first that is of the same form.
_COUNTS: Final = (0, 1, 2, 3, 11, 100)


def script_texts() -> dict[str, str | dict[str, str]]:
    """What differs from English, as words.js reads it."""
    found: dict[str, str | dict[str, str]] = {}
    for text in (*TEXTS, *LABELS):
        if (told := gettext(text)) != text:
            found[text] = told
    for text, plural in PLURALS.items():
        forms = _forms_of(plural)
        # One that is written as in English says nothing of the others.
        if forms != stored(partial(_forms_of, plural)):
            found[text] = forms
    return found


def _forms_of(plural: Callable[[int], str]) -> dict[str, str]:
    return {str(count): plural(count) for count in _COUNTS}
