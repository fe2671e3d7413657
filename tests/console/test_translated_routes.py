"""Every route of the console in a made-up language: what HTMX and scripts fetch, and what an empty form is answered."""

import json
from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings

from console.connect import runs, views_sites
from esm import clock
from tests.browser.console.screens import Lived, lived_in
from tests.console.pseudo import LANGUAGE, Shown, pseudo_language
from tests.console.test_translated import in_english, words_in_rows
from tests.factories import AT
from tests.hostile.console_rows import address, walked
from tests.hostile.console_things import keys_in

_TOLD = frozenset(
    {"text", "title", "message", "word", "words", "label", "more", "sentence", "note", "error", "summary"}
)
"""Members of JSON that scripts show."""
_LEAVES = frozenset(
    {"console:account:logout", "console:live", "console:account:end_session", "console:account:end_others"}
)


@pytest.fixture
def lived(db: None, monkeypatch: pytest.MonkeyPatch) -> Lived:
    monkeypatch.setattr(views_sites, "_read", lambda _connection: None)
    monkeypatch.setattr(runs, "start", lambda *_args, **_more: None)
    with clock.frozen(AT):
        return lived_in()


def _texts(answer: HttpResponse) -> Iterator[tuple[str, str]]:
    kind = answer.headers.get("Content-Type", "")
    if answer.streaming or not answer.content:
        return
    if kind.startswith("application/json"):
        yield from _members(json.loads(answer.content))
    elif kind.startswith("text/html"):
        shown = Shown()
        shown.feed(answer.content.decode())
        yield from shown.texts
    elif kind.startswith("text/plain"):
        yield "plain", answer.content.decode()


def _members(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _members(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _members(one, name)
    elif isinstance(value, str) and name in _TOLD:
        yield f"json {name}", value


def test_no_part_of_a_page_and_no_answer_to_a_form_shows_a_text_that_is_not_translated(lived: Lived) -> None:
    client = Client()
    client.force_login(lived.person)
    english, looked = [], 0
    with clock.frozen(AT):
        keys = keys_in(lived.organisation)
        written = words_in_rows()
        with override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
            for method in ("get", "post"):
                for route, allowed, _right in walked():
                    if allowed != method or route.name in _LEAVES:
                        continue
                    ask = getattr(client, method)
                    answer = ask(address(route, keys), headers={"HX-Request": "true"})
                    for tag, text in _texts(answer):
                        looked += 1
                        if tag != "time@title" and (words := list(in_english(text, written))):
                            english.append(
                                f"{method} {route.name} {answer.status_code} {tag}: {text[:120]} {words}"
                            )

    assert english == [], "\n".join(english)
    assert looked > 3_000
