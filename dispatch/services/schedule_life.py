"""What dispatch keeps of a schedule's command beyond its state."""

from datetime import timedelta

from django.db.models import F

from dispatch.models import Command


def expect_until(*, command_id: int, later_by: timedelta) -> None:
    """A schedule has begun: its execution is not overdue before its last slot is over either."""
    Command.objects.filter(pk=command_id, execution_due_at__isnull=False).update(
        execution_due_at=F("execution_due_at") + later_by, execution_overdue=False
    )
