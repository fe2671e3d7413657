"""What operators are told when Voke does not carry a plan, or does not let go of one.

PLAN_NOT_CARRIED_OUT stands until the plan's newest version is carried out, by whomever, or its day is over;
SCHEDULE_NOT_CANCELLED until its schedule is gone.
"""

from datetime import datetime

from plants.selectors.alarms import open_platform_alarm_ids
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from schedules.models import OPEN, PlanState, PlanVersion, VokeSchedule

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
        message=f"The plan of {plan.day:%Y-%m-%d} (version {row.version.number}) is not carried out: {why[:400]}.",
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
        message=f"Schedule {row.schedule_id} at Voke was cancelled {row.cancels} times without an answer.",
        at=at,
    )


def clear_settled_alarms(*, at: datetime) -> int:
    """Tick: clear the alarms whose reason is gone; answers how many."""
    cleared = 0
    for alarm_id in open_platform_alarm_ids(code=NOT_CARRIED, limit=_MOST):
        if not _still_not_carried(int(alarm_id.removeprefix(_OF_PLAN)), at):
            cleared += clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=at)
    for alarm_id in open_platform_alarm_ids(code=NOT_CANCELLED, limit=_MOST):
        pk = int(alarm_id.removeprefix(_OF_SCHEDULE))
        if not VokeSchedule.objects.filter(pk=pk, gone_at__isnull=True).exists():
            cleared += clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=at)
    return cleared


def _still_not_carried(plan_id: int, at: datetime) -> bool:
    if not VokeSchedule.objects.filter(version__plan=plan_id, ends_at__gt=at).exists():
        return False
    versions = PlanVersion.objects.filter(plan=plan_id).exclude(state__in=OPEN)
    newest = versions.order_by("number").last()
    if newest is None or newest.state != PlanState.PUBLISHED:
        return newest is not None
    mine = VokeSchedule.objects.filter(version=newest, made_anew__isnull=True)
    return mine.exclude(cause="COMPLETED").exclude(accepted_at__isnull=False, gone_at__isnull=True).exists()
