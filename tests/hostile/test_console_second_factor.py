"""Where a second factor is required: whoever has not shown one in this session reaches nothing but the way to it."""

from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django_otp import DEVICE_ID_SESSION_KEY
from pytest_django import Settings

from esm import clock
from people.rights import Role
from plants.models import Organisation, Plant, User
from tests.console.account.conftest import enrolled
from tests.factories import AT
from tests.hostile.console_rows import ROWS, address
from tests.hostile.console_things import (
    changed_tables,
    everything,
    keys_in,
    names_in,
    people_of,
    signed_in,
)
from tests.hostile.routes import NOBODY, Route, every_route, values_for
from trading_api.paths import is_reverse_channel

pytestmark = pytest.mark.django_db
SET_UP = "/console/account/second-factor/"
# The way to it, how its pages look, and the doors.
OPEN = {
    f"console:account:{name}"
    for name in (
        "login", "code", "welcome", "link", "logout", "theme",
        "second_factor", "factor_start", "factor_confirm", "factor_remove", "factor_codes",
    )
}  # fmt: skip
# They say where the pages are, and nothing else.
REDIRECTS = {"", "admin-login"}
REGEX_OF_ADMIN = {"admin:app_list": "/admin/plants/", "admin:": "/admin/nothing-here/"}


@pytest.fixture(autouse=True)
def _required(settings: Settings) -> Iterator[None]:
    settings.TWO_FACTOR = "required"
    with clock.frozen(AT):
        yield


def address_of(route: Route, keys: dict[str, int]) -> str:
    if route.name in ROWS:
        return address(route, keys)
    if route.is_regex:
        return REGEX_OF_ADMIN[route.name]
    row = (route.model or Plant)._default_manager.first()
    return route.address(**values_for(route, NOBODY if row is None else row.pk))


def closed_routes(keys: dict[str, int], *, admin: bool) -> Iterator[tuple[Route, str]]:
    """Every route for people that is no way to the second factor, with its address."""
    for route in every_route():
        path = "/" + route.pattern
        if route.name in OPEN | REDIRECTS or is_reverse_channel(path) or route.name.startswith("trading-"):
            continue
        if route.is_admin == admin:
            yield route, address_of(route, keys)


def leads_to_set_up(answer: HttpResponse) -> bool:
    by_script = answer.status_code == 204 and answer.headers.get("HX-Redirect") == SET_UP
    return by_script or (answer.status_code == 302 and answer.headers["Location"] == SET_UP)


def what_opens(
    client: Client, keys: dict[str, int], method: str = "get", *, admin: bool = False, by_script: bool = False
) -> list[str]:
    headers = {"HX-Request": "true"} if by_script else {}
    return [
        f"{method} {route.pattern}: {answer.status_code}"
        for route, path in closed_routes(keys, admin=admin)
        if not leads_to_set_up(answer := getattr(client, method)(path, headers=headers))
    ]


def verified(client: Client) -> Client:
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = "people.totpdevice/1"
    session.save()
    return client


def test_without_the_second_factor_in_this_session_everything_leads_to_its_set_up(
    owner: Organisation,
) -> None:
    keys, people = dict(keys_in(owner)), people_of(owner)
    without, owing = people[Role.ADMIN], people[Role.ENGINEER]
    enrolled(owing, at=AT)
    staff = User.objects.create_superuser("root", "root@example.com", "correct horse battery")
    nobody, owes, keeper = (signed_in(one) for one in (without, owing, staff))
    before = everything()

    wrong = {
        "without": what_opens(nobody, keys),
        "without, by script": what_opens(nobody, keys, "post", by_script=True),
        "owing": what_opens(owes, keys, "post"),
        "staff": what_opens(keeper, keys, admin=True),
    }

    assert [one for one in wrong.items() if one[1]] == []
    assert changed_tables(before) == []
    assert verified(nobody).get(reverse("console:fleet:list")).status_code == 200


def test_what_is_open_without_it_shows_no_plant_and_changes_the_look_of_pages_at_most(
    owner: Organisation,
) -> None:
    keys, people = dict(keys_in(owner)), people_of(owner)
    owing = people[Role.ENGINEER]
    enrolled(owing, at=AT)
    names = [name for name in names_in(owner) if name != owner.name]
    before, shown = everything(), []
    for route in every_route():
        if route.name in OPEN - {"console:account:logout"}:
            for method in ("get", "post"):
                answer = getattr(signed_in(owing), method)(address_of(route, keys))
                text = answer.content.decode()
                shown += [f"{method} {route.name}: {name}" for name in names if name in text]
                shown += [f"{method} {route.name}: {answer.status_code}"] if answer.status_code >= 500 else []

    assert shown == []
    # The theme, and how often wrong codes were tried.
    assert set(changed_tables(before)) <= {"plants.User", "people.AttemptCount"}
