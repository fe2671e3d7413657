"""Faults between us and the broker: reset, black hole, held-back confirms, an outage of ten minutes."""

from datetime import timedelta

from dispatch.models import OutboundMessage, Outcome
from tests.faults.fault import Fault, register, until
from tests.faults.stage import CONSUME_LANE, RELAY_LANE

_LANES = (RELAY_LANE, CONSUME_LANE)
_OUTAGE_S = 600.0
_FULL = 60  # messages that came into the outbox while nothing left it


@register
class CutLink(Fault):
    name = "TCP cut"

    def strike(self) -> None:
        for lane in self.rng.choice((_LANES, (RELAY_LANE,), (CONSUME_LANE,))):
            self.stage.proxy.cut(lane)


class BlackHole(Fault):
    """Bytes vanish and nobody is told, until every link of the half has found out by itself."""

    lane = ""

    def strike(self) -> None:
        proxy = self.stage.proxy
        until(lambda: proxy.open_connections(self.lane) > 0, f"links of the half {self.lane}")
        before = proxy.accepted(self.lane)
        proxy.blackhole(self.lane)
        # What connects anew has given the old link up.
        until(lambda: proxy.accepted(self.lane) > before, f"a {self.lane} that gave its link up")

    def heal(self) -> None:
        self.stage.proxy.restore(self.lane)


@register
class BlackHoleOfRelays(BlackHole):
    name = "black hole of the relays"
    lane = RELAY_LANE


@register
class BlackHoleOfConsumers(BlackHole):
    name = "black hole of the consumers"
    lane = CONSUME_LANE


@register
class StalledConfirms(Fault):
    """What the broker says to the relays is held back longer than they wait for it."""

    name = "stalled confirms"

    def strike(self) -> None:
        before = self.stage.proxy.accepted(RELAY_LANE)
        self.stage.proxy.stall_answers(RELAY_LANE)
        until(lambda: self.stage.proxy.accepted(RELAY_LANE) > before, "a relay that gave its link up")

    def heal(self) -> None:
        self.stage.proxy.resume(RELAY_LANE)


@register
class DeafLinks(Fault):
    """Confirms and events are held back together: what we sent has had its effect, and we know nothing of it."""

    name = "deaf links"

    def strike(self) -> None:
        proxy = self.stage.proxy
        before = {lane: proxy.accepted(lane) for lane in _LANES}
        for lane in _LANES:
            proxy.stall_answers(lane)
        for lane in _LANES:
            until(lambda lane=lane: proxy.accepted(lane) > before[lane], f"a {lane} that gave its link up")

    def heal(self) -> None:
        for lane in _LANES:
            self.stage.proxy.resume(lane)


@register
class LongOutage(Fault):
    """The links are down for ten minutes with a full outbox; the clock goes on, nobody waits."""

    name = "outage of 10 minutes"

    def strike(self) -> None:
        began = self.stage.now()
        for lane in _LANES:
            self.stage.proxy.refuse(lane)
        # Not how many wait at once: a slow machine asks so seldom that the first have expired when the last comes.
        came = OutboundMessage.objects.filter(made_at__gte=began)
        until(lambda: came.count() >= _FULL, "a full outbox")
        self.stage.leap(_OUTAGE_S)
        until(self._nothing_overdue, "what is over settled by the ticks")

    def _nothing_overdue(self) -> bool:
        over = self.stage.now() - timedelta(seconds=_OUTAGE_S / 2)
        return not OutboundMessage.objects.filter(outcome=Outcome.PENDING, deliver_by_at__lte=over).exists()

    def heal(self) -> None:
        for lane in _LANES:
            self.stage.proxy.restore(lane)
