"""The pull journal: one row for every request of the reverse channel, and bounds on what strangers can make us write.

Refused requests beyond ten a minute and address are counted in one row. No row ever holds a secret, the body of a token
request or answer, or a header. The journal is written after the answer was made: where it can't be written the answer
stands, and the log has the facts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from trading_api.limits import count_in_minute
from trading_api.models import PullJournal
from trading_api.paths import Endpoint
from trading_api.redaction import storable

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
    with single_write():
        _row(pull, exchange).save(force_insert=True)


def _row(pull: Pull, exchange: Exchange) -> PullJournal:
    return PullJournal(
        at=exchange.at,
        organisation_id=pull.organisation_id,
        credential_id=pull.credential_id,
        plant_id=pull.plant_id,
        client_id=storable(pull.client_id, 120),
        address=exchange.address,
        request_id=exchange.request_id,
        endpoint=pull.endpoint,
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
