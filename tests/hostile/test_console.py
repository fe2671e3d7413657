"""Every route of the console as somebody who has not signed in: the way to the sign-in, or nothing."""

import re
import uuid

import pytest
from django.test import Client

from tests.admin.seed import seed
from tests.factories import AT
from tests.hostile.routes import NOBODY, Route, every_route
from tests.hostile.test_strangers import check_headers

pytestmark = pytest.mark.django_db
VALUES = {"int": NOBODY, "uuid": uuid.UUID(int=1), "str": "x", "slug": "x", "path": "x"}
# Doors: they show a form or a refusal, and nothing of anybody.
DOORS = {f"console:account:{name}" for name in ("login", "code", "welcome", "link", "logout")}
_PARAMETER = re.compile(r"<(?:([a-z_]+):)?[a-z_]+>")


def console_routes() -> list[Route]:
    return [route for route in every_route() if route.pattern.startswith("console/")]


def address(route: Route) -> str:
    """Its path; a parameter of a kind of our own is a day."""
    return "/" + _PARAMETER.sub(lambda found: str(VALUES.get(found[1] or "str", "2026-01-02")), route.pattern)


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_sees_or_does_anything_in_the_console_without_signing_in(method: str) -> None:
    seed(at=AT, plants=3, commands=6, journal=2, letters=1)
    wrong: list[str] = []
    for route in console_routes():
        response = getattr(Client(raise_request_exception=False), method)(address(route))
        check_headers(response)
        onward = response.headers.get("Location", "")
        led = response.status_code in {301, 302} and onward.startswith("/console/")
        if route.name not in DOORS and not led and response.status_code not in {404, 405}:
            wrong.append(f"{route.pattern}: {response.status_code}")
    assert wrong == []


def test_the_doors_show_nothing_of_anybody() -> None:
    made = seed(at=AT, plants=3, commands=6, journal=2, letters=1)
    words = [row.name for row in (*made.organisations, *made.plants)]
    doors = [route for route in console_routes() if route.name in DOORS]

    shown = [Client().get(address(route), follow=True).content.decode() for route in doors]

    assert len(doors) == len(DOORS)
    assert [word for word in words for text in shown if word in text] == []
