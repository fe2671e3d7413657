"""Credentials of Voke organisations: issued, renewed, disabled, enabled. A secret is shown once and never stored."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from plants.encryption import Secret
from plants.errors import Invalid, NotFound
from plants.models import Organisation
from trading_api.auth import current_pepper, hash_secret, new_secret
from trading_api.errors import ClientIdTaken
from trading_api.models import Credential
from vcp.said import said

# Interpretation: Voke takes 1 to 120 characters as clientId; ours are such that need no escaping anywhere.
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, kw_only=True)
class IssuedCredentials:
    """What is given to Voke, once: `secret.reveal()` is the only place that has it."""

    credential: Credential
    secret: Secret


def issue_credentials(
    *, organisation: Organisation, at: datetime, label: str = "", client_id: str | None = None
) -> IssuedCredentials:
    """A new client id with its secret. Raises Invalid (form), ClientIdTaken."""
    chosen = client_id or f"{organisation.slug}-{secrets.token_hex(4)}"
    if not _CLIENT_ID.fullmatch(chosen):
        raise Invalid(
            said("1 to 120 letters, digits, '.', '_' or '-', starting with a letter or digit"),
            path="client_id",
        )
    if len(label) > 80:
        raise Invalid(said("at most 80 characters"), path="label")
    secret, pepper = new_secret(), current_pepper()
    credential, made = Credential.objects.get_or_create(
        client_id=chosen,
        defaults={
            "organisation": organisation,
            "label": label,
            "secret_hash": hash_secret(secret.reveal(), pepper),
            "pepper_version": pepper,
            "created_at": at,
        },
    )
    if not made:
        raise ClientIdTaken(f"the client id {chosen!r} is taken", path="client_id")
    return IssuedCredentials(credential=credential, secret=secret)


def renew_secret(*, credential: Credential) -> IssuedCredentials:
    """A new secret for an old client id; the old secret and every token made with it are dead at once."""
    secret, pepper = new_secret(), current_pepper()
    with transaction.atomic():
        _change(
            credential,
            secret_hash=hash_secret(secret.reveal(), pepper),
            pepper_version=pepper,
            revision=F("revision") + 1,
        )
        renewed = Credential.objects.get(pk=credential.pk)
    return IssuedCredentials(credential=renewed, secret=secret)


def disable_credential(*, credential: Credential) -> None:
    """No token any more, and those that are out are dead at once."""
    _change(credential, enabled=False, revision=F("revision") + 1)


def enable_credential(*, credential: Credential) -> None:
    """Tokens are issued again; those from before it was disabled stay dead."""
    _change(credential, enabled=True)


def _change(credential: Credential, **fields: Any) -> None:
    """By a statement of its own, never by saving the object at hand: its revision may be an old one."""
    with transaction.atomic():
        if not Credential.objects.filter(pk=credential.pk).update(**fields):
            raise NotFound(said("no such credential"), path="credential")
