"""Markup in every text that the console shows: stored, sent along with a form, or told by a live event.

Every free text of the seeded organisation is hostile: names, reasons, comments, Voke's words, raw messages. Nothing of
it may become an element, an attribute or an address.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import IntegrityError, models, transaction
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpResponse
from django.test import Client

import console
from console.connect import runs
from esm import clock
from people.models import AuditEntry, PersonSession
from people.rights import Role
from tests.factories import AT
from tests.hostile.console_rows import address, walked
from tests.hostile.console_things import keys_in, people_of, seeded_organisation, signed_in
from tests.hostile.test_console_garbage import parameter_names
from tests.hostile.test_markup import text_fields

pytestmark = pytest.mark.django_db
LONG = "\"'><evil onevil=1></script></style></textarea></title>--><evil>{{ 7 }}\u202e\u200b"
SHORT = "\"'><evil>"
ROOM_FOR_KEY = 8
BODY = b'{"reason": "\\"\'><evil onevil=1></script><evil>", "<evil>": ["<evil>"]}'
# Words of a closed set, or of a form that whoever writes them has checked.
OF_A_FORM = {
    "time_zone", "timezone", "theme", "username", "password", "session_key", "digest", "sha256", "key", "phase",
    "endpoint", "role", "method", "stream", "state", "kind", "type", "grid", "etag", "version",
}  # fmt: skip
ADDRESSES = frozenset({"href", "src", "action", "formaction", "hx-get", "hx-post", "data-url", "data-href"})
SINKS = re.compile(
    r"\b(?:innerHTML|outerHTML)\s*\+?=(?!=)|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc"
    r"|\beval\(|new Function|DOMParser|setHTMLUnsafe|javascript:"
)
QUOTED = re.compile(
    r"""(?:(?:attachment|inline)(?:; filename(?:="(?:[^"\\]|\\.)*"|\*=utf-8''[\w.%~-]*))?)?"""
)
# They take a page or a part of one from our own server, where it was escaped; never a value of an event.
KNOWN_SINKS = {"alarms.js": 1, "commands.js": 3, "fleet.js": 1, "plant.js": 1, "renew.js": 1}


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runs, "start", lambda *_args, **_options: None)
    cache.clear()
    with clock.frozen(AT):
        yield
    cache.clear()


class Page(HTMLParser):
    """What a browser would make of a page: `evil` is what came out of a text, `shown` whether a text was shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.evil: list[str] = []
        self.shown = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element or an attribute that is not ours."""
        if tag == "evil":
            self.evil.append(f"<{tag}> at {self.getpos()}")
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith("onevil") or (name in ADDRESSES and text.startswith("javascript:")):
                self.evil.append(f"{tag} {name} at {self.getpos()}")
            self.shown = self.shown or "<evil" in text

    def handle_data(self, data: str) -> None:
        """Text, also that of scripts."""
        self.shown = self.shown or "<evil" in data


def poison(model: type[models.Model]) -> int:
    """Make the free texts of all rows hostile, and different; how many fields."""
    done = 0
    for field in text_fields(model):
        room = (field.max_length or 10_000) - ROOM_FOR_KEY
        if field.name in OF_A_FORM or room < len(SHORT):
            continue
        text = (
            "javascript:evil()"
            if field.name.endswith(("url", "uri"))
            else LONG
            if room >= len(LONG)
            else SHORT
        )
        hostile = Concat(Value(text), Cast(F("pk"), CharField()), output_field=CharField())
        try:
            with transaction.atomic():
                done += bool(
                    model._default_manager.exclude(**{field.name: ""}).update(**{field.name: hostile})
                )
        except IntegrityError:  # a check of the database's own says what it may hold
            continue
    for field in model._meta.concrete_fields:
        if isinstance(field, models.BinaryField) and field.name == "body":
            done += bool(model._default_manager.update(**{field.name: BODY}))
    return done


def poisoned_fields() -> int:
    """Hostile texts everywhere."""
    every = [one for one in apps.get_models() if one._meta.app_label in OURS]
    return sum(poison(model) for model in every if model not in (AuditEntry, PersonSession))


OURS = {"plants", "dispatch", "schedules", "metering", "trading_api", "link", "watch", "people"}


def looked_at(name: str, response: HttpResponse, page: Page) -> list[str]:
    """What is wrong with an answer."""
    kind = response.headers.get("Content-Type", "")
    streamed = getattr(response, "streaming_content", None)
    body = (b"".join(streamed) if streamed is not None else response.content).decode("utf-8", "replace")
    wrong = [f"{name}: {response.status_code}"] if response.status_code >= 500 else []
    if kind.startswith(("text/html", "image/svg")):
        page.feed(body)
        page.close()
        wrong += [f"{name}: {one}" for one in page.evil]
    elif response.headers.get("X-Content-Type-Options") != "nosniff":
        wrong.append(f"{name}: {kind} may be taken for a page")
    disposition = response.headers.get("Content-Disposition", "")
    return wrong + ([] if QUOTED.fullmatch(disposition) else [f"{name}: {disposition}"])


def ask(client: Client, method: str, path: str, **how: Any) -> HttpResponse:
    """The answer; what it did is undone, also to who asks."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        response: HttpResponse = getattr(client, method)(path, **how)
        if not response.streaming:
            transaction.set_rollback(True)
    client.cookies = cookies
    return response


def test_no_text_becomes_markup_on_any_page_of_the_console() -> None:
    owner = seeded_organisation()
    client, keys = signed_in(people_of(owner)[Role.ADMIN]), keys_in(owner)
    fields, wrong, showing = poisoned_fields(), list[str](), 0
    reflected = urlencode(dict.fromkeys(parameter_names(), LONG))

    for route, method, _ in walked():
        path = address(route, keys)
        for query, headers in (("", {}), (f"?{reflected}", {"HX-Request": "true"})):
            if route.name == "console:live" or (method == "post" and not query):
                continue
            page = Page()
            if method == "get":
                response = ask(client, method, f"{path}{query}", headers=headers)
            else:
                form = {"data": reflected, "content_type": "application/x-www-form-urlencoded"}
                response = ask(client, method, path, headers=headers, **form)
            wrong += looked_at(f"{method} {route.name} {'hostile' if query else ''}", response, page)
            showing += page.shown

    assert "\n".join(wrong) == ""
    assert (fields > 80, showing > 40) == (True, True), (fields, showing)


def test_scripts_of_the_console_put_nothing_into_pages_but_as_text() -> None:
    found: dict[str, int] = {}
    for file in sorted((Path(console.__file__).parent / "static" / "console").rglob("*.js")):
        count = len(SINKS.findall(file.read_text()))
        if count:
            found[file.name] = count

    assert found == KNOWN_SINKS
