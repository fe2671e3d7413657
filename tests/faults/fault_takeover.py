"""A second bundle of the organisation takes over under load: another key, vhost, signing key, and another stand-in."""

from datetime import datetime

from django.conf import settings

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import current_policy
from dispatch.services.takeover import take_over
from dispatch.states import State
from plants.models import Connection
from tests.faults.collect import is_all_heard, newest_event
from tests.faults.fault import PATIENCE_S, Fault, register, surely, until
from tests.faults.processes import CONSUMERS
from tests.faults.stage import Side
from watch.models import TickRun

BACKLOG = 20
"""Events that stand in the old queues, unread, when the last command of the old key has ended."""

RETIRES_WITHIN_S = 240.0


@register
class SecondBundle(Fault):
    """The old key drains while its stand-in goes on speaking, and for a time nobody reads what it says.

    Nothing pends on the old key and every deadline is over when its queues still hold a backlog: a connection that
    retired then would leave it there. Its stand-in goes when the old key is retired.
    """

    name = "second bundle takes over"
    old: Side | None = None

    def strike(self) -> None:
        stage = self.stage
        old = stage.sides[-1]
        new = stage.add_side()
        stage.write_stand_in(new)
        stage.processes.start(new.process)
        stage.find_rest(new)
        surely(
            lambda: take_over(
                old=old.connection, new=new.connection, at=stage.now(), policy=current_policy()
            ),
            "the takeover",
        )
        self.old = old
        sent = OutboundMessage.objects.filter(connection=new.connection, outcome=Outcome.CONFIRMED)
        until(sent.filter(command__isnull=False).exists, "a command on the new key")
        self._leave_unread(old)

    def _leave_unread(self, old: Side) -> None:
        """No consumer runs until all that could be waited for on the old key, apart from its queues, is over."""
        for name in CONSUMERS:
            self.stage.processes[name].kill()
        read_up_to = newest_event(old)
        # Nothing may be on its way when time leaps: it would arrive long after it was handed over.
        self.load.pause(PATIENCE_S)
        try:
            waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING)
            planned = Command.objects.filter(state__in=[State.SCHEDULED, State.QUEUED])
            until(lambda: not waiting.exists() and not planned.exists(), "nothing pending")
            until(lambda: newest_event(old) >= read_up_to + BACKLOG, "a backlog on the old key")
            self.stage.leap(settings.ACK_TIMEOUT_S + settings.EXECUTION_TIMEOUT_S)
        finally:
            self.load.go_on()
        over_at = self.stage.now()
        until(lambda: self._looked_at_since(over_at), "a look at the old key")

    def _looked_at_since(self, moment: datetime) -> bool:
        return TickRun.objects.filter(name="retire_drained", started_at__gt=moment, ok=True).exists()

    def heal(self) -> None:
        gone = [name for name in CONSUMERS if not self.stage.processes[name].running]
        self.stage.start_again(*gone)
        if self.old is None:
            return
        old = self.old
        retired = Connection.objects.filter(pk=old.connection.pk, retired_at__isnull=False)
        until(retired.exists, "the old key retired", within_s=RETIRES_WITHIN_S)
        until(lambda: is_all_heard(old), "everything on the old key heard")
        self.stage.dismiss(old)
