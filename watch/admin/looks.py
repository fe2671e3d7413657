"""How the states of this room are drawn."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from plants.admin.marks import Family, Look, chip
from watch.models import Notification, NotificationChannel, NotificationState, TickRun

_STATES: Mapping[str, Look] = {
    NotificationState.WAITING: Look(icon="hourglass_top", word="Held back", family=Family.WAIT),
    NotificationState.PENDING: Look(icon="schedule_send", word="To be sent", family=Family.MOVE),
    NotificationState.SENT: Look(icon="done_all", word="Sent", family=Family.OK),
    NotificationState.SUMMED: Look(icon="functions", word="Summed up", family=Family.WAIT),
    NotificationState.FAILED: Look(icon="report", word="Given up", family=Family.FAIL),
}
_RETRIED = Look(icon="history_toggle_off", word="To be sent again", family=Family.DOUBT)


def notification_chip(row: Notification) -> SafeString:
    """What became of a message; one that failed before and is tried again stands out."""
    if row.state == NotificationState.PENDING and row.error_code:
        return chip(_RETRIED, title=row.last_error)
    return chip(_STATES[row.state], title=row.last_error)


def channel_chip(row: NotificationChannel) -> SafeString:
    """Whether anything is sent on it."""
    if row.enabled:
        return chip(Look(icon="campaign", word="On", family=Family.OK))
    return chip(Look(icon="notifications_off", word="Off", family=Family.WAIT))


def tick_chip(row: TickRun) -> SafeString:
    """How the last run ended."""
    if row.started_at is None:
        return chip(Look(icon="hourglass_empty", word="Not yet run", family=Family.WAIT))
    if not row.ok:
        return chip(Look(icon="report", word="Failed", family=Family.FAIL), title=row.error_code)
    return chip(Look(icon="check", word="Done", family=Family.OK))
