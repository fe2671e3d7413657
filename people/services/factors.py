"""The second factor: an authenticator app is set up, proven, replaced and taken away; recovery codes are made anew.

Guesses of codes are slowed down like those of passwords, wherever a code is asked for: at the sign-in, for what a
signed-in person does to the factor, and at the set-up. They are counted for the account and for the address, apart from
passwords: who guesses those from the same address makes nobody wait here.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from people.digests import current_pepper, digest, digests
from people.errors import SignInRefused, TooManyAttempts
from people.models import RecoveryCode, TotpDevice
from people.services.acts import Doer, write_down
from people.services.sessions import end_sessions
from people.services.throttle import Gate, admit, forgive
from plants.encryption import Secret
from plants.errors import Conflict, Invalid
from plants.models import User

RECOVERY_CODES = 10
_CODE_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that are taken for each other
_CODE_LENGTH = 10
_KEY_BYTES = 20
_SETUP_S = 900
_PURPOSE = "recovery"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What an authenticator app needs: the secret in base32, and the same as an address for a QR code."""

    secret: Secret = field(repr=False)
    uri: Secret = field(repr=False)


@transaction.atomic
def begin_enrolment(*, user: User, at: datetime) -> Enrolment:
    """An app to set up, in the place of one that is being set up. Its secret is answered here and never again: whoever
    comes to the browser later can't read it."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # of two at once the later one counts
    TotpDevice.objects.filter(user=user, confirmed=False).delete()
    device = TotpDevice.objects.create(
        user=user, name="app", confirmed=False, key=secrets.token_hex(_KEY_BYTES), created_at=at
    )
    return _enrolment(device)


def is_enrolling(*, user: User, at: datetime) -> bool:
    """Whether an app is being set up right now."""
    since = at - timedelta(seconds=_SETUP_S)
    return TotpDevice.objects.filter(user=user, confirmed=False, created_at__gte=since).exists()


def confirm_enrolment(
    *, doer: Doer, code: str, keep_session: str | None, at: datetime
) -> tuple[TotpDevice, list[Secret]]:
    """The app shows the right code: it takes the place of the one before, and every other session ends. The recovery
    codes are shown once.

    Raises Invalid when the code is wrong, Conflict when no app is being set up, TooManyAttempts.
    """
    gates = _gates("set-up", doer.user, doer.address)
    _admit(gates, at)
    confirmed = _confirm(doer=doer, code=code, keep_session=keep_session, at=at)
    forgive(gates=gates)
    return confirmed


@transaction.atomic
def _confirm(
    *, doer: Doer, code: str, keep_session: str | None, at: datetime
) -> tuple[TotpDevice, list[Secret]]:
    user = doer.user
    device = TotpDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if device is None or at - device.created_at > timedelta(seconds=_SETUP_S):
        raise Conflict(_("The set-up took too long. Start it again."), code="SETUP_EXPIRED")
    step = device.matching_step(_plain(code), at=at)
    if step is None:
        raise Invalid(
            _("This code does not belong to the picture that was shown. Codes change every 30 seconds."),
            path="code",
            code="WRONG_CODE",
        )
    TotpDevice.objects.filter(user=user, confirmed=True).delete()
    device.confirmed, device.confirmed_at, device.used_at, device.last_step = True, at, at, step
    device.save()
    codes = _new_codes(user, at)
    ended = end_sessions(user=user, keep=keep_session)
    write_down(doer, "account.factor_set", at=at, after={"sessions_ended": ended})
    return device, codes


def check_code(*, user: User, code: str, address: str, at: datetime) -> TotpDevice:
    """Take a code of the app, or a recovery code, once; answers the person's app.

    Raises SignInRefused (field `code`), TooManyAttempts.
    """
    gates = _gates("factor", user, address)
    _admit(gates, at)
    plain = _plain(code)
    with transaction.atomic():
        device: TotpDevice | None = (
            TotpDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
        )
        taken = device is not None and (
            device.take(plain, at=at) if plain.isdigit() else _use_recovery_code(user, plain, at)
        )
    if not taken or device is None:
        raise SignInRefused(
            _("This code is not right, or it was used already."), path="code", code="WRONG_CODE"
        )
    forgive(gates=gates)
    return device


@transaction.atomic
def make_recovery_codes(*, user: User, at: datetime) -> list[Secret]:
    """New recovery codes; those from before are dead. The caller has checked a code of the app."""
    app = TotpDevice.objects.select_for_update().filter(user=user, confirmed=True)
    if app.first() is None:  # locked: of two at once the later codes are left
        raise Conflict(_("There is no second factor that they could stand in for."))
    return _new_codes(user, at)


@transaction.atomic
def remove_factor(*, user: User) -> bool:
    """Take the app and its recovery codes away; answers whether there was one."""
    found = TotpDevice.objects.filter(user=user, confirmed=True).exists()
    TotpDevice.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()
    return found


def reencrypt_factors() -> int:
    """Encrypt every app's key under the newest key version; answers how many."""
    count = 0
    with transaction.atomic():
        for device in TotpDevice.objects.select_for_update().order_by("pk"):
            device.save(update_fields=["key"])
            count += 1
    return count


def _gates(kind: str, user: User, address: str) -> list[Gate]:
    free = settings.SIGN_IN_FREE_ATTEMPTS
    return [
        Gate(kind=kind, value=str(user.pk), free=free, window_s=86_400),
        Gate(kind="codes of address", value=address, free=4 * free, longest_s=60, shared=True),
    ]


def _admit(gates: Sequence[Gate], at: datetime) -> None:
    wait_s = admit(gates=gates, at=at)
    if wait_s:
        raise TooManyAttempts(_("Too many wrong codes."), wait_s=wait_s, path="code")


def _enrolment(device: TotpDevice) -> Enrolment:
    secret = base64.b32encode(bytes.fromhex(device.key)).decode()
    issuer = settings.PRODUCT_NAME
    label = quote(f"{issuer}:{device.user.get_username()}")
    words = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    return Enrolment(secret=Secret(secret), uri=Secret(f"otpauth://totp/{label}?{words}"))


def _plain(code: str) -> str:
    """What was meant: people type the gaps that they see."""
    return "".join(code.split()).replace("-", "").lower()


def _new_codes(user: User, at: datetime) -> list[Secret]:
    RecoveryCode.objects.filter(user=user).delete()
    pepper = current_pepper()
    codes = [
        "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)
    ]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(
            user=user,
            digest=digest(purpose=_PURPOSE, text=f"{user.pk}:{code}", version=pepper),
            pepper_version=pepper,
            created_at=at,
        )
        for code in codes
    )
    half = _CODE_LENGTH // 2
    return [Secret(f"{code[:half]}-{code[half:]}") for code in codes]


def _use_recovery_code(user: User, code: str, at: datetime) -> bool:
    wanted = digests(purpose=_PURPOSE, text=f"{user.pk}:{code}")
    return bool(RecoveryCode.objects.filter(user=user, digest__in=wanted, used_at=None).update(used_at=at))
