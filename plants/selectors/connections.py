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


_LONGEST_LINE = 16


def successors_of(connection_id: int) -> list[int]:
    """The connections that took over from this one, the next one first; bounded, and a circle ends where it began."""
    line: list[int] = []
    following = connection_id
    while len(line) < _LONGEST_LINE:
        row = Connection.objects.filter(pk=following).values_list("succeeded_by", flat=True).first()
        if row is None or row == connection_id or row in line:
            break
        line.append(row)
        following = row
    return line


def home_of(connection_id: int) -> int:
    """Where alarms that arrive on this connection are kept: at the last that took over, else here."""
    return [connection_id, *successors_of(connection_id)][-1]


def predecessors_of(connection_id: int) -> list[int]:
    """The connections that this one took over from, directly or through others; bounded like their successors."""
    known = [connection_id]
    newest = [connection_id]
    for _ in range(_LONGEST_LINE):
        newest = list(
            Connection.objects.filter(succeeded_by__in=newest)
            .exclude(pk__in=known)
            .values_list("pk", flat=True)
        )
        if not newest:
            break
        known += newest
    return known[1:]
