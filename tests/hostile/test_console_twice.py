"""Forms of the console that arrive twice: one effect and one entry of the audit."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from esm import clock
from people.models import AuditEntry
from people.rights import Role
from plants.models import Connection, ConnectionMode, Organisation
from tests import factories
from tests.factories import AT
from tests.hostile.console_things import people_of, signed_in
from trading_api.models import Credential

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _still():
    cache.clear()
    with clock.frozen(AT):
        yield
    cache.clear()


@pytest.fixture
def home(db: None) -> Organisation:
    return factories.organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def engineer(home: Organisation) -> Client:
    return signed_in(people_of(home)[Role.ENGINEER])


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def hidden(client: Client, address: str, name: str) -> str:
    """A hidden field of the form at an address."""
    found = re.search(rf'name="{name}" value="([^"]+)"', client.get(address).content.decode())
    assert found is not None
    return found[1]


def test_a_form_issues_credentials_once(engineer: Client) -> None:
    key = hidden(engineer, reverse("console:connect:credentials"), "form_key")

    answers = [
        engineer.post(reverse("console:connect:issue"), {"form_key": key, "label": "x"}) for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert (Credential.objects.count(), acts()) == (1, ["credential.issued"])


def test_a_form_that_was_refused_may_be_sent_again(engineer: Client) -> None:
    key = hidden(engineer, reverse("console:connect:credentials"), "form_key")

    refused = engineer.post(reverse("console:connect:issue"), {"form_key": key, "label": "x" * 90})
    issued = engineer.post(reverse("console:connect:issue"), {"form_key": key, "label": "x"})

    assert (refused.status_code, issued.status_code) == (422, 200)


def test_a_form_renews_a_secret_once(engineer: Client) -> None:
    engineer.post(reverse("console:connect:issue"), {"label": "x"})
    address = reverse("console:connect:credential", args=[Credential.objects.get().pk, "renew"])
    seen = hidden(engineer, address, "seen")

    answers = [engineer.post(address, {"seen": seen}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert acts() == ["credential.issued", "credential.renewed"]


@pytest.mark.parametrize("word", ["activate", "off"])
def test_a_connection_is_switched_once(home: Organisation, engineer: Client, word: str) -> None:
    link = factories.connection(owner=home, mode=ConnectionMode.OBSERVE)
    address = reverse("console:connect:switch", args=[link.pk, word])

    answers = [engineer.post(address, {"reason": "It is time"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert len(acts()) == 1
    assert Connection.objects.filter(pk=link.pk).count() == 1


def test_credentials_are_disabled_once(engineer: Client) -> None:
    engineer.post(reverse("console:connect:issue"), {"label": "x"})
    address = reverse("console:connect:credential", args=[Credential.objects.get().pk, "disable"])

    for _ in range(2):
        engineer.post(address)

    assert acts() == ["credential.issued", "credential.disabled"]
    assert not Credential.objects.get().enabled
