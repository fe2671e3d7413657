"""The admin as people use it: a signed-in client, a clock that stands still."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from esm import clock
from plants.models import User
from tests.factories import AT


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with clock.frozen(AT):
        yield


@pytest.fixture
def admin_user(db: None) -> User:
    """An administrator of the installation."""
    return User.objects.create_superuser("jana", "jana@example.com", "correct horse battery")


@pytest.fixture
def jana(admin_user: User) -> Client:
    """Signed in as the administrator."""
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """`staff("plants.view_plant", ...)`: signed in as a member of staff with just these permissions."""

    def make(*permissions: str) -> Client:
        user = User.objects.create_user("petr", password="correct horse battery", is_staff=True)
        for permission in permissions:
            app, _, codename = permission.partition(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return make
