"""The alarm that stands while a timed device command is not ended."""

from datetime import datetime

from dispatch.models import Command, TimedCommand
from plants.services.alarms import raise_platform_alarm
from vcp.said import Said, joined, said

NOT_STOPPED = "TIMED_STOP_NOT_DONE"


def not_taken(stop: Command, *, given_up: bool) -> Said:
    """What became of a stop that came to nothing."""
    state = said("its stop #%(pk)s is %(state)s (%(cause)s)", pk=stop.pk, state=stop.state, cause=stop.cause)
    return joined("; ", [state, said("it is not tried again") if given_up else said("it is tried again")])


def raise_not_stopped(row: TimedCommand, what: Said, at: datetime) -> None:
    """`what` stands in the way of its end."""
    raise_platform_alarm(
        connection_id=row.start.connection_id,
        plant_id=row.start.plant_id,
        alarm_id=not_stopped_alarm_id(row.pk),
        severity="CRITICAL",
        code=NOT_STOPPED,
        message=said(
            "Timed command #%(pk)s of %(plant)s has not ended: %(what)s.",
            pk=row.pk,
            plant=str(row.start.plant),
            what=what,
        ),
        at=at,
    )


def not_stopped_alarm_id(start_id: int) -> str:
    """The id of the alarm that stands while a timed command is not ended."""
    return f"timed-stop:{start_id}"
