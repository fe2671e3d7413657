"""Every route as a stranger: no page, no data, and no hint whether what was asked for exists.

Routes are read from the URL conf, so a new one is walked too. A new page of the admin has the rule of the admin; any
other new route fails here until it has a rule of its own.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from esm.health import HEALTH_VIEWS
from esm.security_headers import FOR_PEOPLE, FOR_PROGRAMS, IN_THE_ADMIN
from plants.models import Connection, Organisation, Plant, User
from tests import factories
from tests.admin.seed import seed
from tests.factories import AT
from tests.hostile.routes import NOBODY, Route, every_route, values_for
from tests.trading_api.conftest import Voke, voke_for
from trading_api.models import Credential

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
API = {
    "trading-token": "/trading/token",
    "trading-list": "/trading/plant/list",
    "trading-config": "/trading/plant/config",
    "trading-update": "/trading/plant/config/update",
    "trading-openapi": "/trading/openapi.json",
    "trading-unknown": "/trading/nothing",
}
FOR_ANYBODY = {"trading-openapi"}
REGEX_OF_ADMIN = {"admin:app_list": "/admin/plants/", "admin:": "/admin/nothing-here/"}
# Of no organisation and without its data: what any member of the installation's staff may open.
FOR_ANY_STAFF = {
    "admin-login",
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change",
    "admin:password_change_done",
    "admin:jsi18n",
    "admin:search",
}


@pytest.fixture
def _seeded(db: None) -> None:
    seed(at=AT, plants=4, commands=12, journal=6, letters=3)


@pytest.fixture
def secrets_of_others(_seeded: None) -> list[str]:
    """Words that only somebody of the seeded organisations may read."""
    return [
        *Organisation.objects.values_list("name", flat=True),
        *Plant.objects.values_list("name", flat=True),
        *Plant.objects.values_list("external_plant_id", flat=True),
        *Connection.objects.values_list("vhost", flat=True),
        *Credential.objects.values_list("client_id", flat=True),
    ]


def admin_routes() -> list[Route]:
    return [route for route in every_route() if route.is_admin]


def addresses(route: Route) -> dict[str, str]:
    """The route's page of a row that exists ("there") and of one that does not ("not there"), or its only page."""
    if route.is_regex:
        return {"there": REGEX_OF_ADMIN[route.name]}
    if not route.parameters:
        return {"there": route.address()}
    row = (route.model or Plant)._default_manager.first()
    key = NOBODY if row is None else row.pk
    return {
        "there": route.address(**values_for(route, key)),
        "not there": route.address(**values_for(route, NOBODY)),
    }


def forgetful(response: Any, address: str) -> tuple[Any, ...]:
    """What an answer tells, without the address that was asked for and without what differs every time."""
    ignored = {"x-request-id", "set-cookie", "content-length", "date", "expires"}
    headers = {
        name.lower(): value.replace(address, "")
        for name, value in response.items()
        if name.lower() not in ignored
    }
    body = (
        response.content.decode().replace(address, "").replace(response.headers.get("X-Request-Id", "-"), "")
    )
    body = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", body)
    return response.status_code, headers, body


def check_headers(response: Any) -> None:
    expected = FOR_PROGRAMS
    if response.headers.get("Content-Type", "").startswith("text/html"):
        expected = IN_THE_ADMIN if response.request["PATH_INFO"].startswith("/admin/") else FOR_PEOPLE
    assert {name: response.headers.get(name) for name in expected} == dict(expected)
    assert not {"Server", "X-Powered-By"} & set(response.headers)


def turned_away(response: Any) -> bool:
    if response.status_code == 302:
        # A row's bare address leads to its page whether there is a row or not.
        onward = f"{response.request['PATH_INFO']}change/"
        return response["Location"].startswith("/admin/login/?next=") or response["Location"] == onward
    return response.status_code in {401, 403, 404, 405}


def test_every_route_has_a_rule(_seeded: None) -> None:
    for route in every_route():
        if route.is_admin:
            addresses(route)  # a parameter that nobody knows is an error here
            assert not route.is_regex or route.name in REGEX_OF_ADMIN, route.pattern
        else:
            of_console = route.pattern.startswith("console/")  # `test_console` asks for each of them
            assert route.name in API or route.pattern == "" or of_console, (
                f"say in tests/hostile who may ask for {route.pattern}"
            )


def anonymous() -> Client:
    return Client(raise_request_exception=False)


def member_of_another_organisation() -> Client:
    client = anonymous()
    client.force_login(
        User.objects.create_user("eva", password=PASSWORD, organisation=factories.organisation())
    )
    return client


def member_with_the_flags_of_staff() -> Client:
    """Somebody set flags past the forms: a person of an organisation still has no place in the admin."""
    client = anonymous()
    user = User.objects.create_superuser("eve", "eve@example.com", PASSWORD)
    client.force_login(user)
    User.objects.filter(pk=user.pk).update(organisation=factories.organisation())
    return client


def holder_of_another_organisations_token() -> Client:
    voke = voke_for(factories.plant()).authorise()
    return Client(raise_request_exception=False, headers=voke.headers())


@pytest.mark.parametrize(
    "stranger",
    [
        anonymous,
        member_of_another_organisation,
        member_with_the_flags_of_staff,
        holder_of_another_organisations_token,
    ],
)
def test_the_admin_turns_strangers_away_and_tells_them_nothing(
    stranger: Callable[[], Client], _seeded: None
) -> None:
    client = stranger()
    wrong: list[str] = []
    for route in admin_routes():
        for method in (client.get, client.post):
            asked = addresses(route) if method == client.get else {"there": addresses(route)["there"]}
            answers = {which: (method(address), address) for which, address in asked.items()}
            for response, address in answers.values():
                check_headers(response)
                if not turned_away(response) and route.name not in {
                    "admin-login",
                    "admin:login",
                    "admin:logout",
                }:
                    wrong.append(f"{response.request['REQUEST_METHOD']} {address}: {response.status_code}")
            told = {which: forgetful(*answer) for which, answer in answers.items()}
            if told.get("not there", told["there"]) != told["there"]:
                wrong.append(f"{route.pattern} tells what exists")
    assert wrong == []


def test_staff_without_a_permission_see_no_page_and_no_data(secrets_of_others: list[str]) -> None:
    client = anonymous()
    client.force_login(User.objects.create_user("petr", password=PASSWORD, is_staff=True))
    wrong: list[str] = []
    for route in admin_routes():
        answers = {which: (client.get(address), address) for which, address in addresses(route).items()}
        for response, address in answers.values():
            check_headers(response)
            body = response.content.decode()
            if route.name not in FOR_ANY_STAFF and not turned_away(response):
                wrong.append(f"GET {address}: {response.status_code}")
            wrong += [f"{address} shows {word}" for word in secrets_of_others if word in body]
        told = {which: forgetful(*answer) for which, answer in answers.items()}
        if told.get("not there", told["there"]) != told["there"]:
            wrong.append(f"{route.pattern} tells what exists")
    assert wrong == []


def test_staff_without_a_permission_change_nothing(_seeded: None) -> None:
    client = anonymous()
    client.force_login(User.objects.create_user("petr", password=PASSWORD, is_staff=True))
    for route in admin_routes():
        if route.name in FOR_ANY_STAFF:
            continue
        address = addresses(route)["there"]
        assert turned_away(client.post(address, {"post": "yes", "confirmed": "1"})), address


@pytest.fixture
def stranger() -> Voke:
    """A client of another organisation with a plant of its own."""
    factories.plant(external_plant_id="THEIRS-1", name="Hospital of others")
    return voke_for(factories.plant(external_plant_id="MINE-1")).authorise()


@pytest.mark.parametrize("name", sorted(set(API) - FOR_ANYBODY))
@pytest.mark.parametrize("method", ["get", "post", "head", "put"])
def test_the_reverse_channel_answers_nobody_without_a_token(name: str, method: str, stranger: Voke) -> None:
    response = getattr(anonymous(), method)(API[name])
    check_headers(response)
    assert response.status_code in {400, 401, 404, 405, 415}


def test_a_list_holds_only_the_callers_own_plants(stranger: Voke) -> None:
    body = stranger.list().content.decode()
    assert [plant["plantId"] for plant in json.loads(body)] == ["MINE-1"]
    assert "THEIRS" not in body
    assert "others" not in body


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}, {"If-None-Match": '"x"'}])
def test_the_config_of_a_foreign_plant_is_the_config_of_no_plant(
    stranger: Voke, headers: dict[str, str]
) -> None:
    told = [
        forgetful(stranger.get(f"/trading/plant/config?plantId={ref}", headers=headers), ref)
        for ref in ("THEIRS-1", "NOBODYS1")
    ]
    assert told[0] == told[1]
    assert told[0][0] == 404


def test_an_update_of_a_foreign_plant_is_an_update_of_no_plant(stranger: Voke) -> None:
    told = [forgetful(stranger.update(plantId=ref), ref) for ref in ("THEIRS-1", "NOBODYS1")]
    assert told[0] == told[1]
    assert told[0][0] == 404


def test_health_tells_strangers_no_more_than_whether_it_works(secrets_of_others: list[str]) -> None:
    for path in HEALTH_VIEWS:
        response = anonymous().get(path)
        check_headers(response)
        assert [word for word in secrets_of_others if word in response.content.decode()] == []


def test_the_bare_address_leads_to_the_console_and_shows_nothing() -> None:
    response = anonymous().get("/")
    check_headers(response)
    assert (response.status_code, response["Location"]) == (302, "/console/")
