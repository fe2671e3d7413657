"""Every screen of a lived-in organisation, by its name: what the walks over all pages go through."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.test import Client
from playwright.sync_api import Page, expect

from people.rights import Role
from plants.models import AlarmCase, Organisation, User
from tests.admin.seed import seed
from tests.factories import AT


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The organisation that is looked at, who looks, and the address of each of its screens by name."""

    organisation: Organisation
    person: User
    paths: Mapping[str, str]


def lived_in() -> Lived:
    """Rows of everything, an administrator of the organisation, and the addresses of its screens."""
    made = seed(plants=9, commands=60, journal=60, at=AT)
    whose = made.organisations[0]
    person = User.objects.create_user(
        "jana", password="x", organisation=whose, role=Role.ADMIN, first_name="Jana", last_name="Dvořáková"
    )
    return Lived(organisation=whose, person=person, paths=_paths(whose, person))


def _paths(whose: Organisation, person: User) -> Mapping[str, str]:
    plant = whose.plants.earliest("pk")
    command = whose.commands.order_by("-pk")[3]
    here = f"/console/plants/{plant.pk}"
    connection = f"/console/connections/{whose.connections.earliest('pk').pk}"
    case = AlarmCase.objects.filter(organisation=whose).earliest("pk").pk
    return {
        "fleet": "/console/fleet/",
        "emergency": f"/console/fleet/emergency/?plant={plant.pk}",
        "plant": f"{here}/",
        "plant config": f"{here}/config/",
        "plant alarms": f"{here}/alarms/",
        "plant meter": f"{here}/meter/",
        "plant history": f"{here}/history/",
        "acting": f"{here}/act/",
        "plans": "/console/plans/",
        "plan": f"{here}/plan/{AT.date().isoformat()}/",
        "plan import": "/console/plans/import/",
        "commands": "/console/commands/",
        "command": f"/console/commands/{command.pk}/",
        "record": f"/console/commands/{command.pk}/record/",
        "alarms": "/console/alarms/",
        "alarm": f"/console/alarms/{case}/",
        "reverse": "/console/reverse/",
        "connections": "/console/connections/",
        "connection": f"{connection}/",
        "check": f"{connection}/check/",
        "sites": f"{connection}/sites/",
        "credentials": "/console/connections/credentials/",
        "new connection": "/console/connections/new/",
        "people": "/console/people/",
        "person": f"/console/people/{person.pk}/",
        "audit": "/console/audit/",
        "account": "/console/account/",
        "second factor": "/console/account/second-factor/",
        "kit": "/console/_kit/",
    }


def signed_in(page: Page, lived: Lived, client: Client, url: str) -> Page:
    """The page with the person's session."""
    client.force_login(lived.person)
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": url}])
    return page


def settle(page: Page, path: str) -> None:
    """Open a screen and wait until what it loads after its first paint is there."""
    page.goto(path)
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0, timeout=60_000)


_SPILLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_UNEXPLAINED = """() => [...document.querySelectorAll("main :is(button, fieldset, input, select):disabled")]
  .filter((one) => one.checkVisibility() && !one.title && !one.closest("[aria-disabled]"))
  .filter((one) => !/role/i.test(one.closest(".card, .phead, main").textContent))
  .map((one) => one.outerHTML.slice(0, 120))"""


def misfits(page: Page, path: str) -> list[str]:
    """What is wrong with a screen on the widest and the narrowest of pages: it spills, or a control won't say why."""
    page.set_viewport_size({"width": 1440, "height": 900})
    settle(page, path)
    found = [f"no reason: {one}" for one in page.evaluate(_UNEXPLAINED)]
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        if (beyond := page.evaluate(_SPILLS)) > 0:
            found.append(f"{beyond} px too wide at {width}")
    return found
