"""The pull journal: one row for every request of the reverse channel, and bounds on what strangers can make us write.

Refused requests beyond ten a minute and address are counted in one row. No row ever holds a secret, the body of a token
request or answer, or a header. The journal is written after the answer was made: where it can't be written the answer
stands, and the log has the facts.

A row of an issued token is also what a credential's `last_token_at` is taken from, in the same commit: a token costs no
other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q

from plants import prepared
from trading_api.limits import count_in_minute
from trading_api.models import Credential, PullJournal
from trading_api.paths import Endpoint
from trading_api.redaction import storable
from trading_api.telling import tell_pulls

ISSUED = "ISSUED"
"""Result of a token request that was given one."""
REFUSED_ROWS_PER_MINUTE = 10
BODY_MAX_BYTES = 8192
_MAX_INTEGER = 2**31 - 1


@dataclass(kw_only=True)
class Pull:
    """What is learned about a request while it is served; it starts empty and becomes a journal row."""

    endpoint: Endpoint
    organisation_id: int | None = None
    credential_id: int | None = None
    plant_id: int | None = None
    client_id: str = ""
    plant_ref: str = ""
    version: int | None = None
    result: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What can be seen of a request and its answer from outside."""

    at: datetime
    request_id: str
    address: str | None
    method: str
    status: int
    latency_ms: float
    bytes_in: int
    bytes_out: int
    body: str


@contextmanager
def single_write() -> Iterator[None]:
    """Around one INSERT or UPDATE outside a transaction.

    On SQLite it takes its turn in the process-wide queue of writers; on PostgreSQL a transaction around one statement
    would only cost two more round trips.
    """
    if connection.vendor == "sqlite":
        with transaction.atomic():
            yield
    else:
        yield


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal, fit to be stored."""

    at: datetime
    organisation_id: int | None
    credential_id: int | None
    plant_id: int | None
    client_id: str
    address: str | None
    request_id: str
    endpoint: str
    method: str
    plant_ref: str
    version: int | None
    status: int
    result: str
    detail: str
    latency_ms: float
    bytes_in: int
    bytes_out: int
    body: str


# One parameter however many rows there are: one prepared statement.
_ROWS = """json_to_recordset(%s::json) AS row (
    at timestamptz, organisation_id bigint, credential_id bigint, plant_id bigint, client_id text, address inet,
    request_id text, endpoint text, method text, plant_ref text, version integer, status smallint, result text,
    detail text, latency_ms double precision, bytes_in integer, bytes_out integer, body text
)"""
_INSERT_FROM = """
INSERT INTO trading_api_pulljournal
    (at, organisation_id, credential_id, plant_id, client_id, address, request_id, endpoint, method, plant_ref, version,
    status, result, detail, latency_ms, bytes_in, bytes_out, body, count)
SELECT row.*, 1 FROM
"""
_INSERT = f"{_INSERT_FROM} {_ROWS}"
# A credential that somebody holds at this moment is left out: no batch waits for another process's, or for a person.
_INSERT_WITH_TOKENS = f"""
WITH row AS (SELECT * FROM {_ROWS}),
issued AS (
    SELECT credential_id, max(at) AS at FROM row WHERE endpoint = '{Endpoint.TOKEN}' AND result = '{ISSUED}'
    GROUP BY credential_id
),
free AS (
    SELECT credential.id, issued.at FROM trading_api_credential AS credential
    JOIN issued ON issued.credential_id = credential.id
    WHERE credential.last_token_at IS NULL OR credential.last_token_at < issued.at
    FOR NO KEY UPDATE OF credential SKIP LOCKED
),
noted AS (
    UPDATE trading_api_credential AS credential SET last_token_at = free.at FROM free WHERE credential.id = free.id
)
{_INSERT_FROM} row
"""  # noqa: S608 - our own names


def insert(rows: Sequence[JournalRow]) -> None:
    """Store rows, all or none, and when credentials got their newest token; raises Django's database errors."""
    issued = [row for row in rows if row.endpoint == Endpoint.TOKEN and row.result == ISSUED]
    if connection.vendor == "postgresql":
        statement = _INSERT_WITH_TOKENS if issued else _INSERT
        prepared.execute(statement, [msgspec.json.encode(rows).decode()])
        tell_pulls(rows)
        return
    with transaction.atomic():
        PullJournal.objects.bulk_create(PullJournal(**msgspec.structs.asdict(row)) for row in rows)
        for row in issued:
            if row.credential_id is None:  # a token is never issued without
                continue
            older = Q(last_token_at__isnull=True) | Q(last_token_at__lt=row.at)
            Credential.objects.filter(older, pk=row.credential_id).update(last_token_at=row.at)
        tell_pulls(rows)


def insert_what_can_be(rows: Sequence[JournalRow]) -> list[tuple[JournalRow, Error]]:
    """Store rows in one commit; where that is refused, each by itself. Answers those that could not be stored, and why.

    A database that is away is not asked again for each of them.
    """
    try:
        insert(rows)
    except (OperationalError, InterfaceError) as error:
        return [(row, error) for row in rows]
    except Error as error:
        if len(rows) == 1:
            return [(rows[0], error)]
        return [refused for row in rows for refused in insert_what_can_be([row])]
    return []


def write(pull: Pull, exchange: Exchange) -> None:
    """One row, or one more in the counted row of its address and minute."""
    refused = exchange.status >= 400
    if refused:
        count = count_in_minute("refused", address=exchange.address, at=exchange.at)
        if count is None or count.times > REFUSED_ROWS_PER_MINUTE:
            count_refused(
                address=exchange.address, at=exchange.at, times=1, status=exchange.status, result=pull.result
            )
            return
    insert([row_of(pull, exchange)])


def row_of(pull: Pull, exchange: Exchange) -> JournalRow:
    """The row of a request that has one of its own."""
    return JournalRow(
        at=exchange.at,
        organisation_id=pull.organisation_id,
        credential_id=pull.credential_id,
        plant_id=pull.plant_id,
        client_id=storable(pull.client_id, 120),
        address=exchange.address,
        request_id=exchange.request_id,
        endpoint=pull.endpoint.value,
        method=storable(exchange.method, 8),
        plant_ref=storable(pull.plant_ref, 128),
        version=pull.version,
        status=exchange.status,
        result=storable(pull.result, 64),
        detail=storable(pull.detail, 400),
        latency_ms=exchange.latency_ms,
        bytes_in=min(exchange.bytes_in, _MAX_INTEGER),
        bytes_out=min(exchange.bytes_out, _MAX_INTEGER),
        body=exchange.body,
    )


def count_refused(*, address: str | None, at: datetime, times: int, status: int, result: str) -> None:
    """Add to the counted row of this address and minute; its status and result are those of the newest."""
    minute = at.replace(second=0, microsecond=0)
    with transaction.atomic():
        if _add(address, minute, at, times, status, result):
            return
        try:
            with transaction.atomic():
                _new_counted_row(address, minute, at, times, status, result).save(force_insert=True)
        except IntegrityError:  # another process made the row in between
            _add(address, minute, at, times, status, result)


def _add(address: str | None, minute: datetime, at: datetime, times: int, status: int, result: str) -> bool:
    rows = PullJournal.objects.filter(address=address, counted_minute=minute)
    changed = rows.update(count=F("count") + times, last_at=at, status=status, result=storable(result, 64))
    return changed > 0


def _new_counted_row(
    address: str | None, minute: datetime, at: datetime, times: int, status: int, result: str
) -> PullJournal:
    return PullJournal(
        at=at,
        last_at=at,
        count=times,
        address=address,
        counted_minute=minute,
        endpoint=Endpoint.OTHER,
        status=status,
        result=storable(result, 64),
        detail="Refused requests of this minute and address that have no row of their own; status of the newest.",
        latency_ms=0.0,
        bytes_in=0,
        bytes_out=0,
    )


def prune_journal(*, at: datetime, keep_days: int, limit: int = 5000) -> int:
    """Delete at most `limit` of the oldest rows that are older than `keep_days`; the number deleted."""
    too_old = PullJournal.objects.filter(at__lt=at - timedelta(days=keep_days))
    oldest = list(too_old.order_by("at").values_list("pk", flat=True)[:limit])
    if not oldest:
        return 0
    with transaction.atomic():
        deleted, _ = PullJournal.objects.filter(pk__in=oldest).delete()
    return deleted
