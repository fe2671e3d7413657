"""What a run left behind, gathered from four sides that do not know each other.

The driver knows what was asked and committed, the platform's database what it believes, the tap (a queue of Voke's own
beside the stand-in's) what reached the broker, and the stand-in's journal what had an effect and what was said.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class CommandFact:
    """A command as the database has it, with the event that brought it into its state.

    `word` and `cause` are those of the last applied event ('' = there is none). `emergency` is STOP, HOLD or ''.
    `released_by` is the id of the command that released the emergency.
    """

    command_id: int
    plant: str
    kind: str
    state: str
    word: str
    cause: str
    from_voke: bool
    has_inbound: bool
    emergency: str = ""
    released_by: int | None = None


@dataclass(frozen=True, kw_only=True)
class MessageFact:
    """A message of the outbox; `command_id` None = site config."""

    message_id: str
    correlation_id: str
    command_id: int | None
    plant: str
    sha256: str
    outcome: str
    made_at: datetime
    deliver_by_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A message of ours at the broker.

    `place` is its place in the queue of its vhost. It arrived after `not_before` (the last marker that stood before it)
    and before `by` (when the tap read it), both by the shared clock.
    """

    vhost: str
    place: int
    message_id: str
    sha256: str
    routing_key: str
    site_id: str
    redelivered: bool
    not_before: datetime
    by: datetime


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event that the broker confirmed to the stand-in; `plant` is its site's UUID, both moments are wire text."""

    message_id: str
    correlation_id: str
    family: str
    plant: str
    created_at: str
    confirmed_at: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that the checks look at.

    `asked`: ids of commands whose commit was answered. `effects`: effects by message id. `heard`: message ids that the
    stand-in took in. `inbound`: rows of the inbox by message id. `realtime` and `meters`: (plant, wire time) of stored
    readings. `letters`: message ids in dead letters.
    """

    replay_margin: timedelta
    asked: Sequence[int] = ()
    commands: Sequence[CommandFact] = ()
    messages: Sequence[MessageFact] = ()
    arrivals: Sequence[Arrival] = ()
    told: Sequence[Told] = ()
    effects: Mapping[str, int] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()
    inbound: Counter[str] = field(default_factory=Counter)
    realtime: frozenset[tuple[str, str]] = frozenset()
    meters: frozenset[tuple[str, str]] = frozenset()
    letters: frozenset[str] = frozenset()
