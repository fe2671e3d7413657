"""Bytes -> services: what arrives from Voke becomes rows, once each.

`receive` takes a batch of one connection, parses every delivery by `vcp` (`link.parsing`), and applies the batch in one
transaction (`link.applying`): dedupe, then the service of each family. A delivery that can't be understood becomes a
dead letter in the same transaction. If a batch fails in the database although every message was understood, it is
halved until the guilty message is alone, and that one becomes a dead letter: one poison row can't stop the rest.

Edge cases (the concurrency policy):
- Only after `receive` returned may the deliveries be acknowledged. A crash in between brings them again, and the keys
  in the database make that harmless.
- A deadlock or serialisation failure (40P01, 40001) retries the whole batch; when the database itself is gone
  (`OperationalError` otherwise) the caller backs off and nothing is acknowledged.
- A partition that another process dropped after we had seen it is made anew, and the batch tried again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from dispatch.services.life import LostRace
from link.applying import Inlet, Report, apply_together
from link.broker import Delivery
from link.parsing import Parsed, letter_of, parse_batch
from plants.services.dead_letters import Letter
from plants.services.partitions import ensure_partitions, forget_known_partitions
from plants.services.readings import storable

__all__ = ["Inlet", "Report", "receive"]

log = structlog.get_logger(__name__)
MAX_ATTEMPTS = 5
_RETRYABLE = {"40P01", "40001"}
_NO_PARTITION = "23514"  # PostgreSQL's check_violation: no partition takes the row


def receive(batch: Sequence[Delivery], *, inlet: Inlet, at: datetime) -> Report:
    """Store a batch of deliveries; when it returns, every one of them is in the database or is a dead letter."""
    parsed, letters = parse_batch(batch, routing_prefix=inlet.routing_prefix)
    # Before the transaction: making a partition waits for locks that the batch must not hold meanwhile.
    _ensure_partitions(parsed, inlet=inlet, at=at)
    report = Report(received=len(batch))
    _apply(parsed, letters, inlet=inlet, at=at, report=report)
    return report


def _ensure_partitions(parsed: Sequence[Parsed], *, inlet: Inlet, at: datetime) -> None:
    moments = (one.moment for one in parsed if one.is_reading)
    days = {
        moment.date() for moment in moments if storable(moment, at=at, retention_days=inlet.retention_days)
    }
    ensure_partitions(days=days)


def _apply(
    parsed: Sequence[Parsed], letters: Sequence[Letter], *, inlet: Inlet, at: datetime, report: Report
) -> None:
    """One transaction for all; on failure halve until the guilty message is found."""
    try:
        outcome = _with_retries(
            lambda: apply_together(parsed, letters, inlet=inlet, at=at),
            repair=lambda: _remake_partitions(parsed, inlet=inlet, at=at),
        )
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever one message provokes must not stop the others
        if len(parsed) > 1:
            middle = len(parsed) // 2
            _apply(parsed[:middle], letters, inlet=inlet, at=at, report=report)
            _apply(parsed[middle:], [], inlet=inlet, at=at, report=report)
            return
        if not parsed:
            raise
        log.exception("dead letter", action="inbox.unusable", connection_id=inlet.connection_id)
        detail = f"{type(error).__name__}: {error}"
        guilty = letter_of(parsed[0].delivery, reason="NOT_APPLICABLE", detail=detail)
        _apply([], [*letters, guilty], inlet=inlet, at=at, report=report)
        return
    report.add(outcome)


def _remake_partitions(parsed: Sequence[Parsed], *, inlet: Inlet, at: datetime) -> None:
    forget_known_partitions()
    _ensure_partitions(parsed, inlet=inlet, at=at)


def _with_retries(work: Callable[[], Report], *, repair: Callable[[], None]) -> Report:
    """Try again what a rival caused. The pause is the database's deadlock timeout; the end, the number of attempts."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return work()
        except (OperationalError, IntegrityError, LostRace) as error:
            if attempt == MAX_ATTEMPTS or not _worth_another_try(error, attempt):
                raise
            log.info("batch retried", action="inbox.retry", attempt=attempt, error=type(error).__name__)
            if isinstance(error, IntegrityError):
                repair()
    raise AssertionError("unreachable")


def _worth_another_try(error: Exception, attempt: int) -> bool:
    if isinstance(error, LostRace):
        return True
    state = str(getattr(error.__cause__, "sqlstate", "") or "")
    return state in _RETRYABLE or (state == _NO_PARTITION and attempt == 1)
