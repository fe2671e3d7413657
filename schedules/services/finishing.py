"""The end of a plan's day, and the end of what is kept about it.

A published plan is DONE when its local day is over. Plans with versions, slots, turns, schedules and history are
forgotten PLAN_RETENTION_DAYS after their day, overrides as long after their end. Commands have a retention of their own
and outlive the plan that asked for them, or not.

Edge cases (the concurrency policy):
- A plan that somebody works on is left for the next time (SKIP LOCKED); its state is read again under the lock, so a
  plan that is cancelled at its last minute stays CANCELLED.
- Plans are locked in the order of their ids, a bounded number at a time, each step a transaction of its own: a crash
  between two steps loses nothing, and two ticks at once share the work.
- Days end by the plan's own zone: at the other end of the world fourteen hours earlier than in UTC.
- What has not ended is kept: a plan that is PUBLISHED, an open override.
- A draft of a day that is over stays a draft until the retention.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from dispatch.services.bulk import Among
from metering.days import local_day
from schedules.models import (
    DayPlan,
    Override,
    PlanEvent,
    PlanSlot,
    PlanState,
    PlanVersion,
    SlotRun,
    VokeSchedule,
)

AT_ONCE = 500
PLANS_AT_ONCE, PLAN_STEPS_AT_MOST = 100, 12
"""A day of five-minute slots has 288 of them with their turns: 30,000 rows and more go with so many plans. The
steps of each five minutes keep up with 300,000 plans a day, and leave the worker to others within seconds."""
STEPS_AT_MOST = 40
_ACTOR = "platform"


def finish_plans(*, at: datetime, limit: int = AT_ONCE) -> int:
    """Tick: published plans whose day is over are DONE; answers how many. Constant statements per `limit` plans."""
    return _in_steps(lambda: _finish(at, limit), limit)


def _finish(at: datetime, limit: int) -> int:
    over = _days_over(at)
    if not over:
        return 0
    published = PlanVersion.objects.filter(plan=OuterRef("pk"), state=PlanState.PUBLISHED)
    ended = Q()
    for day, zone in over:
        ended |= Q(day=day, time_zone=zone)
    with transaction.atomic():
        free = DayPlan.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
        plans = free.filter(ended, Exists(published)).order_by("pk")[:limit]
        ids = [plan.pk for plan in plans]
        versions = list(PlanVersion.objects.filter(Among(ids, of="plan_id"), state=PlanState.PUBLISHED))
        PlanVersion.objects.filter(Among([one.pk for one in versions])).update(
            state=PlanState.DONE, ended_at=at
        )
        PlanEvent.objects.bulk_create(
            PlanEvent(plan_id=one.plan_id, version=one, at=at, word="DONE", actor=_ACTOR) for one in versions
        )
    return len(ids)


def _days_over(at: datetime) -> list[tuple[date, str]]:
    """(day, zone) of published plans that are over; a handful, however many plans there are."""
    days = DayPlan.objects.filter(versions__state=PlanState.PUBLISHED, day__lte=at.date()).order_by()
    pairs = days.values_list("day", "time_zone").distinct()[:AT_ONCE]
    return [(day, zone) for day, zone in pairs if local_day(day, zone=zone).end_at <= at]


def prune_plans(*, at: datetime, keep_days: int, limit: int = PLANS_AT_ONCE) -> int:
    """Tick: forget plans whose day was long ago, with all that belongs to them; answers how many plans went."""
    before = (at - timedelta(days=keep_days)).date()
    return _in_steps(lambda: _forget_plans(before, limit), limit, steps=PLAN_STEPS_AT_MOST)


def _forget_plans(before: date, limit: int) -> int:
    held = PlanVersion.objects.filter(plan=OuterRef("pk"), state=PlanState.PUBLISHED)
    with transaction.atomic():
        free = DayPlan.objects.select_for_update(of=("self",), skip_locked=True)
        old = free.filter(day__lt=before).exclude(Exists(held))
        ids = list(old.order_by("day", "pk").values_list("pk", flat=True)[:limit])
        versions = list(
            PlanVersion.objects.filter(Among(ids, of="plan_id")).order_by().values_list("pk", flat=True)
        )
        SlotRun.objects.filter(Among(versions, of="slot__version_id")).delete()
        PlanSlot.objects.filter(Among(versions, of="version_id")).delete()
        VokeSchedule.objects.filter(Among(versions, of="version_id")).delete()
        PlanEvent.objects.filter(Among(ids, of="plan_id")).delete()
        PlanVersion.objects.filter(Among(versions)).delete()
        DayPlan.objects.filter(Among(ids)).delete()
    return len(ids)


def prune_overrides(*, at: datetime, keep_days: int, limit: int = AT_ONCE) -> int:
    """Tick: forget overrides that ended long ago; answers how many went."""
    before = at - timedelta(days=keep_days)
    return _in_steps(lambda: _forget_overrides(before, limit), limit)


def _forget_overrides(before: datetime, limit: int) -> int:
    with transaction.atomic():
        free = Override.objects.select_for_update(of=("self",), skip_locked=True)
        old = free.filter(ended_at__lt=before).order_by("pk")
        ids = list(old.values_list("pk", flat=True)[:limit])
        Override.objects.filter(Among(ids)).delete()
    return len(ids)


def _in_steps(step: Callable[[], int], limit: int, *, steps: int = STEPS_AT_MOST) -> int:
    """One step after the other until one finds less than it may take, or this run has done enough."""
    total = 0
    for _ in range(steps):
        count = step()
        total += count
        if count < limit:
            break
    return total
