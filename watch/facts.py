"""What the dead-man rules look at: plain numbers and instants, gathered by `watch.selectors`. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class About:
    """A connection that something is said about."""

    connection_id: int
    name: str


@dataclass(frozen=True, kw_only=True)
class LinkFact(About):
    """State (`plants.models.LinkState`), code and words of a link, since when; clock skew in ms, None = not known."""

    state: str
    code: str
    title: str
    action: str
    since: datetime | None
    skew_ms: int | None


@dataclass(frozen=True, kw_only=True)
class AckFact(About):
    """Commands that the broker confirmed, by whether Voke said anything about them.

    `unanswered`: of the window, with their time for an answer over; `answered`: of the window. The instants are of the
    whole look-back.
    """

    unanswered: int
    answered: int
    last_unanswered_at: datetime | None
    last_answered_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LetterFact(About):
    """Dead letters that came, or came again, within the window; `mostly`: what more than half of them are, if so."""

    count: int
    mostly: str = ""


@dataclass(frozen=True, kw_only=True)
class OutboxFact(About):
    """What should have been published: since when the oldest waits, and how many."""

    oldest_at: datetime
    count: int


@dataclass(frozen=True, kw_only=True)
class SilentMeter:
    """A plant that reported meters before."""

    plant_id: int
    name: str
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class MeterFact(About):
    """`known` plants of the connection have ever reported meters; `silent` ones have stopped, a handful are named."""

    known: int
    silent_count: int
    silent: tuple[SilentMeter, ...]


@dataclass(frozen=True, kw_only=True)
class PullFact:
    """An organisation that Voke could pull; `usual_gap`: mean pause between its last list pulls, None = too few."""

    organisation_id: int
    name: str
    issued_at: datetime
    last_pull_at: datetime | None
    usual_gap: timedelta | None


@dataclass(frozen=True, kw_only=True)
class TickFact:
    """A tick, its period, since when it should run and when it last did its work."""

    name: str
    period_s: float
    since: datetime
    finished_at: datetime | None
    ok: bool
    error_code: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that one evaluation looks at."""

    links: tuple[LinkFact, ...] = ()
    acks: tuple[AckFact, ...] = ()
    letters: tuple[LetterFact, ...] = ()
    outboxes: tuple[OutboxFact, ...] = ()
    meters: tuple[MeterFact, ...] = ()
    pulls: tuple[PullFact, ...] = ()
    ticks: tuple[TickFact, ...] = ()
