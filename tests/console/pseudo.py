"""A made-up language: whatever is translated is in wide letters, so that what stays narrow was not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Final
from unittest.mock import patch

from django.utils import translation

LANGUAGE: Final = "de"
"""Its numbers and dates are written by the formats of this language."""
_KEPT: Final = re.compile(r"%(?:\(\w+\))?[^a-zA-Z%\s]*[a-z]|%%|\{\w*\}|<[^>]*>|&#?\w+;")
_WIDE: Final = {ord("a") + n: 0xFF41 + n for n in range(26)} | {ord("A") + n: 0xFF21 + n for n in range(26)}
_SHOWN_ATTRIBUTES: Final = (
    "title",
    "aria-label",
    "aria-roledescription",
    "placeholder",
    "alt",
    "data-confirm",
)
# What is shown as it was sent or stored, and what is not shown.
_RAW: Final = {"pre", "code", "kbd", "script", "style", "textarea"}
_VOID: Final = {
    "br",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "use",
    "rect",
    "path",
    "line",
    "circle",
    "col",
    "wbr",
}


def pseudo(text: str) -> str:
    """The text in wide letters; placeholders, tags and entities stay."""
    parts, last = [], 0
    for match in _KEPT.finditer(text):
        parts += [text[last : match.start()].translate(_WIDE), match[0]]
        last = match.end()
    return "".join([*parts, text[last:].translate(_WIDE)])


def told(text: str) -> str:
    """What gettext answers: the text itself in every other language."""
    return pseudo(text) if translation.get_language() == LANGUAGE else text


@contextmanager
def pseudo_language() -> Iterator[None]:
    """Within it everything that gettext knows is pseudo, where the language is LANGUAGE; formats of dates stay."""
    trans = translation._trans  # type: ignore[attr-defined]
    fakes = {
        "gettext": told,
        "ngettext": lambda one, many, number: told(one if number == 1 else many),
        "pgettext": lambda context, text: text if context == "date format" else told(text),
        "npgettext": lambda _context, one, many, number: told(one if number == 1 else many),
    }
    with patch.multiple(trans, create=True, **fakes), translation.override(LANGUAGE):
        yield


class Shown(HTMLParser):
    """The texts that a page shows or reads out, each with the tag it stands in."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.texts += [(f"{tag}@{name}", given[name] or "") for name in _SHOWN_ATTRIBUTES if name in given]
        if tag == "input" and given.get("type") in {"submit", "button"}:
            self.texts.append((f"{tag}@value", given.get("value") or ""))
        if tag not in _VOID:
            classes = (given.get("class") or "").split()
            raw = tag in _RAW or "mono" in classes or ("translate" in given and given["translate"] == "no")
            self._open.append((tag, raw))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(raw for _, raw in self._open):
            self.texts.append((self._open[-1][0] if self._open else "", " ".join(data.split())))
