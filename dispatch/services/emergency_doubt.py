"""Emergencies that reached Voke and did not work: refused, failed or never answered while the plant is latched.

Nothing is sent again here (Voke has it), but a person must know: an alarm stays raised until Voke's later word makes it
good, Voke takes a later emergency of the same type, or the latch is released. A person who sends STOP again because the
first one failed has done what the alarm asks for; and of two at once Voke may end the first in favour of the second.
"""

from datetime import datetime

from django.db.models import Exists, OuterRef

from dispatch.models import Command, EmergencyLatch, Kind
from dispatch.states import State
from plants.selectors.alarms import open_platform_alarm_ids
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from vcp.said import said

IN_DOUBT = "EMERGENCY_IN_DOUBT"
_ALARM_PREFIX = "emergency-in-doubt:"
_MOST_ALARMS = 10_000
_DOUBTFUL = (State.REJECTED, State.FAILED, State.DEVIATED, State.UNCONFIRMED, State.RETURNED, State.REFUSED)
_TAKEN = (State.ACCEPTED, State.QUEUED_BY_VOKE, State.EXECUTING, State.COMPLETED)


def watch_latched(*, at: datetime) -> int:
    """Tick: keep an alarm raised for every latch whose emergency is in doubt; answers how many there are."""
    # Of the same type: a latched STOP refuses a HOLD, and a latch of HOLD names the newest of all.
    later = Command.objects.filter(
        plant=OuterRef("plant"), pk__gt=OuterRef("command"), kind=Kind.EMERGENCY, state__in=_TAKEN
    )
    doubtful = EmergencyLatch.objects.filter(released_at__isnull=True, command__state__in=_DOUBTFUL)
    doubtful = doubtful.exclude(Exists(later))
    alarmed = set(open_platform_alarm_ids(code=IN_DOUBT, limit=_MOST_ALARMS))
    standing: set[str] = set()
    for latch in doubtful.select_related("command", "plant").order_by("pk")[:_MOST_ALARMS]:
        alarm_id = f"{_ALARM_PREFIX}{latch.command_id}"
        standing.add(alarm_id)
        if alarm_id in alarmed:
            continue
        raise_platform_alarm(
            connection_id=latch.command.connection_id,
            plant_id=latch.plant_id,
            alarm_id=alarm_id,
            severity="CRITICAL",
            code=IN_DOUBT,
            message=(
                said(
                    "Emergency %(type)s #%(pk)s of %(plant)s is %(state)s (%(cause)s): check the plant on site.",
                    type=latch.type,
                    pk=latch.command_id,
                    plant=str(latch.plant),
                    state=latch.command.state,
                    cause=latch.command.cause,
                )
            ),
            at=at,
        )
    _clear(alarmed - standing, at)
    return len(standing)


def _clear(alarm_ids: set[str], at: datetime) -> None:
    by_command = {int(alarm_id.removeprefix(_ALARM_PREFIX)): alarm_id for alarm_id in alarm_ids}
    for command in Command.objects.filter(pk__in=by_command).order_by("pk"):
        clear_platform_alarm(connection_id=command.connection_id, alarm_id=by_command[command.pk], at=at)
