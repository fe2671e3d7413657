"""How long what arrives and what was commanded is kept.

- Voke's events: at least their retention, and until the command that they speak of is final.
- Commands that have ended, with their history and messages: their retention, and longer while an event of Voke that
  speaks of them, or an emergency, still refers to them. A command that is open stays, however old it is.
- Messages of site config that are not the last word on their plant, and notices of schedules: as long as commands.

Edge cases (the concurrency policy): rows are deleted a bounded number at a time, each step a transaction of its own, in
the order of their ids as everybody locks them; a command that somebody works on is left for the next time, and what is
decided about one is decided under its lock.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from dispatch.models import (
    Command,
    CommandEvent,
    EmergencyLatch,
    OutboundMessage,
    Outcome,
    PublishedSiteConfig,
    ScheduleNotice,
)
from dispatch.states import ENDED, OPEN
from plants.models import InboundMessage
from plants.services.inbox import forget_inbound

DELETED_AT_ONCE = 500
STEPS_AT_MOST = 100
_ENDED = sorted(state.value for state in ENDED)


def prune_inbound(*, at: datetime, keep_days: int, limit: int = 5000) -> int:
    """Tick: forget old events whose command is final (or that belong to none); answers how many were deleted."""
    needed = CommandEvent.objects.filter(
        inbound=OuterRef("pk"),
        command__state__in=[state.value for state in OPEN],
    )
    old = InboundMessage.objects.filter(received_at__lt=at - timedelta(days=keep_days)).exclude(
        Exists(needed)
    )
    return forget_inbound(ids=list(old.order_by("received_at").values_list("pk", flat=True)[:limit]))


def prune_commands(*, at: datetime, keep_days: int, limit: int = DELETED_AT_ONCE) -> int:
    """Tick: forget commands that ended long ago, with their events and messages; answers how many commands went.

    Each step takes at most `limit` commands, found by their age, whatever their number in the table.
    """
    before = at - timedelta(days=keep_days)
    return _in_steps(lambda: _forget_commands(before, limit), limit)


def prune_outbox(*, at: datetime, keep_days: int, limit: int = DELETED_AT_ONCE) -> int:
    """Tick: forget old messages of site config; the last one of each plant and family stays. Answers how many went."""
    before = at - timedelta(days=keep_days)
    shown = PublishedSiteConfig.objects.filter(message=OuterRef("pk"))
    rows = OutboundMessage.objects.filter(command__isnull=True, made_at__lt=before)
    rows = rows.exclude(outcome=Outcome.PENDING).exclude(Exists(shown))
    return _in_steps(lambda: _forget(rows.order_by("made_at"), limit), limit)


def prune_notices(*, at: datetime, keep_days: int, limit: int = DELETED_AT_ONCE) -> int:
    """Tick: forget old notices of schedules; answers how many were deleted."""
    rows = ScheduleNotice.objects.filter(received_at__lt=at - timedelta(days=keep_days))
    return _in_steps(lambda: _forget(rows.order_by("received_at"), limit), limit)


def _in_steps(step: Callable[[], int], limit: int) -> int:
    """One step after the other until one finds less than it may take, or this run has done enough."""
    total = 0
    for _ in range(STEPS_AT_MOST):
        count = step()
        total += count
        if count < limit:
            break
    return total


def _forget_commands(before: datetime, limit: int) -> int:
    told = CommandEvent.objects.filter(command=OuterRef("pk"), inbound__isnull=False)
    latched = EmergencyLatch.objects.filter(command=OuterRef("pk"))
    ended = Command.objects.filter(state__in=_ENDED, state_at__lt=before)
    old = ended.exclude(Exists(told)).exclude(Exists(latched)).order_by("state_at")
    doomed = list(old.values_list("pk", flat=True)[:limit])
    if not doomed:
        return 0
    with transaction.atomic():
        locked = ended.filter(pk__in=doomed).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
        ids = list(locked.values_list("pk", flat=True))
        CommandEvent.objects.filter(command_id__in=ids).delete()
        OutboundMessage.objects.filter(command_id__in=ids).delete()
        Command.objects.filter(pk__in=ids).delete()
    return len(ids)


def _forget(rows: "QuerySet[OutboundMessage] | QuerySet[ScheduleNotice]", limit: int) -> int:
    with transaction.atomic():
        ids = sorted(rows.values_list("pk", flat=True)[:limit])
        rows.model._default_manager.filter(pk__in=ids).delete()
    return len(ids)
