"""What operators are told when Voke does not carry a plan, or does not let go of one.

PLAN_NOT_CARRIED_OUT stands until the plan's newest version is carried out, by whomever, or its day is over;
SCHEDULE_NOT_CANCELLED until its schedule is gone.
"""

from collections.abc import Collection
from datetime import datetime

from dispatch.services.bulk import Among
from plants.selectors.alarms import open_platform_alarm_ids
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from schedules.models import OPEN, PlanState, PlanVersion, VokeSchedule
from vcp.said import said

NOT_CARRIED, NOT_CANCELLED = "PLAN_NOT_CARRIED_OUT", "SCHEDULE_NOT_CANCELLED"
_OF_PLAN, _OF_SCHEDULE = "plan:", "schedule:"
_MOST = 1_000


def raise_not_carried(row: VokeSchedule, why: str, at: datetime) -> None:
    """The plan of this schedule is not carried out; once for a plan, with the newest reason."""
    plan = row.version.plan
    raise_platform_alarm(
        connection_id=None,
        plant_id=row.plant_id,
        alarm_id=f"{_OF_PLAN}{plan.pk}",
        severity="ERROR",
        code=NOT_CARRIED,
        message=said(
            "The plan of %(day)s (version %(number)s) is not carried out: %(why)s.",
            day=plan.day.isoformat(),
            number=row.version.number,
            why=why[:400],
        ),
        at=at,
    )


def raise_not_cancelled(row: VokeSchedule, at: datetime) -> None:
    """Voke did not answer to any of the cancellations."""
    raise_platform_alarm(
        connection_id=None,
        plant_id=row.plant_id,
        alarm_id=f"{_OF_SCHEDULE}{row.pk}",
        severity="ERROR",
        code=NOT_CANCELLED,
        message=said(
            "Schedule %(schedule_id)s at Voke was cancelled %(cancels)s times without an answer.",
            schedule_id=str(row.schedule_id),
            cancels=row.cancels,
        ),
        at=at,
    )


def clear_settled_alarms(*, at: datetime) -> int:
    """Tick: clear the alarms whose reason is gone; answers how many.

    Those that stand are told apart by a constant number of statements.
    """
    of_plans = _numbered(NOT_CARRIED, _OF_PLAN)
    of_schedules = _numbered(NOT_CANCELLED, _OF_SCHEDULE)
    there = VokeSchedule.objects.filter(Among(of_schedules), gone_at__isnull=True).order_by()
    settled = of_schedules.keys() - set(there.values_list("pk", flat=True))
    gone = [of_plans[pk] for pk in sorted(of_plans.keys() - _not_carried(of_plans, at))]
    gone += [of_schedules[pk] for pk in sorted(settled)]
    return sum(clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=at) for alarm_id in gone)


def _numbered(code: str, prefix: str) -> dict[int, str]:
    """The open alarms of a code, by the id of what they are about."""
    ids = open_platform_alarm_ids(code=code, limit=_MOST)
    return {int(alarm_id.removeprefix(prefix)): alarm_id for alarm_id in ids}


def _not_carried(plan_ids: Collection[int], at: datetime) -> set[int]:
    """Those of the plans that should run at Voke still, and do not: nothing was accepted, or Voke let go of it."""
    later = VokeSchedule.objects.filter(Among(plan_ids, of="version__plan_id"), ends_at__gt=at).order_by()
    plans = set(later.values_list("version__plan_id", flat=True))
    newest: dict[int, tuple[int, str]] = {}
    versions = PlanVersion.objects.filter(Among(plans, of="plan_id")).exclude(state__in=OPEN)
    for plan_id, pk, state in versions.order_by("number").values_list("plan_id", "pk", "state"):
        newest[plan_id] = pk, state
    published = {pk: plan_id for plan_id, (pk, state) in newest.items() if state == PlanState.PUBLISHED}
    mine = VokeSchedule.objects.filter(Among(published, of="version_id"), made_anew__isnull=True).order_by()
    failed = mine.exclude(cause="COMPLETED").exclude(accepted_at__isnull=False, gone_at__isnull=True)
    standing = {published[version_id] for version_id in failed.values_list("version_id", flat=True)}
    return standing | (newest.keys() - published.values())
