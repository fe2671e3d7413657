"""Every route of the console with what makes no sense: refused or ignored, and never a failure of ours.

The names of parameters are read from the console's own source, so that a new one is tried too.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

import console
from console.connect import runs
from esm import clock
from people.rights import Role
from tests.factories import AT
from tests.hostile.console_rows import WORDS, address, keys_of, parameters, walked
from tests.hostile.console_things import keys_in, people_of, seeded_organisation, signed_in

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
GARBAGE = (
    "\0",
    "a\0b",
    "9" * 5_000,  # more digits than Python reads
    "9" * 18,
    "-1",
    "²",  # a digit, and no number
    "9999-12-31",
    "0001-01-01",
    "x" * 20_000,
    "[[[[",
    "nan",
    "1e400",
    # As `at` of the fleet's list: a name that no database takes.
    "WzAsIlx1ZDgwMCIsMSwxLDBd",
)
BODIES = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[" * 100_000,
    b'{"slots": null}',
    b'{"slots": [1e400, NaN, "\\ud800"]}',
    b'{"slots": [], "note": "\\ud800"}',
    b'{"slots": [{"start": {}, "value": [], "unknown": 1}], "version": "x"}',
    b'{"slots": %s}' % (b"9" * 5_000),
)
WORDS_OF_NOBODY = ("%00", "%ED%A0%80", "x" * 100_000)
# Streams answer 501 to a client that can't have one.
STREAMS = {"console:live"}
_NAMES = re.compile(
    r"""(?:\bget|getlist)\(\s*"([A-Za-z_-]+)"|^    ([a-z_]+) = forms\.|typed\([\w.]+, "([a-z]+)\"""", re.M
)


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runs, "start", lambda *_args, **_options: None)
    cache.clear()
    with clock.frozen(AT):
        yield
    cache.clear()


def parameter_names() -> list[str]:
    """Every parameter that the console reads."""
    files = sorted(Path(console.__file__).parent.rglob("*.py"))
    return sorted(
        {name for file in files for found in _NAMES.findall(file.read_text()) for name in found if name}
    )


def ask(client: Client, method: str, path: str, body: bytes, kind: str = FORM) -> HttpResponse:
    """The answer; what it did is undone, also to who asks."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        if method == "get":
            response: HttpResponse = client.get(f"{path}?{body.decode()}")
        else:
            response = client.generic("POST", path, body, content_type=kind, HTTP_IF_MATCH='"1"')
        if hasattr(response, "streaming_content"):
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    client.cookies = cookies
    return response


def fails_on_parameters(client: Client, keys: Mapping[str, int]) -> list[str]:
    """Each parameter has another garbage at each route."""
    every, wrong = parameter_names(), []
    assert len(every) > 50
    for at_route, (route, method, _) in enumerate(walked()):
        asked = {name: GARBAGE[(at + at_route) % len(GARBAGE)] for at, name in enumerate(every)}
        response = ask(client, method, address(route, keys), urlencode(asked).encode())
        if response.status_code >= 500 and route.name not in STREAMS:
            wrong.append(f"{method} {route.pattern}: {response.status_code}")
    return wrong


def fails_on_bodies(client: Client, keys: Mapping[str, int]) -> list[str]:
    """Of the pages that read JSON; the others see an empty form."""
    wrong = []
    for route, method, _ in walked():
        reads_json = method == "post" and route.name.startswith("console:plans:")
        for at, body in enumerate(BODIES if reads_json else ()):
            response = ask(client, method, address(route, keys), body, "application/json")
            if response.status_code >= 500:
                wrong.append(f"{route.pattern} body {at}: {response.status_code}")
    return wrong


def fails_on_addresses(client: Client, keys: Mapping[str, int]) -> list[str]:
    """A row that no table can hold is not found; a word that is none never fails."""
    wrong = []
    for route, method, _ in walked():
        if keys_of(route):
            response = ask(client, method, address(route, dict.fromkeys(keys, "9" * 19)), b"")
            if response.status_code != 404:
                wrong.append(f"{method} {route.pattern}: {response.status_code}")
        for word in WORDS_OF_NOBODY if set(parameters(route)) & set(WORDS) else ():
            response = ask(client, method, address(route, {**keys, **dict.fromkeys(WORDS, word)}), b"")
            if response.status_code >= 500:
                wrong.append(f"{method} {route.pattern} {word[:12]}: {response.status_code}")
    digits = ask(client, "get", f"/console/plants/{'9' * 5_000}/", b"")  # more than Python reads
    return wrong if digits.status_code == 404 else [*wrong, "5,000 digits"]


def test_nothing_that_makes_no_sense_makes_a_page_of_the_console_fail() -> None:
    owner = seeded_organisation()
    client, keys = signed_in(people_of(owner)[Role.ADMIN]), keys_in(owner)

    wrong = {
        "parameters": fails_on_parameters(client, keys),
        "bodies": fails_on_bodies(client, keys),
        "addresses": fails_on_addresses(client, keys),
    }

    assert wrong == {"parameters": [], "bodies": [], "addresses": []}
