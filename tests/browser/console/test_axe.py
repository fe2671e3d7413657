"""Every screen walked: axe-core finds nothing serious, nothing spills over, and what is closed or empty says why."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page

from people.rights import Role
from plants.models import User
from tests.browser.console.screens import lived_in, misfits, settle, signed_in

_SERIOUS = ("serious", "critical")
EMPTY = {
    "fleet/": "No plant yet",
    "fleet/emergencies/": "No emergency was ever sent",
    "plans/": "There is no plant yet",
    "commands/": "No commands yet",
    "alarms/": "No open alarm",
    "reverse/": "Voke has not pulled yet",
    "connections/": "No Voke is connected",
    "connections/credentials/": "None yet",
    "audit/": "No entries",
    "account/": "Nothing yet",
}
"""Screens of an organisation that has nothing, and the words that say so."""


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
@pytest.mark.timeout(600)
def test_axe_finds_nothing_serious_on_any_screen(
    open_page: Callable[..., Page], client: Client, live_server, transactional_db, width: int, theme: str
) -> None:
    lived = lived_in()
    page = signed_in(open_page(width=width, theme=theme), lived, client, live_server.url)
    axe, found = Axe(), []

    for name, path in lived.paths.items():
        settle(page, path)
        found += [
            f"{name}: {one['id']} at {node['html'][:160]}"
            for one in axe.run(page).response["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"][:3]
        ]

    assert found == []


@pytest.mark.timeout(600)
def test_a_viewer_sees_every_screen_fit_and_is_told_why_not_where_something_is_closed(
    open_page: Callable[..., Page], client: Client, live_server, transactional_db
) -> None:
    lived = lived_in()
    User.objects.filter(pk=lived.person.pk).update(role=Role.VIEWER)
    page = signed_in(open_page(), lived, client, live_server.url)
    answers = {name: client.get(path) for name, path in lived.paths.items()}

    found = {
        name: [] if "This takes another role" in answer.content.decode() else ["closed without a word"]
        for name, answer in answers.items()
        if answer.status_code == 403
    }
    found |= {name: misfits(page, path) for name, path in lived.paths.items() if name not in found}

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_an_organisation_without_anything_is_told_so_on_every_screen_and_each_fits(
    sign_in: Callable[..., Page],
) -> None:
    page, found = sign_in(Role.ADMIN), {}

    for path, words in EMPTY.items():
        wrong = misfits(page, f"/console/{path}")
        if words not in page.locator("main").inner_text():
            wrong.append("no explanation")
        found[path] = wrong

    assert {path: wrong for path, wrong in found.items() if wrong} == {}
