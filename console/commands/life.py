"""Everything that is known of one command, read at once: three queries, and none of the bytes.

Words of Voke are told apart from our own by their actor; what Voke says counts however late it came, as an event of its
own, but only APPLIED words moved the command.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dispatch.models import (
    Command,
    CommandEvent,
    Diagnosis,
    OutboundMessage,
    Retraction,
    TimedCommand,
    Verification,
)
from dispatch.services.voke_words import VOKE
from dispatch.states import FROM_VOKE, State
from plants.errors import NotFound
from plants.selectors.connections import SECRET_FIELDS
from plants.selectors.link_health import HalfHealth, connection_health
from vcp.said import said

MOST_EVENTS = 500
MOST_MESSAGES = 50
_EXECUTION = frozenset({State.EXECUTING, State.COMPLETED, State.DEVIATED, State.FAILED})
_ACK = FROM_VOKE - _EXECUTION


@dataclass(frozen=True, kw_only=True)
class Life:
    """A command with its plant, connection and proofs; `events` as they were learnt, `messages` oldest first.

    `publishing`: how well the link can send, of a command that waits for it; None = it does not, or needs no link.
    """

    command: Command
    events: Sequence[CommandEvent]
    messages: Sequence[OutboundMessage]
    at: datetime
    publishing: HalfHealth | None = None

    @property
    def zone(self) -> str:
        """The plant's time zone."""
        return self.command.plant.time_zone

    @property
    def state(self) -> State:
        """The state that the database holds."""
        return State(self.command.state)

    @property
    def proof(self) -> Verification | None:
        """The measured proof; None = commands of its kind have none."""
        return getattr(self.command, "verification", None)

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Why there was silence; None = there was none."""
        return getattr(self.command, "diagnosis", None)

    @property
    def retraction(self) -> Retraction | None:
        """How it was taken back; None = it was not, or nothing of it had been sent."""
        return getattr(self.command, "retraction", None)

    @property
    def timed(self) -> TimedCommand | None:
        """The end that a device command was sent with."""
        return getattr(self.command, "timed", None)

    @property
    def sent(self) -> OutboundMessage | None:
        """The message that tells most: the first one confirmed, else the last one attempted, else the last one."""
        confirmed = [one for one in self.messages if one.outcome == "CONFIRMED"]
        attempted = [one for one in self.messages if one.attempted_at is not None]
        return next(iter(confirmed or attempted[-1:] or self.messages[-1:]), None)

    @property
    def attempted(self) -> bool:
        """Whether a byte of it may have left."""
        return any(one.attempted_at is not None for one in self.messages)

    @property
    def ack(self) -> CommandEvent | None:
        """Voke's last acknowledgement; None = none came."""
        return _last(self.spoken(_ACK))

    @property
    def execution(self) -> CommandEvent | None:
        """Voke's last report of its execution by the order of the states; None = none came."""
        return max(self.spoken(_EXECUTION), key=lambda event: _RANKS[State(event.word)], default=None)

    def spoken(self, states: Iterable[State]) -> list[CommandEvent]:
        """What Voke said, of these states."""
        words = {state.value for state in states}
        return [event for event in self.events if event.actor == VOKE and event.word in words]


_RANKS = {State.EXECUTING: 0, State.DEVIATED: 1, State.COMPLETED: 2, State.FAILED: 2}


def _last(events: Sequence[CommandEvent]) -> CommandEvent | None:
    return events[-1] if events else None


def life_of(*, organisation_id: int, command_id: int, at: datetime) -> Life:
    """One command of the organisation. Raises NotFound."""
    rows = Command.objects.filter(organisation_id=organisation_id, pk=command_id)
    rows = rows.select_related(
        "plant", "connection", "verification", "diagnosis", "retraction__by_command", "timed__stop"
    )
    command = rows.defer(*(f"connection__{name}" for name in SECRET_FIELDS)).first()
    if command is None:
        raise NotFound(said("no such command"), path="command", code="COMMAND_NOT_FOUND")
    events = CommandEvent.objects.filter(command_id=command_id).select_related("inbound", "outbound")
    events = events.defer("inbound__body", "outbound__body").order_by("pk")
    messages = OutboundMessage.objects.filter(command_id=command_id).defer("body").order_by("pk")
    return Life(
        command=command,
        events=list(events[:MOST_EVENTS]),
        messages=list(messages[:MOST_MESSAGES]),
        at=at,
        publishing=_publishing(command, at),
    )


def _publishing(command: Command, at: datetime) -> HalfHealth | None:
    link = command.connection
    if command.state != State.QUEUED or link is None:
        return None
    return connection_health(connections=[link], at=at)[link.pk].publish
