"""What scripts show comes from one table: every text of theirs is in it, and none is written past it."""

import re
from collections.abc import Iterator

import pytest

from console import texts
from tests.console.pseudo import pseudo, pseudo_language
from tests.console.scripts import FOLDER, Literal, literals

_TOLD = re.compile(r"(?:^|[^\w$])(tn?)\($")
_MANY = re.compile(r'(?:^|[^\w$])tn\("[^"]*",$')
# Where a text goes that people see or hear.
_SINK = re.compile(
    r"(?:\.(?:textContent|title|placeholder|ariaLabel|innerText|alt)=(?!=)|(?:toast|say|setText|showText|Option)\("
    r'|setAttribute\("(?:title|aria-label|aria-roledescription|placeholder|alt)",|\.(?:append|replaceChildren)\()'
)
# Within a sink these are no text: what is compared, looked up or made; formats; names of parts.
_NOT_SHOWN = re.compile(
    r"(?:[!=]==?|(?:querySelector(?:All)?|matches|closest|createElement(?:NS)?|element|cell|getAttribute|setAttribute"
    r"|DateTimeFormat|toLocaleTimeString|NumberFormat|get|has|test|case|getElementById|split|replace(?:All)?)\(|\b(?:class|d|kind|to):|\bdataset\[[^\]]*)$"
)
_CLASS_OF_CELL = re.compile(r"cell\([^;]*,$")
_UNITS = re.compile(r"\\u[0-9a-f]{4}|\{\}|(?:kWh?|MWh?|kWp|min|ms|UTC|SoC)\b")
# Icons, classes and ids.
_NAME = re.compile(r"[a-z]+(?:-[a-z0-9]+)+")
_SENTENCE = re.compile(r"^[A-Z][a-z]+[ ,:][a-z“{]")


def _all() -> Iterator[tuple[str, Literal]]:
    for path in sorted(FOLDER.glob("*.js")):
        for one in literals(path.read_text()):
            yield path.name, one


def test_the_table_holds_every_text_that_scripts_ask_for_and_no_other() -> None:
    asked = {one.text for _, one in _all() if (found := _TOLD.search(one.before)) and found[1] == "t"}
    counted = {one.text for _, one in _all() if (found := _TOLD.search(one.before)) and found[1] == "tn"}

    assert asked == set(texts.TEXTS)
    assert counted == set(texts.PLURALS)


def test_no_script_shows_a_text_past_the_table() -> None:
    past = []
    for name, one in _all():
        if _TOLD.search(one.before) or _MANY.search(one.before):
            continue
        sink = list(_SINK.finditer(one.before))
        shown = sink and not _NOT_SHOWN.search(one.before) and not _CLASS_OF_CELL.search(one.before)
        shown = shown and not _NAME.fullmatch(one.text)
        if (shown and re.search("[A-Za-z]{2}", _UNITS.sub("", one.text))) or _SENTENCE.search(one.text):
            past.append(f"{name}:{one.line} {one.text!r} after {one.before[-60:]}")

    assert past == [], "\n".join(past)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('a.textContent = "Not yet"; // "no text"', ["Not yet"]),
        ("toast(`Saved ${t('x')} now`);", ["Saved {} now", "x"]),
        ("x = a / 2; y = /it's \"so\"/.test(b) ? 'p' : `q`;", ["p", "q"]),
        ("/* 'no' */ `a${b ? `c${d}` : {e: 'f'}.e}g`", ["a{}g", "c{}", "f"]),
    ],
)
def test_texts_are_found_in_scripts(source: str, found: list[str]) -> None:
    assert sorted(one.text for one in literals(source)) == sorted(found)


def test_a_page_brings_the_texts_of_its_language_and_an_english_one_brings_none() -> None:
    english = texts.script_texts()

    with pseudo_language():
        told = texts.script_texts()

    assert english == {}
    assert told["Saving"] == pseudo("Saving")
    assert told["{n} slot"] == {
        "1": pseudo("{n} slot"),
        **{count: pseudo("{n} slots") for count in ("0", "2", "3", "11", "100")},
    }
    assert len(told) == len({*texts.TEXTS, *texts.LABELS, *texts.PLURALS})
