"""Secrets at rest: Fernet under versioned keys (settings.FIELD_KEYS), the first version encrypts, all decrypt.

Stored form: `VERSION$TOKEN`. The version in front tells which rows still wait for `manage.py rotate_keys`.
"""

import base64
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models

from vcp.said import said

_FERNET_START = "gAAAA"  # of every token: its version byte and the zeros of its time, in base64


class UndecryptableSecret(Exception):
    """A stored secret can't be decrypted: its key version is gone or the text was changed."""


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key[:32]))


def current_version() -> str:
    """The key version that new values are encrypted with."""
    return next(iter(settings.FIELD_KEYS))


def encrypt(text: str) -> str:
    """`VERSION$TOKEN` under the current key."""
    version = current_version()
    return f"{version}${_fernet(settings.FIELD_KEYS[version]).encrypt(text.encode()).decode()}"


def version_of(stored: str) -> str:
    """The key version that a stored text names, '' when it is no ciphertext.

    What stands there may be a secret in clear text: nothing of it may be shown.
    """
    version, _, token = stored.partition("$")
    return version if token.startswith(_FERNET_START) else ""


def decrypt(stored: str) -> str:
    """The clear text; raises `UndecryptableSecret` without ever quoting what was stored."""
    version, token = version_of(stored), stored.partition("$")[2]
    if not version:
        raise UndecryptableSecret(said("not in the form VERSION$TOKEN"))
    key = settings.FIELD_KEYS.get(version)
    if key is None:
        raise UndecryptableSecret(said("key version %(version)s is not in FIELD_KEYS", version=repr(version)))
    try:
        return _fernet(key).decrypt(token.encode()).decode()
    except (InvalidToken, UnicodeError):  # whose own texts and arguments may hold what was stored
        raise UndecryptableSecret(
            said("does not decrypt under key version %(version)s", version=repr(version))
        ) from None


class Secret(str):
    """A decrypted value that does not show itself in a repr, hence not in tracebacks, dataclasses and log lines.

    It is a text all the same: `str()`, formatting and templates show it, for who asks for the value gets it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"

    def reveal(self) -> str:
        """The plain text, asked for on purpose."""
        return str.__str__(self)


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """A text column that holds ciphertext; the attribute is the clear text as `Secret`.

    Rows can't be searched by such a column: ciphertexts of equal texts differ.
    """

    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        return text if not text else encrypt(str(text))

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> Secret | None:
        return value if not value else Secret(decrypt(value))  # type: ignore[return-value]

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        raise TypeError(f"an encrypted field can't be searched by {lookup_name}")
