"""axe-core over every screen of a lived-in organisation: nothing serious, on the widest and the narrowest of pages."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page

from tests.browser.console.screens import lived_in, settle, signed_in

_SERIOUS = ("serious", "critical")


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
