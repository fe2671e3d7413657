"""How long alarms are kept: a case with its raises and its history goes when all of it was over long ago.

- Nothing of it is raised any more; its last clear, and its closing where it was closed, are older than the retention.
- What lies in a span that somebody holds stays.
- Then go alarms that no case speaks of any more.

Edge cases (the concurrency policy): rows go a bounded number at a time, each step a transaction of its own. Alarms are
locked before cases, as those do who file them; what somebody works on is left for the next time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from plants.models import Alarm, AlarmCase, AlarmOccurrence
from plants.services.partitions import Span

DELETED_AT_ONCE = 500
STEPS_AT_MOST = 20


def prune_alarms(
    *, at: datetime, keep_days: int, held: Sequence[Span] = (), limit: int = DELETED_AT_ONCE
) -> int:
    """Tick: forget cases, then alarms, that were over so many days ago, the oldest first; answers how many rows went.

    `held`: spans in which everything stays.
    """
    before, total = at - timedelta(days=keep_days), 0
    for forget in (_forget_cases, _forget_alarms):
        for _ in range(STEPS_AT_MOST):
            count = forget(before, held, limit)
            total += count
            if count < limit:
                break
    return total


@transaction.atomic
def _forget_cases(before: datetime, held: Sequence[Span], limit: int) -> int:
    over = Q(is_raised=False, cleared_at__lt=before) & (Q(closed_at=None) | Q(closed_at__lt=before))
    old = AlarmCase.objects.filter(over).exclude(_within(held, begins="first_raised_at"))
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:limit])
    if not ids:
        return 0
    shown = Alarm.objects.filter(case__in=ids)
    locked = shown.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    mine = set(locked.values_list("pk", flat=True))
    busy = {case_id for pk, case_id in shown.values_list("pk", "case_id") if pk not in mine}
    rows = AlarmCase.objects.select_for_update(skip_locked=True, of=("self",)).filter(over).order_by("pk")
    free = list(rows.filter(pk__in=set(ids) - busy).values_list("pk", flat=True))
    _say_retention("on")
    AlarmCase.objects.filter(pk__in=free).delete()
    _say_retention("")
    return len(free)


@transaction.atomic
def _forget_alarms(before: datetime, held: Sequence[Span], limit: int) -> int:
    raises = AlarmOccurrence.objects.filter(alarm=OuterRef("pk"))
    old = Alarm.objects.filter(case=None, cleared_at__lt=before).exclude(Exists(raises))
    old = old.exclude(_within(held, begins="raised_at")).order_by("pk")
    ids = list(old.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:limit])
    Alarm.objects.filter(pk__in=ids).delete()
    return len(ids)


def _within(held: Sequence[Span], *, begins: str) -> Q:
    """Rows that a span touches; of no spans none."""
    found = Q(pk__in=[])
    for span in held:
        found |= Q(**{f"{begins}__lt": span.high, "cleared_at__gt": span.low})
    return found


def _say_retention(word: str) -> None:
    """Tell the trigger of the history that this transaction may delete; it refuses everybody else."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('esm.alarm_retention', %s, true)", [word])
