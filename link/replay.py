"""Dead letters once more: the stored bytes pass through the inbox again, as the same delivery on the same connection.

For use after a fix: a plant's siteId was entered, or this platform learnt to read what it did not. A letter whose
message is applied now (or had been applied already) is settled; one that fails again keeps its place with the new
reason, and its count stays: nothing arrived. Every attempt that reached the inbox is journalled.

Edge cases (the concurrency policy):
- Each letter is a transaction of its own. It applies first and locks its letter last, as live traffic does, and what
  somebody else has settled meanwhile is rolled back. Two replays of one letter apply it once: the keys of the inbox
  decide, as for any delivery that comes twice.
- Readings older than the history keeps stay refused; newer values that have arrived since are never replaced by older
  ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog
from django.db import DatabaseError, transaction

from dispatch.services.life import LostRace
from link.applying import Inlet, apply_understood
from link.broker import Delivery
from link.database_trouble import NO_PARTITION, Fault, fault_of, slow_as_a_whole, sqlstate_of, words_of
from link.parsing import Parsed, parse
from plants.errors import Invalid
from plants.models import Connection, DeadLetter
from plants.services.dead_letters import (
    REPLAYED,
    TOO_LARGE,
    Letter,
    lock_letter,
    note_dead_again,
    note_replayed,
)
from plants.services.partitions import ensure_partitions, forget_known_partitions
from plants.services.readings import storable
from vcp import ProtocolError
from vcp.said import said

log = structlog.get_logger(__name__)
MOST_REPLAYED = 200
_ATTEMPTS = 3


class ReplayOutcome(StrEnum):
    """What became of one letter."""

    APPLIED = "APPLIED"  # its message counts now
    DUPLICATE = "DUPLICATE"  # its message had been applied before: settled too
    DEAD_AGAIN = "DEAD_AGAIN"  # it can't be used now either; the reason is the new one
    NOT_WHOLE = "NOT_WHOLE"  # only its first bytes were kept: it can't be replayed
    SETTLED = "SETTLED"  # somebody has replayed it already: nothing was done
    MISSING = "MISSING"  # there is no such letter (any more)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The outcome of one letter; `reason`, `path` and `detail` say what is wrong with one that is dead again."""

    letter_id: int
    outcome: ReplayOutcome
    reason: str = ""
    path: str = ""
    detail: str = ""


class _SettledMeanwhile(Exception):
    """Somebody else replayed the letter: take back what was applied."""


def replay(*, letter_ids: Sequence[int], actor: str, at: datetime, retention_days: int) -> list[Replayed]:
    """Pass letters through the inbox again, in the order of their ids; one outcome each.

    Raises `Invalid` for more than `MOST_REPLAYED` at once; a database that is away raises as everywhere, and what was
    replayed before stays replayed.
    """
    wanted = sorted(set(letter_ids))
    if len(wanted) > MOST_REPLAYED:
        raise Invalid(
            said("at most %(limit)s letters at once", limit=MOST_REPLAYED), path="letter_ids", code="TOO_MANY"
        )
    done = []
    for letter_id in wanted:
        outcome = _replay_one(letter_id, actor=actor, at=at, retention_days=retention_days)
        log.info(
            "dead letter replayed",
            action="letter.replay",
            dead_letter_id=letter_id,
            outcome=outcome.outcome.value,
            reason=outcome.reason,
            actor=actor,
        )
        done.append(outcome)
    return done


def _replay_one(letter_id: int, *, actor: str, at: datetime, retention_days: int) -> Replayed:
    letter = DeadLetter.objects.filter(pk=letter_id).first()
    if letter is None:
        return Replayed(letter_id=letter_id, outcome=ReplayOutcome.MISSING)
    if letter.state == REPLAYED:
        return Replayed(letter_id=letter_id, outcome=ReplayOutcome.SETTLED)
    if letter.reason == TOO_LARGE:
        return Replayed(letter_id=letter_id, outcome=ReplayOutcome.NOT_WHOLE, reason=TOO_LARGE)
    prefix = Connection.objects.values_list("routing_prefix", flat=True).get(pk=letter.connection_id)
    inlet = Inlet(connection_id=letter.connection_id, routing_prefix=prefix, retention_days=retention_days)
    try:
        parsed = parse(_delivery_of(letter), routing_prefix=prefix)
        return _patiently(lambda: _apply(parsed, letter_id=letter_id, inlet=inlet, actor=actor, at=at))
    except _SettledMeanwhile:
        return Replayed(letter_id=letter_id, outcome=ReplayOutcome.SETTLED)
    except ProtocolError as error:
        return _dead_again(
            letter_id, reason=error.code, path=error.path, detail=error.detail, actor=actor, at=at
        )
    except Exception as error:  # whatever this message provokes must not stop the others
        fault = fault_of(error)
        if _is_the_databases(fault, error, connection_id=letter.connection_id):
            raise
        log.exception("dead letter", action="letter.unusable", dead_letter_id=letter_id)
        reason = "TOO_SLOW" if fault is Fault.SLOW else "NOT_APPLICABLE"
        return _dead_again(letter_id, reason=reason, path="", detail=words_of(error), actor=actor, at=at)


def _is_the_databases(fault: Fault, error: Exception, *, connection_id: int) -> bool:
    match fault:
        case Fault.AWAY:
            return True
        case Fault.RIVAL:
            return not isinstance(error, LostRace)
        case Fault.SLOW:
            return bool(slow_as_a_whole(connection_id=connection_id))
        case Fault.MESSAGE:
            return False


def _delivery_of(letter: DeadLetter) -> Delivery:
    """The letter as the broker would give it again."""
    return Delivery(
        queue=letter.queue,
        routing_key=letter.routing_key,
        headers=letter.headers,
        body=bytes(letter.body),
        redelivered=True,
        tag=None,
    )


def _apply(parsed: Parsed, *, letter_id: int, inlet: Inlet, actor: str, at: datetime) -> Replayed:
    """Apply the message and settle its letter, or note why not, in one transaction."""
    if parsed.is_reading and storable(parsed.moment, at=at, retention_days=inlet.retention_days):
        # Before the transaction: making a partition waits for locks that must not be held meanwhile.
        ensure_partitions(days={parsed.moment.date()})
    with transaction.atomic():
        report, refused = apply_understood([parsed], inlet=inlet, at=at)
        letter = lock_letter(letter_id=letter_id)
        if letter is None or letter.state == REPLAYED:
            raise _SettledMeanwhile
        if refused:
            return _note_refused(letter, refused[0], actor=actor, at=at)
        outcome = ReplayOutcome.APPLIED if report.applied else ReplayOutcome.DUPLICATE
        note_replayed(letter=letter, actor=actor, result=outcome.value, at=at)
        return Replayed(letter_id=letter_id, outcome=outcome)


def _note_refused(letter: DeadLetter, why: Letter, *, actor: str, at: datetime) -> Replayed:
    note_dead_again(letter=letter, actor=actor, reason=why.reason, path=why.path, detail=why.detail, at=at)
    return Replayed(
        letter_id=letter.pk,
        outcome=ReplayOutcome.DEAD_AGAIN,
        reason=why.reason,
        path=why.path,
        detail=why.detail,
    )


def _dead_again(letter_id: int, *, reason: str, path: str, detail: str, actor: str, at: datetime) -> Replayed:
    """Note why a letter that got no further than its own fault is still dead."""
    with transaction.atomic():
        letter = lock_letter(letter_id=letter_id)
        if letter is None or letter.state == REPLAYED:
            return Replayed(letter_id=letter_id, outcome=ReplayOutcome.SETTLED)
        note_dead_again(letter=letter, actor=actor, reason=reason, path=path, detail=detail, at=at)
    return Replayed(
        letter_id=letter_id, outcome=ReplayOutcome.DEAD_AGAIN, reason=reason, path=path, detail=detail
    )


def _patiently(work: Callable[[], Replayed]) -> Replayed:
    """Try again what a rival caused: a deadlock, a command that moved meanwhile, a partition that was dropped."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return work()
        except (DatabaseError, LostRace) as error:
            dropped = attempt == 1 and sqlstate_of(error) == NO_PARTITION
            if attempt == _ATTEMPTS or not (dropped or fault_of(error) is Fault.RIVAL):
                raise
            forget_known_partitions()
    raise AssertionError("unreachable")
