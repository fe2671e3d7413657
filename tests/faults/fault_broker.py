"""Faults of Voke's broker: gone, full, without a queue, refusing rights, credentials or certificate."""

import re
import signal
from datetime import datetime, timedelta

from dispatch.models import OutboundMessage, Outcome
from plants.models import LinkHealth
from tests.faults.fault import Fault, register, until
from tests.faults.stage import CONSUME_LANE, RELAY_LANE, Side
from tests.services.partner import EXCHANGE, bindings
from vcp import Family

_LANES = (RELAY_LANE, CONSUME_LANE)
_RIGHT_NAMES = ("localhost", "127.0.0.1")
BLOCKED_MS = 7_000  # less than COMMAND_DELIVER_BY_S in tests.faults.settings


def link_errors(role: LinkHealth.Role, since: datetime) -> set[str]:
    """Codes of what links of this role wrote down since then."""
    rows = LinkHealth.objects.filter(role=role, error_at__gte=since)
    return set(rows.values_list("error_code", flat=True))


@register
class RestartedBroker(Fault):
    name = "broker restart"

    def strike(self) -> None:
        self.stage.rabbit.stop()

    def heal(self) -> None:
        self.stage.rabbit.start()


@register
class KilledBroker(RestartedBroker):
    name = "broker kill -9"

    def strike(self) -> None:
        self.stage.rabbit.kill()


@register
class BlockedPublishers(Fault):
    """The broker says that it has no memory left: publishers are told `connection.blocked`.

    What was written just before lies in the broker's socket and is taken when it reads again, however late that is. So
    the broker ends it by itself, within the time that a command may take: another call of its tool may last longer.
    """

    name = "connection.blocked"

    def strike(self) -> None:
        watermark = "vm_memory_monitor:set_vm_memory_high_watermark"
        end = f"spawn(fun() -> timer:sleep({BLOCKED_MS}), {watermark}(0.4) end)"
        self.stage.rabbit.ctl("eval", f"{watermark}(0.000001), {end}.")
        until(self._nothing_goes, "messages that wait for the broker")

    def _nothing_goes(self) -> bool:
        at = self.stage.now()
        waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING, command__isnull=False)
        return waiting.filter(made_at__lte=at - timedelta(seconds=2)).exists()

    def heal(self) -> None:
        self.stage.rabbit.ctl("set_vm_memory_high_watermark", "0.4")


@register
class DeletedQueue(Fault):
    """A queue vanishes under its consumers and comes back later.

    The stand-in is held meanwhile, and the queue is empty when it goes: what a deleted queue held is lost by the
    broker, not by us, and what nobody but the tap could hear would count as taken.
    """

    name = "queue deleted"
    queue = ""
    held = ""

    def strike(self) -> None:
        side = self.stage.sides[-1]
        events = [name for key, name in side.partner.queues.items() if key.startswith("event")]
        queue = self.rng.choice(sorted(events))
        began = self.stage.now()
        self.stage.processes[side.process].signal(signal.SIGSTOP)
        self.held = side.process
        until(lambda: self._is_settled(side, queue), f"{queue} empty")
        with self.stage.rabbit.voke_connection(side.partner) as connection:
            self.queue = queue
            connection.channel().queue_delete(queue)
        until(lambda: link_errors(LinkHealth.Role.CONSUME, began), "a consumer's notice of it")

    def _is_settled(self, side: Side, queue: str) -> bool:
        listed = self.stage.rabbit.ctl(
            "list_queues", "-p", side.partner.vhost, "name", "messages", timeout_s=90
        )
        return any(line.split() == [queue, "0"] for line in listed.splitlines())

    def heal(self) -> None:
        try:
            if self.queue:
                self._declare_again()
        finally:
            if self.held:
                self.stage.processes[self.held].signal(signal.SIGCONT)

    def _declare_again(self) -> None:
        partner = self.stage.sides[-1].partner
        dead_letter = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": partner.dead_queue}
        with self.stage.rabbit.voke_connection(partner) as connection:
            channel = connection.channel()
            channel.queue_declare(self.queue, durable=True, arguments=dead_letter)
            for queue, key in bindings(partner.slug):
                if queue == self.queue:
                    channel.queue_bind(queue, EXCHANGE, key)


@register
class ForbiddenKey(Fault):
    """The right to one family is taken away: one message of a window closes the channel of the good ones."""

    name = "forbidden routing key"

    def strike(self) -> None:
        family = self.rng.choice((Family.COMMAND_MODE, Family.COMMAND_DEVICE, Family.COMMAND_EMERGENCY))
        before = self._refused()
        self._allow(f"(?!{re.escape(family.value)})(command|config|schedule)")
        # Channels remember rights that they once had.
        self.stage.proxy.cut(RELAY_LANE)
        if family is not Family.COMMAND_EMERGENCY:
            until(lambda: self._refused() > before, f"a refused {family.value}")

    def heal(self) -> None:
        self._allow("(command|config|schedule)")
        self.stage.proxy.cut(RELAY_LANE)

    def _refused(self) -> int:
        return OutboundMessage.objects.filter(outcome=Outcome.REFUSED).count()

    def _allow(self, families: str) -> None:
        partner = self.stage.sides[-1].partner
        slug = re.escape(partner.slug)
        self.stage.rabbit.ctl(
            "set_topic_permissions",
            "-p",
            partner.vhost,
            partner.slug,
            EXCHANGE,
            rf"^{slug}\.{families}\..*",
            rf"^{slug}\.event\..*",
        )


class RefusedLink(Fault):
    """Links break and are refused when they connect again."""

    code = ""

    def cut_and_await_refusal(self) -> None:
        """Reset the links and wait until relays and consumers have written down why they are refused."""
        began = self.stage.now()
        for lane in _LANES:
            self.stage.proxy.cut(lane)
        until(lambda: self._is_refused(since=began), f"relay and consumer refused with {self.code}")

    def _is_refused(self, *, since: datetime) -> bool:
        return all(self.code in link_errors(role, since) for role in LinkHealth.Role)


@register
class RevokedCredentials(RefusedLink):
    name = "credentials revoked"
    code = "REFUSED_CREDENTIALS"

    def strike(self) -> None:
        self.stage.rabbit.ctl("change_password", self.stage.sides[-1].partner.slug, "another one")
        self.cut_and_await_refusal()

    def heal(self) -> None:
        partner = self.stage.sides[-1].partner
        self.stage.rabbit.ctl("change_password", partner.slug, partner.api_key)


class WrongCertificate(RefusedLink):
    code = "REFUSED_CERTIFICATE"

    def heal(self) -> None:
        self.stage.rabbit.present(*_RIGHT_NAMES)


@register
class ExpiredCertificate(WrongCertificate):
    name = "certificate expired"

    def strike(self) -> None:
        self.stage.rabbit.present(*_RIGHT_NAMES, not_after=self.stage.now() - timedelta(days=30))
        self.cut_and_await_refusal()


@register
class ForeignCertificate(WrongCertificate):
    name = "certificate for another host"

    def strike(self) -> None:
        self.stage.rabbit.present("amqp.elsewhere.example")
        self.cut_and_await_refusal()
