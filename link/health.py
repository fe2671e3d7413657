"""What a worker tells of its link, and what its consumer learns of the streams; all of it cheap.

State goes to the database at once when it changes, else every few seconds; streams every few seconds. A database that
is away is not this module's business: what could not be written is written next time, and no attempt lasts for long,
because the thread that makes it also keeps the link alive.
"""

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median_low
from typing import Protocol

import structlog
from django.db import DatabaseError, InterfaceError

from link.broker import Clock
from link.parsing import Parsed
from plants.bounded import bounded_statements
from plants.models import LinkHealth, LinkState, StreamHealth
from plants.selectors.link_health import tolerance_of
from plants.services.link_health import Holding, StreamNote, note_link, note_streams
from plants.services.readings import FUTURE_MARGIN
from vcp import MeterTelemetry, RealtimeValues

log = structlog.get_logger(__name__)
HEALTH_EVERY = timedelta(seconds=5)
DATABASE_TROUBLE = (DatabaseError, InterfaceError)
WRITE_WITHIN_MS = 2000

_MOST_SITES = 2000
_GAPS_KEPT = 20
_GAPS_NEEDED = 8
_SKEWS_KEPT = 31
_SHORTEST_PERIOD_S, _LONGEST_PERIOD_S = 1.0, 900.0


class Held(Protocol):
    """What a consumer adds to its health (`link.arrivals`)."""

    def held(self) -> Holding:
        """What it holds."""

    def slow(self, *, at: datetime) -> bool:
        """Whether it holds it for too long."""

    def write(self, *, at: datetime) -> bool:
        """Write down what was heard; False when the database did not take it."""


class Health:
    """Writes a link's state into the database: at once when it changes, else every few seconds."""

    def __init__(
        self,
        *,
        connection_id: int,
        role: LinkHealth.Role,
        clock: Clock,
        holder: str = "",
        held: Held | None = None,
    ) -> None:
        self._connection_id = connection_id
        self._role = role
        self._clock = clock
        self._holder = holder
        self._held = held
        self._said: tuple[LinkState, str, str] | None = None
        self._was_slow = False
        self._written_at: datetime | None = None
        self._event_at: datetime | None = None
        self._muted = False

    def event(self) -> None:
        """A delivery or a confirm arrived."""
        self._event_at = self._clock()

    def starting(self) -> None:
        """Before the first attempt. Later ones leave the state, so that `since` tells for how long a link is down."""
        if self._said is None:
            self.tell(LinkState.CONNECTING)

    def renew(self) -> None:
        """Say again what was said last, so that it does not pass for the word of a process that is gone."""
        if self._said is not None:
            state, error, code = self._said
            self.tell(state, error, code=code)

    def mute(self) -> None:
        """Say nothing any more: another worker speaks for this link now."""
        self._muted = True

    def tell(self, state: LinkState, error: str = "", *, code: str = "") -> None:
        """Note the state, with the error and its code when there is one."""
        at = self._clock()
        said, slow = (state, error, code), self._held is not None and self._held.slow(at=at)
        is_old = said == self._said and slow == self._was_slow
        if self._muted or (is_old and _is_fresh(self._written_at, at=at)):
            return
        self._said, self._was_slow = said, slow
        self._written_at = at if self._write(state, error, code, at=at) else None

    def _write(self, state: LinkState, error: str, code: str, *, at: datetime) -> bool:
        """What was heard goes first: to vouch for a silence one must have told of every sound."""
        holding = None if self._held is None else self._held.held()
        if self._held is not None and not self._held.write(at=at):
            return False
        try:
            with bounded_statements(timeout_ms=WRITE_WITHIN_MS):
                note_link(
                    connection_id=self._connection_id,
                    role=self._role,
                    holder=self._holder,
                    state=state,
                    at=at,
                    error=error,
                    error_code=code,
                    event_at=self._event_at,
                    holding=holding,
                )
        except DATABASE_TROUBLE as trouble:
            log.warning("health not written", action="link.health", error=type(trouble).__name__)
            return False
        return True


class _Site:
    """What is known of one plant in one stream: its newest moment, when it was heard, recent gaps."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self._heard_at: datetime | None = None
        self.gaps_s: deque[float] = deque(maxlen=_GAPS_KEPT)

    def hear(self, moment: datetime, *, at: datetime) -> None:
        """One message. The moments make the gaps: messages that waited in a queue arrive all at once."""
        self._heard_at = at
        if moment > self._moment:
            self.gaps_s.append((moment - self._moment).total_seconds())
            self._moment = moment

    def speaks(self, at: datetime) -> bool:
        """Whether its next message may still come in time."""
        if self._heard_at is None or not self.gaps_s:
            return False
        usual_s = median_low(self.gaps_s)
        return (at - self._heard_at).total_seconds() <= tolerance_of(usual_s)


class _Stream:
    """What is known of one stream: newest moments, gaps between a plant's messages, differences of clocks."""

    def __init__(self) -> None:
        self.last_at: datetime | None = None
        self.last_sent_at: datetime | None = None
        self._sites: dict[str, _Site] = {}
        self._skews_ms: deque[int] = deque(maxlen=_SKEWS_KEPT)

    def hear(self, batch: Iterable[Parsed], *, at: datetime) -> None:
        freshest: timedelta | None = None
        for one in batch:
            sent_at = one.sent_at
            # A timestamp of the far future would be the newest for ever.
            if sent_at <= at + FUTURE_MARGIN and (self.last_sent_at is None or sent_at > self.last_sent_at):
                self.last_sent_at = sent_at
            # One that the broker gave before has waited for us: it says nothing about clocks.
            if not one.delivery.redelivered and (freshest is None or at - sent_at < freshest):
                freshest = at - sent_at
            site = self._site(one.site_id, one.moment)
            if site is not None:
                site.hear(one.moment, at=at)
        self.last_at = at
        if freshest is not None:
            self._skews_ms.append(_bounded_ms(freshest))

    def _site(self, site_id: str, moment: datetime) -> _Site | None:
        site = self._sites.get(site_id)
        if site is None and len(self._sites) < _MOST_SITES:
            site = self._sites[site_id] = _Site(moment)
        return site

    @property
    def period_s(self) -> float | None:
        """The lower quartile of recent gaps of the plants that still spoke when the stream was last heard.

        Not the median: with several consumers each sees only a part of a plant's messages, and its gaps are multiples.
        Each plant counts alike, and one that is away no more: a fast one must not make slow ones look silent.
        """
        at = self.last_at
        gaps_s = sorted(
            gap_s
            for site in self._sites.values()
            if at is not None and site.speaks(at)
            for gap_s in site.gaps_s
        )
        if len(gaps_s) < _GAPS_NEEDED:
            return None
        gap_s = gaps_s[len(gaps_s) // 4]
        return min(max(gap_s, _SHORTEST_PERIOD_S), _LONGEST_PERIOD_S)

    @property
    def skew_ms(self) -> int | None:
        """The median of what the freshest message of each recent batch was off; one that waited does not count."""
        return median_low(self._skews_ms) if self._skews_ms else None


class Streams:
    """Learns from what a consumer hears, and writes it down every few seconds; one thread may hear, another write."""

    def __init__(self, *, connection_id: int) -> None:
        self._connection_id = connection_id
        self._lock = threading.Lock()
        self._known: dict[StreamHealth.Stream, _Stream] = {}
        self._changed: set[StreamHealth.Stream] = set()
        self._written_at: datetime | None = None

    def period_s(self, stream: StreamHealth.Stream) -> float | None:
        """Seconds between two messages of a plant, as learnt by this consumer; None = not yet."""
        with self._lock:
            known = self._known.get(stream)
            return known.period_s if known else None

    def hear(self, understood: Iterable[Parsed], *, at: datetime) -> None:
        """A batch arrived at `at`."""
        sorted_out: dict[StreamHealth.Stream, list[Parsed]] = {}
        for one in understood:
            sorted_out.setdefault(_stream_of(one), []).append(one)
        with self._lock:
            for stream, batch in sorted_out.items():
                self._known.setdefault(stream, _Stream()).hear(batch, at=at)
                self._changed.add(stream)

    def write(self, *, at: datetime, hurry: bool = False) -> bool:
        """Write down what has changed, unless that was done a moment ago and there is no `hurry`.

        False when the database did not take it.
        """
        if not self._changed or (not hurry and _is_fresh(self._written_at, at=at)):
            return True
        with self._lock:
            changed, self._changed = self._changed, set()
            notes = self._notes(changed)
        try:
            with bounded_statements(timeout_ms=WRITE_WITHIN_MS):
                note_streams(connection_id=self._connection_id, notes=notes)
        except DATABASE_TROUBLE as trouble:
            log.warning("streams not written", action="link.streams", error=type(trouble).__name__)
            with self._lock:
                self._changed |= changed
            return False
        self._written_at = at
        return True

    def _notes(self, changed: set[StreamHealth.Stream]) -> list[StreamNote]:
        return [
            StreamNote(
                stream=stream,
                last_at=known.last_at,
                last_sent_at=known.last_sent_at or known.last_at,
                period_s=None if stream == StreamHealth.Stream.STATUS else known.period_s,
                skew_ms=known.skew_ms,
            )
            for stream, known in sorted(self._known.items())
            if stream in changed and known.last_at is not None
        ]


def _is_fresh(written_at: datetime | None, *, at: datetime) -> bool:
    """Whether that was a moment ago; a moment of the future is one from before the clock was put right."""
    return written_at is not None and timedelta(0) <= at - written_at < HEALTH_EVERY


def _stream_of(one: Parsed) -> StreamHealth.Stream:
    if isinstance(one.payload, RealtimeValues):
        return StreamHealth.Stream.REALTIME
    if isinstance(one.payload, MeterTelemetry):
        return StreamHealth.Stream.METER
    return StreamHealth.Stream.STATUS


def _bounded_ms(span: timedelta) -> int:
    """Milliseconds within what the column holds: a timestamp of the year 9999 is a skew too."""
    return max(-(2**31) + 1, min(2**31 - 1, int(span.total_seconds() * 1000)))
