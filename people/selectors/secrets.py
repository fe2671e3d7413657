"""Reads the health of stored keys of authenticator apps, without ever showing one."""

from collections.abc import Iterator

from django.db import connection as database

from people.models import TotpDevice
from plants.encryption import UndecryptableSecret, decrypt, version_of


def _stored() -> Iterator[tuple[int, str]]:
    """(person's key, ciphertext) of every app, read beneath the decrypting field."""
    table = database.ops.quote_name(TotpDevice._meta.db_table)
    with database.cursor() as cursor:
        cursor.execute(f"SELECT user_id, key FROM {table} ORDER BY id")  # noqa: S608
        yield from cursor.fetchall()


def secret_versions() -> set[str]:
    """The key versions that apps' keys are encrypted under."""
    return {version_of(text) for _, text in _stored()} - {""}


def undecryptable() -> list[tuple[int, str]]:
    """(person's key, reason) of every app whose key can't be read."""
    problems = []
    for user_id, text in _stored():
        try:
            decrypt(text)
        except UndecryptableSecret as error:
            problems.append((user_id, str(error)))
    return problems
