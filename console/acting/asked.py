"""What a filled-in command box asks for: the request, how it goes out, and until when.

A setpoint is an override wherever a plan or another override has a word until its end: sent as a plain target it would
be replaced by the plan's next slot. Where nothing is planned it is a single setpoint; Voke lets go of it at its end.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from console.acting.situation import Situation
from dispatch.messages import site_id_of
from dispatch.requests import FAMILY, CommandPayload, CommandRequest
from dispatch.stops import stop_of
from dispatch.words import command_title
from vcp import VERSION, DeviceBatch, Family, must_be_signed, routing_key, to_wire


class Route(StrEnum):
    """Which service carries it out."""

    OVERRIDE = "OVERRIDE"
    """A setpoint above the plan, with an end, after which the plan goes on."""
    SETPOINT = "SETPOINT"
    """A setpoint for itself."""
    DEVICE = "DEVICE"
    """A device command without an end."""
    TIMED = "TIMED"
    """A device command whose stop is a second command."""
    MODE = "MODE"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing asked of one plant. `until_at` None = it holds until something else is asked for."""

    route: Route
    payload: CommandPayload
    until_at: datetime | None
    reason: str = ""
    key: str | None = None

    def request_for(self, external_plant_id: str) -> CommandRequest:
        """As the dispatch room takes it."""
        return CommandRequest(
            external_plant_id=external_plant_id,
            payload=self.payload,
            reason=self.reason,
            idempotency_key=self.key,
        )

    @property
    def family(self) -> Family:
        return FAMILY[self.request_for("").kind]

    @property
    def title(self) -> str:
        """`Export 220 kW`."""
        return command_title(self.request_for("").kind, to_wire(self.payload))

    @property
    def stop(self) -> DeviceBatch | None:
        """What ends a timed command."""
        timed = self.route is Route.TIMED and isinstance(self.payload, DeviceBatch)
        return stop_of(self.payload) if timed and isinstance(self.payload, DeviceBatch) else None

    @property
    def messages(self) -> int:
        """How many messages Voke gets of it."""
        return 2 if self.route is Route.TIMED else 1


def route_of_setpoint(situation: Situation, until_at: datetime) -> Route:
    """Whether a setpoint until then stands above something."""
    following = situation.ahead.following
    planned = situation.ahead.current is not None or (following is not None and following.start_at < until_at)
    return Route.OVERRIDE if planned or situation.override is not None else Route.SETPOINT


def is_signed(asked: Asked, situation: Situation) -> bool:
    """Whether its connection signs this family."""
    connection = situation.connection
    return connection is not None and must_be_signed(asked.family, connection.signed_families)


def envelope_of(asked: Asked, situation: Situation) -> tuple[str, dict[str, object]]:
    """(routing key, envelope) as it would be sent but for what is made with the message: its ids, time, signature."""
    connection = situation.connection
    site = situation.plant.external_plant_id
    key, source = asked.family.value, ""
    if connection is not None:
        site = site_id_of(situation.plant, connection.site_id_kind)
        key, source = routing_key(connection.routing_prefix, asked.family), connection.source
    return key, {
        "version": VERSION,
        "messageId": "…",
        "timestamp": "…",
        "source": source,
        "siteId": site,
        "payload": to_wire(asked.payload),
    }
