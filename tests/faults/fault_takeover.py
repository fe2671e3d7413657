"""A second bundle of the organisation takes over under load: another key, vhost, signing key, and another stand-in."""

from dispatch.models import OutboundMessage, Outcome
from dispatch.policy import current_policy
from dispatch.services.takeover import take_over
from tests.faults.collect import is_all_heard
from tests.faults.fault import Fault, register, surely, until
from tests.faults.stage import Side


@register
class SecondBundle(Fault):
    """The old key drains: what was attempted there is settled there, and its stand-in goes when all is heard."""

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

    def heal(self) -> None:
        if self.old is None:
            return
        old = self.old
        waiting = OutboundMessage.objects.filter(connection=old.connection, outcome=Outcome.PENDING)
        until(lambda: not waiting.exists(), "the old key drained")
        until(lambda: is_all_heard(old), "everything on the old key heard")
        self.stage.dismiss(old)
