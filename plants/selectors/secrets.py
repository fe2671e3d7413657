"""What may be told of stored secrets: whether they are set, under which key version, and whether they decrypt."""

from dataclasses import dataclass

from django.db.models import TextField
from django.db.models.functions import Cast

from plants.encryption import UndecryptableSecret, decrypt
from plants.models import Connection
from plants.selectors.connections import SECRET_FIELDS

UNREADABLE = "?"


@dataclass(frozen=True, kw_only=True)
class SecretMark:
    """One secret of a connection; `key_version` is '' when it is not set, `problem` says why it can't be read."""

    field: str
    key_version: str
    problem: str = ""


def secret_marks(*, connection_id: int) -> list[SecretMark]:
    """The marks of a connection's secrets in their order; never a secret itself."""
    # Cast to plain text: the encrypted field would decrypt, and raise where it can't.
    stored = Connection.objects.filter(pk=connection_id).values_list(
        *(Cast(field, TextField()) for field in SECRET_FIELDS)
    )
    row = stored.first()
    return [] if row is None else [_mark(field, text) for field, text in zip(SECRET_FIELDS, row, strict=True)]


def _mark(field: str, stored: str) -> SecretMark:
    if not stored:
        return SecretMark(field=field, key_version="")
    try:
        decrypt(stored)
    except UndecryptableSecret as error:
        # What stands there may be a secret in clear text: only the error, which quotes nothing of it, is told.
        return SecretMark(field=field, key_version=UNREADABLE, problem=str(error))
    return SecretMark(field=field, key_version=stored.partition("$")[0])
