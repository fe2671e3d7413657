"""The console in headless Chromium: signed-in people of one organisation."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from people.rights import Role
from plants.models import Organisation, User
from tests.factories import organisation as make_organisation

PASSWORD = "correct horse battery"


@pytest.fixture
def organisation(transactional_db: None) -> Organisation:
    """Whose people look."""
    return make_organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def sign_in(
    open_page: Callable[..., Page], organisation: Organisation, client, live_server
) -> Callable[..., Page]:
    """`sign_in(Role.OPERATOR, width=390, theme="dark")`: a page with the session of somebody of the organisation."""

    def make(role: Role = Role.OPERATOR, **how: object) -> Page:
        page = open_page(**how)
        name = f"{role.lower()}-jana"
        user = User.objects.filter(username=name).first() or User.objects.create_user(
            name,
            password=PASSWORD,
            organisation=organisation,
            role=role,
            first_name="Jana",
            last_name="Dvořáková",
        )
        client.force_login(user)
        cookie = client.cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        return page

    return make
