"""Every route of the console as each role, as another organisation, and from another site: what is not theirs stays."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from console.connect import runs
from esm import clock
from people.rights import Role
from plants.models import Organisation
from tests import factories
from tests.factories import AT
from tests.hostile.console_rows import LEAST, ROWS, address, console_routes, keys_of, walked
from tests.hostile.console_things import (
    changed_tables,
    everything,
    keys_in,
    names_in,
    people_of,
    signed_in,
)
from tests.hostile.routes import NOBODY, Route

pytestmark = pytest.mark.django_db
# Staff may not be asked for what they did in another organisation without leaving a trace of asking.
LEAVES_A_TRACE = {"console:account:audit_export"}
ROLES = list(Role)


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runs, "start", lambda *_args, **_options: None)
    cache.clear()
    with clock.frozen(AT):
        yield
    cache.clear()


@pytest.fixture
def stranger(owner: Organisation) -> Organisation:
    """Another organisation, with people of its own and nothing else."""
    return factories.organisation(name="Intruders", slug="intruders")


def ask(client: Client, method: str, path: str, **data: str) -> HttpResponse:
    """The answer; whatever it did is undone, so that the next one finds the same."""
    with transaction.atomic():
        response: HttpResponse = getattr(client, method)(path, data)
        if hasattr(response, "streaming_content"):
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    return response


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {route.name for route in console_routes()} == set(ROWS)


def test_a_method_that_a_route_does_not_take_is_refused(owner: Organisation) -> None:
    client, keys = signed_in(people_of(owner)[Role.ADMIN]), keys_in(owner)
    wrong = [
        f"{method} {route.pattern}: {response.status_code}"
        for route in console_routes()
        for method, right in zip(("get", "post"), ROWS[route.name], strict=True)
        if right == "-" and (response := ask(client, method, address(route, keys))).status_code != 405
    ]
    assert wrong == []


@pytest.mark.parametrize("role", ROLES[:-1])
def test_what_a_role_may_not_do_is_refused_and_nothing_changes(owner: Organisation, role: Role) -> None:
    client, keys = signed_in(people_of(owner)[role]), keys_in(owner)
    before = everything()
    wrong = []
    for route, method, right in walked():
        if right in LEAST and ROLES.index(role) < ROLES.index(LEAST[right]):
            response = getattr(client, method)(address(route, keys))
            if response.status_code != 403:
                wrong.append(f"{method} {route.pattern}: {response.status_code}")
    assert (wrong, changed_tables(before)) == ([], [])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_looking_changes_nothing_and_never_fails(owner: Organisation, role: Role) -> None:
    client, keys = signed_in(people_of(owner)[role]), keys_in(owner)
    before = everything()
    wrong = []
    for route, method, right in walked():
        allowed = right not in LEAST or ROLES.index(role) >= ROLES.index(LEAST[right])
        if method != "get" or not allowed or route.name in LEAVES_A_TRACE:
            continue
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(address(route, keys), headers=headers)
            if (response.status_code >= 500 and route.name != "console:live") or response.status_code == 403:
                wrong.append(f"{route.pattern}: {response.status_code}")
    assert (wrong, changed_tables(before)) == ([], [])


@pytest.mark.parametrize("method", ["get", "post"])
def test_rows_of_another_organisation_do_not_exist(
    owner: Organisation, stranger: Organisation, method: str
) -> None:
    client, keys = signed_in(people_of(stranger)[Role.ADMIN]), keys_in(owner)
    before = everything()
    wrong = [
        f"{route.pattern}: {response.status_code}"
        for route, allowed, _ in walked()
        if allowed == method
        and keys_of(route)
        and (response := getattr(client, method)(address(route, keys))).status_code != 404
    ]
    assert (wrong, changed_tables(before)) == ([], [])


def test_a_row_that_belongs_to_something_else_is_not_found_below_it(owner: Organisation) -> None:
    """Own plant, somebody else's override or command."""
    client, keys = signed_in(people_of(owner)[Role.ADMIN]), keys_in(owner)
    nested = [(route, method) for route, method, _ in walked() if len(keys_of(route)) > 1]
    wrong = [
        f"{method} {route.pattern}: {response.status_code}"
        for route, method in nested
        for name in keys_of(route)
        if (response := ask(client, method, address(route, {**keys, name: NOBODY}))).status_code != 404
    ]
    assert nested
    assert wrong == []


def test_no_query_shows_anything_of_another_organisation(owner: Organisation, stranger: Organisation) -> None:
    client, keys, names = signed_in(people_of(stranger)[Role.ADMIN]), keys_in(owner), names_in(owner)
    query = {
        "plant": keys["plant_id"], "connection": keys["connection_id"], "person": keys["person_id"],
        "ids": ",".join(str(key) for key in keys.values()), "version": "1", "sent": keys["command_id"],
        "q": names[1][:4], "chosen": keys["command_id"], "all": "", "view": "all", "organisation": owner.pk,
    }  # fmt: skip
    wrong = []
    for route, method, _ in walked():
        if method == "get" and not keys_of(route):
            body = _text(client.get(address(route, keys), query))
            wrong += [f"{route.pattern}: {name}" for name in names if name in body]
    assert wrong == []


def test_nothing_is_done_for_a_form_of_another_site(owner: Organisation) -> None:
    client = signed_in(people_of(owner)[Role.ADMIN], enforce_csrf_checks=True)
    keys, before = keys_in(owner), everything()
    wrong = [
        f"{route.pattern}: {response.status_code}"
        for route, method, _ in walked()
        if method == "post" and (response := client.post(address(route, keys))).status_code != 403
    ]
    assert (wrong, changed_tables(before)) == ([], [])


def test_no_page_of_somebody_signed_in_is_kept_by_browsers_or_proxies(owner: Organisation) -> None:
    client, keys = signed_in(people_of(owner)[Role.ADMIN]), keys_in(owner)
    wrong = [
        route.pattern
        for route, method, right in walked()
        if method == "get"
        and right != "door"
        and _may_be_kept(ask(client, "get", address(route, keys)), route)
    ]
    assert wrong == []


def _may_be_kept(response: HttpResponse, route: Route) -> bool:
    redirected = response.status_code in {301, 302}
    return not redirected and "no-store" not in response.headers.get("Cache-Control", "")


def _text(response: HttpResponse) -> str:
    body = (
        b"".join(response.streaming_content) if hasattr(response, "streaming_content") else response.content
    )
    return bytes(body).decode()
