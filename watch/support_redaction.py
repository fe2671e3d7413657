"""What a support bundle must not carry, taken out of it by value: every secret that this installation knows.

The sections leave secrets out by what they ask for. This is the second fence: whatever text got in all the same (an
error of a library, a name that somebody chose) loses every known secret, every address of a person, and what
`plants.redaction` knows by its form.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db.models import Model, TextField
from django.db.models.functions import Cast

from plants.encryption import UndecryptableSecret, decrypt
from plants.models import Connection
from plants.redaction import scrub
from plants.selectors.connections import SECRET_FIELDS
from watch.models import NotificationChannel

TEXT_MAX = 2000
SHORTEST = 6
MOST_ROWS = 1000
REDACTED = "[redacted]"
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Redactor:
    """Takes known secrets out of texts at any depth, and cuts what is too long."""

    def __init__(self, secrets: Iterable[str]) -> None:
        worth = {secret for secret in secrets if len(secret) >= SHORTEST}
        # The longest first: one secret may be a part of another.
        ordered = sorted(worth, key=lambda secret: (-len(secret), secret))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def clean(self, value: Any) -> Any:
        """A copy of plain data (mappings, lists, texts, numbers) without secrets."""
        if isinstance(value, Mapping):
            return {self._text(str(name)): self.clean(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(one) for one in value]
        return self._text(value) if isinstance(value, str) else value

    def clean_text(self, text: str) -> str:
        """A text of any length without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _EMAIL.sub("[e-mail address]", scrub(text))

    def _text(self, text: str) -> str:
        clean = self.clean_text(text)
        return clean if len(clean) <= TEXT_MAX else f"{clean[:TEXT_MAX]}… ({len(clean)} characters)"


# --- what this installation knows -------------------------------------------------------------------------------------


def secrets_of_settings() -> set[str]:
    """Keys, peppers, passwords and tokens of the settings, in the forms in which a text could quote them."""
    found: set[str] = {str(settings.SECRET_KEY), settings.METRICS_TOKEN, settings.EMAIL_HOST_PASSWORD}
    for keys in (settings.FIELD_KEYS, settings.SECRET_PEPPERS):
        for key in keys.values():
            found |= _forms(key)
    for jwt_key in settings.JWT_KEYS:
        if isinstance(jwt_key.signing, bytes):
            found |= _forms(jwt_key.signing)
    found |= _passwords_of(settings.REDIS_URL)
    found |= {str(one.get("PASSWORD") or "") for one in settings.DATABASES.values()}
    return found


def secrets_of_rows() -> set[str]:
    """The decrypted secrets of connections and channels; one that can't be decrypted can't be quoted either."""
    found = set(_decrypted(Connection, SECRET_FIELDS))
    for address in list(found):
        found |= _passwords_of(address)
    found |= set(_decrypted(NotificationChannel, ("secret",)))
    # A webhook's address often is its secret.
    found |= set(NotificationChannel.objects.exclude(url="").values_list("url", flat=True)[:MOST_ROWS])
    return found


def _decrypted(model: type[Model], fields: tuple[str, ...]) -> Iterable[str]:
    casts = {f"stored_{field}": Cast(field, TextField()) for field in fields}
    rows = model._default_manager.order_by("-pk").values_list(*casts.values())[:MOST_ROWS]
    for row in rows:
        for stored in filter(None, row):
            try:
                yield decrypt(stored)
            except UndecryptableSecret:
                yield stored  # perhaps a secret in clear text


def _passwords_of(address: str) -> set[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return set()
    return {password, unquote(password)}


def _forms(key: bytes) -> set[str]:
    standard, url_safe = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
    return {standard, url_safe, standard.rstrip("="), url_safe.rstrip("="), key.hex()}
