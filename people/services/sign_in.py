"""Lets people in: user name and password, slowed down when it fails, in the same words whoever it was."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import authenticate
from django.core import signing
from django.utils.translation import gettext as _

from people.errors import SignInRefused, TooManyAttempts
from people.services.throttle import Gate, admit, forgive
from plants.models import User

log = structlog.get_logger(__name__)
BROWSER_COOKIE_AGE_S = 180 * 86_400
_SALT = "people.browser"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What was typed, from where, and the mark of a browser that the person has signed in with before."""

    username: str
    password: str
    address: str
    browser_mark: str = ""


def check_password(*, given: Credentials, at: datetime) -> User:
    """The person; raises SignInRefused or TooManyAttempts, in the same words for accounts that do not exist."""
    gates = _gates(given)
    wait_s = admit(gates=gates, at=at)
    if wait_s:
        log.warning("sign-in waits", action="sign_in_waits", address=given.address, seconds=wait_s)
        raise TooManyAttempts(_("Too many attempts."), wait_s=wait_s)
    # Django hashes a password for unknown and disabled accounts too, so they take as long.
    user = authenticate(None, username=given.username, password=given.password)
    if not isinstance(user, User):
        log.warning("sign-in refused", action="sign_in_refused", address=given.address)
        raise SignInRefused(_("User name or password is not right."))
    forgive(gates=gates)
    return user


def mark_for(user: User) -> str:
    """A mark for a browser that the person has signed in with: whoever has it is counted apart from strangers."""
    return signing.dumps({"u": user.pk, "n": secrets.token_hex(8)}, salt=_SALT)


def is_marked_for(user: User, mark: str) -> bool:
    """Whether the browser's mark is this person's."""
    return _read(mark).get("u") == user.pk


def _read(mark: str) -> dict[str, Any]:
    try:
        found = signing.loads(mark, salt=_SALT, max_age=BROWSER_COOKIE_AGE_S)
    except signing.BadSignature:
        return {}
    return found if isinstance(found, dict) and {"u", "n"} <= set(found) else {}


def _gates(given: Credentials) -> Sequence[Gate]:
    free = settings.SIGN_IN_FREE_ATTEMPTS
    mark = _read(given.browser_mark)
    if mark and User.objects.filter(pk=mark["u"], username=given.username).exists():
        return [Gate(kind="browser", value=str(mark["n"]), free=free)]
    return [
        Gate(kind="account", value=given.username.casefold(), free=free),
        Gate(kind="address", value=given.address, free=4 * free, longest_s=60, shared=True),
    ]
