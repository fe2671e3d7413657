"""What a page may load and may do: scripts by their packed size, nothing from elsewhere, no script or style in it."""

import gzip
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from console.connect import views_sites
from tests.browser.console.screens import Lived, lived_in

MOST_SCRIPT_BYTES = 150_000
_IMPORTED = re.compile(
    r"""^\s*(?:import|export)\b[^;]*?from\s*["'](\.[^"']+)["']|^\s*import\s*["'](\.[^"']+)["']""", re.M
)


class Page(HTMLParser):
    """What a page names: its scripts and whatever else it loads, and attributes that the policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.loaded: list[str] = []
        self.refused: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.refused += [
            f"{tag} {name}" for name in given if name == "style" or name.startswith(("on", "hx-on"))
        ]
        if tag == "style" or (
            tag == "script" and "src" not in given and given.get("type") != "application/json"
        ):
            self.refused.append(tag)
        address = given.get("src") or (given.get("href") if tag in {"link", "use"} else None)
        if address:
            self.loaded.append(address)
            if tag == "script":
                self.scripts.append(address)


def _modules(path: str, seen: set[str]) -> Iterator[str]:
    """A script and every module that it imports, each once."""
    if path in seen:
        return
    seen.add(path)
    yield path
    for match in _IMPORTED.finditer(_text(path)):
        found = match[1] or match[2]
        yield from _modules(posixpath.normpath(posixpath.join(posixpath.dirname(path), found)), seen)


@cache
def _text(path: str) -> str:
    file = finders.find(path.removeprefix("/static/"))
    assert file is not None, f"no file {path}"
    return Path(file).read_text()


@cache
def _packed(path: str) -> int:
    return len(gzip.compress(_text(path).encode(), 6))


@pytest.fixture
def lived(db: None, monkeypatch: pytest.MonkeyPatch) -> Lived:
    # Nobody is asked for Voke's list of sites: a thread would not see this transaction's rows.
    monkeypatch.setattr(views_sites, "_read", lambda _connection: None)
    return lived_in()


def test_every_page_keeps_to_its_budget_and_its_policy(lived: Lived) -> None:
    client = Client()
    client.force_login(lived.person)
    sizes: dict[str, int] = {}
    for name, path in lived.paths.items():
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, (name, answer.status_code)
        page = Page()
        page.feed(answer.content.decode())
        seen: set[str] = set()
        sizes[name] = sum(_packed(one) for script in page.scripts for one in _modules(script, seen))

        assert page.refused == [], name
        assert [one for one in page.loaded if urlsplit(one).netloc] == [], name
        policy = answer["Content-Security-Policy"]
        assert "script-src 'self';" in policy, name
        assert "style-src 'self';" in policy, name
        assert "unsafe" not in policy, name

    assert {name: size for name, size in sizes.items() if size > MOST_SCRIPT_BYTES} == {}
    assert sizes["fleet"] > 20_000, "it loads htmx and the shell"
