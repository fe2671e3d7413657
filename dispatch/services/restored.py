"""After a restore: whatever the backup held as unsent may have been sent since, and must not be sent again.

A backup is a look at the past. A message that was PENDING then may have been published a second later, attempted or
not, and a command that was SCHEDULED then may have become due: sent again they would act twice (a message signed anew
has a new messageId, so Voke would not know it). What became of them is not known, so they end as UNCONFIRMED with the
cause RESTORED: our presumption, which Voke's own later word may still correct. Nothing is sent instead; people decide
anew.

Emergencies too: a STOP of then may have been released since. Latches stay set, so nothing automatic is sent, and
EMERGENCY_IN_DOUBT asks a person to look. Commands that are due later stay SCHEDULED: nobody can have sent them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from dispatch.models import (
    Command,
    EmergencyLatch,
    OutboundMessage,
    OutboxLease,
    Outcome,
    PublishedSiteConfig,
)
from dispatch.services.life import Move, advance_many
from dispatch.states import State

RESTORED = "RESTORED"
RESTORE = "restore"
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class SettledDispatch:
    """What was settled: messages that waited, commands by what they were; what stands and a person should look at."""

    messages: int
    queued: int
    due: int
    later: int
    latched: int
    site_configs: int


@transaction.atomic
def settle_restored(*, at: datetime) -> SettledDispatch:
    """Settle everything that a relay or tick would send otherwise; safe to be called again.

    Call while nothing publishes: with dispatch of the installation off, and the processes stopped.
    """
    OutboxLease.objects.all().delete()
    queued = _ids(Q(state=State.QUEUED))
    due = _ids(Q(state=State.SCHEDULED, due_at__lte=at))
    messages = OutboundMessage.objects.filter(outcome=Outcome.PENDING).update(
        outcome=Outcome.ABANDONED,
        outcome_at=at,
        detail="restored from a backup: what became of it is not known",
    )
    _presume([State.UNCONFIRMED], queued, at)
    # Two words, as in life: it had to be queued before it could be sent.
    _presume([State.QUEUED, State.UNCONFIRMED], due, at)
    # Voke may have been told newer topology and limits than ours: everything is published again.
    site_configs, _ = PublishedSiteConfig.objects.all().delete()
    return SettledDispatch(
        messages=messages,
        queued=len(queued),
        due=len(due),
        later=Command.objects.filter(state=State.SCHEDULED).count(),
        latched=EmergencyLatch.objects.filter(released_at__isnull=True).count(),
        site_configs=site_configs,
    )


def _ids(condition: Q) -> list[int]:
    return list(Command.objects.filter(condition).order_by("pk").values_list("pk", flat=True))


def _presume(states: Sequence[State], ids: Sequence[int], at: datetime) -> None:
    for some in _batches(ids):
        moves = [
            Move(command_id=pk, to=state, cause=RESTORED, actor=RESTORE) for pk in some for state in states
        ]
        advance_many(moves=moves, at=at)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]
