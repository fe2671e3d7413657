"""Processes killed in the middle of their work, and processes asked to stop."""

from collections.abc import Sequence

from dispatch.models import OutboundMessage, OutboxLease, Outcome
from tests.faults.collect import newest_message
from tests.faults.fault import Fault, must_be, register, until, waiting_in
from tests.faults.processes import CONSUMERS, RELAYS
from tests.faults.stage import RELAY_LANE


class KilledProcess(Fault):
    """One process gets SIGKILL; what follows is started anew."""

    victim = ""

    def kill(self, name: str) -> None:
        """End it at once, and remember to start it again."""
        self.victim = name
        self.stage.processes[name].kill()

    def heal(self) -> None:
        if self.victim:
            self.stage.start_again(self.victim)


@register
class KilledRelay(KilledProcess):
    """Killed while messages are handed over and their confirms are on the way."""

    name = "kill -9 relay"

    def strike(self) -> None:
        self.stage.proxy.stall_answers(RELAY_LANE)
        try:
            until(self._something_on_its_way, "an attempted message without its confirm")
            self.kill(self._publisher() or self.rng.choice(RELAYS))
        finally:
            self.stage.proxy.resume(RELAY_LANE)

    def _something_on_its_way(self) -> bool:
        waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING, attempted_at__isnull=False)
        return waiting.exists()

    def _publisher(self) -> str:
        """The relay that holds the lease; its name carries the process id."""
        holders = OutboxLease.objects.order_by("-expires_at").values_list("holder", flat=True)
        pids = [int(word) for holder in holders for word in holder.split(":") if word.isdecimal()]
        names = [self.stage.processes.holder_of(pid) for pid in pids]
        return next((name for name in names if name in RELAYS), "")


@register
class KilledConsumer(KilledProcess):
    """Killed while it applies a batch that is not acknowledged yet."""

    name = "kill -9 consumer"

    def strike(self) -> None:
        with waiting_in(self.stage, "plants_inboundmessage", *CONSUMERS) as victim:
            self.kill(victim)


@register
class KilledWorker(KilledProcess):
    """Killed in the middle of a tick."""

    name = "kill -9 worker"

    def strike(self) -> None:
        with waiting_in(self.stage, "dispatch_command", "worker") as victim:
            self.kill(victim)


@register
class KilledBeat(KilledProcess):
    name = "kill -9 beat"

    def strike(self) -> None:
        self.kill("beat")


@register
class KilledStandIn(KilledProcess):
    """Voke's side killed just after it wrote down a delivery: its own acknowledgement may be lost."""

    name = "kill -9 stand-in"

    def strike(self) -> None:
        side = self.stage.sides[-1]
        before = newest_message(side)
        until(lambda: newest_message(side) > before, "a delivery at the stand-in")
        self.kill(side.process)


class StoppedProcess(Fault):
    """One process is asked to stop: it ends by itself, in order."""

    candidates: Sequence[str] = ()
    victim = ""

    def strike(self) -> None:
        self.victim = self.rng.choice(list(self.candidates))
        code = self.stage.processes[self.victim].terminate(30.0)
        must_be(code, 0, f"exit code of {self.victim} after SIGTERM")

    def heal(self) -> None:
        if self.victim and not self.stage.processes[self.victim].running:
            self.stage.start_again(self.victim)


@register
class StoppedRelay(StoppedProcess):
    name = "kill -TERM relay"
    candidates = RELAYS


@register
class StoppedConsumer(StoppedProcess):
    name = "kill -TERM consumer"
    candidates = CONSUMERS


@register
class StoppedWorker(StoppedProcess):
    name = "kill -TERM worker"
    candidates = ("worker",)


@register
class StoppedBeat(StoppedProcess):
    name = "kill -TERM beat"
    candidates = ("beat",)


@register
class StoppedStandIn(StoppedProcess):
    name = "kill -TERM stand-in"

    def strike(self) -> None:
        self.candidates = (self.stage.sides[-1].process,)
        super().strike()
