"""The console as people of an organisation use it: signed-in clients of each role, a clock that stands still."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from esm import clock
from people.rights import Role
from plants.models import Organisation, User
from tests.factories import AT
from tests.factories import organisation as make_organisation

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with clock.frozen(AT):
        yield


@pytest.fixture
def organisation(db: None) -> Organisation:
    """Whose people look."""
    return make_organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def person(organisation: Organisation) -> Callable[..., User]:
    """`person(Role.OPERATOR)`: somebody of the organisation."""

    def make(role: Role = Role.VIEWER, **facts: str) -> User:
        name = facts.pop("username", role.lower())
        return User.objects.create_user(
            name, password=PASSWORD, organisation=organisation, role=role, **facts
        )

    return make


def signed_in(user: User) -> Client:
    """A client of this person."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer_client(person: Callable[..., User]) -> Client:
    return signed_in(person(Role.VIEWER))


@pytest.fixture
def operator_client(person: Callable[..., User]) -> Client:
    return signed_in(person(Role.OPERATOR))


@pytest.fixture
def engineer_client(person: Callable[..., User]) -> Client:
    return signed_in(person(Role.ENGINEER))


@pytest.fixture
def manager_client(person: Callable[..., User]) -> Client:
    """An organisation admin."""
    return signed_in(person(Role.ADMIN))
