"""Signing in as people do: with a browser that holds nothing yet."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP

from people.models import TotpDevice
from people.services.factors import begin_enrolment, make_recovery_codes
from plants.models import User
from tests.console.conftest import PASSWORD
from tests.factories import AT


@pytest.fixture
def browser() -> Client:
    """A browser that nobody has used."""
    return Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")


def code_of(user: User, *, at=AT, confirmed: bool = True) -> str:
    """What the person's app shows at that moment."""
    device = TotpDevice.objects.get(user=user, confirmed=confirmed)
    return code_for(bytes.fromhex(device.key), at=at)


def code_for(key: bytes, *, at=AT) -> str:
    generator = TOTP(key)
    generator.time = at.timestamp()
    return f"{generator.token():06d}"


def enrolled(user: User, *, at) -> list[str]:
    """Sets a second factor up at `at`; answers the recovery codes."""
    begin_enrolment(user=user, at=at)
    TotpDevice.objects.filter(user=user).update(confirmed=True, confirmed_at=at)
    return [code.reveal() for code in make_recovery_codes(user=user, at=at)]


@pytest.fixture
def sign_in(browser: Client) -> Callable[..., object]:
    """`sign_in("jana", next="/console/alarms/")`: types name and password."""

    def make(username: str, *, password: str = PASSWORD, client: Client = browser, **more: str):
        data = {"username": username, "password": password, **more}
        return client.post(reverse("console:account:login"), data)

    return make
