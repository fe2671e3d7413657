"""Reading connections: the health of their secrets without ever showing one."""

from collections.abc import Iterator

from django.db import connection as database

from plants.encryption import UndecryptableSecret, decrypt, version_of
from plants.models import Connection

SECRET_FIELDS = ("amqps_uri", "api_key", "signing_key")


def _stored() -> Iterator[tuple[int, str, str]]:
    """(connection id, field, ciphertext) of every stored secret, read beneath the decrypting field."""
    table = database.ops.quote_name(Connection._meta.db_table)
    with database.cursor() as cursor:
        cursor.execute(f"SELECT id, {', '.join(SECRET_FIELDS)} FROM {table} ORDER BY id")  # noqa: S608
        rows = cursor.fetchall()
    for pk, *texts in rows:
        for field, text in zip(SECRET_FIELDS, texts, strict=True):
            if text:
                yield pk, field, text


def secret_versions() -> set[str]:
    """The key versions that stored secrets are encrypted under."""
    return {version_of(text) for _, _, text in _stored()} - {""}


def undecryptable() -> list[tuple[int, str, str]]:
    """(connection id, field, reason) of every secret that can't be read."""
    problems = []
    for pk, field, text in _stored():
        try:
            decrypt(text)
        except UndecryptableSecret as error:
            problems.append((pk, field, str(error)))
    return problems
