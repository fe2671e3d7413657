"""Ticks over waiting commands: silence after SENT, executions that take too long.

Silence is never answered by a resend; it is only said.
"""

from datetime import datetime

from django.db import transaction

from dispatch.diagnosis import Silence
from dispatch.models import Command
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.silence import ACK_OVERDUE, ask_why
from dispatch.states import State

EXECUTION_OVERDUE = "EXECUTION_OVERDUE"


def mark_ack_overdue(*, at: datetime, limit: int = 500) -> int:
    """Commands sent without an ACK until `ack_due_at` become UNCONFIRMED; answers how many were looked at."""
    with transaction.atomic():
        ids = list(
            Command.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(state=State.SENT, ack_due_at__lte=at)
            .order_by("pk")
            .values_list("pk", flat=True)[:limit]
        )
        advance_many(
            moves=[Move(command_id=pk, to=State.UNCONFIRMED, cause=ACK_OVERDUE) for pk in ids], at=at
        )
    return len(ids)


def flag_execution_overdue(*, at: datetime, limit: int = 500) -> int:
    """Accepted commands past their execution deadline get a flag, no new state."""
    waiting = [State.ACCEPTED, State.PARTIAL, State.EXECUTING]
    with transaction.atomic():
        ids = list(
            Command.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(state__in=waiting, execution_due_at__lte=at, execution_overdue=False)
            .order_by("pk")
            .values_list("pk", flat=True)[:limit]
        )
        Command.objects.filter(pk__in=ids).update(execution_overdue=True)
        notes = [Note(command_id=pk, word=EXECUTION_OVERDUE, cause=EXECUTION_OVERDUE) for pk in ids]
        append_notes(notes=notes, at=at)
        if ids:
            ask_why(command_ids=ids, silence=Silence.NO_EXECUTION, at=at)
    return len(ids)
