"""How a connection does, summed up from what its processes and streams last said; few queries for any number of rows.

- A half of the link is as well as the best of its processes that reported within `TRUSTED_FOR`; none = DOWN with the
  code NO_PROCESS. One exception: a broker that blocks publishers tells only those who publish, so BLOCKED outweighs the
  CONNECTED of an idle relay.
- A connection is as bad as the worst half that it should have: one that observes has no publishing half, one that is
  retired has none at all.
- SILENT is judged here, because only time passing brings it about: its consumer is connected, it has plants, and for
  longer than the tolerance of the expected period nothing came. Never having heard anything counts too. The time that
  counts is the one up to which every consumer says that it knows what arrived (`heard_until`): the row of one that
  can't write, or is busy with a batch, says nothing about Voke.
- SLOW means our database, never Voke: a consumer holds messages and could not store them within `STORED_WITHIN`, or its
  statements ended in their time limit. It outweighs the CONNECTED of another process, which may hold nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from plants.advice import Advice, advice
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState, Plant, StreamHealth

# A running process writes its health every 5 s; after this long nobody vouches for the state any more.
TRUSTED_FOR = timedelta(seconds=30)
DEFAULT_PERIOD_S: Mapping[str, float] = {
    StreamHealth.Stream.REALTIME.value: 10.0,
    StreamHealth.Stream.METER.value: 60.0,
}
# Usually it is a part of a second; less than the least tolerance of a stream (8 s).
STORED_WITHIN = timedelta(seconds=5)
PERIODS_TOLERATED = 3
JITTER_S = 5.0
SKEW_WARNING_MS = 30_000
"""Voke drops commands whose timestamp is 300 s off; somebody should look long before."""

CONNECTIONS_WATCHED = 1000
CONNECTIONS_SHOWN = 50
_BEST_FIRST = (
    LinkState.BLOCKED,
    LinkState.SLOW,
    LinkState.CONNECTED,
    LinkState.CONNECTING,
    LinkState.REFUSED,
    LinkState.DOWN,
)
_WORST_FIRST = (
    LinkState.REFUSED,
    LinkState.DOWN,
    LinkState.SLOW,
    LinkState.BLOCKED,
    LinkState.CONNECTING,
    LinkState.SILENT,
    LinkState.CONNECTED,
)
_JUDGED_BY = (
    "organisation_id",
    "name",
    "vhost",
    "mode",
    "dispatch_enabled",
    "created_at",
    "realtime_period_s",
    "meter_period_s",
    "succeeded_by_id",
    "retired_at",
    "draining_code",
    "draining_note",
)


@dataclass(frozen=True, kw_only=True)
class HalfHealth:
    """One half of a link. `expected` False: there should be none, so its state is nobody's business.

    `since`: since when in this state; `processes`: how many vouch for it now; `code` of the present state, '' = fine.
    `heard_until`: every consumer in this state knows what arrived until then. `unstored_since`, `unstored_count`: since
    when consumers hold the oldest message that is not stored, and how many they hold.
    """

    role: LinkHealth.Role
    expected: bool
    state: LinkState
    code: str
    since: datetime | None
    seen_at: datetime | None
    last_event_at: datetime | None
    error_code: str
    last_error: str
    error_at: datetime | None
    processes: int
    heard_until: datetime | None
    unstored_since: datetime | None
    unstored_count: int


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """One stream. `period_s`: expected between two messages (None: comes when something happens), `learnt` or set.

    `silent_since` None = not silent. `skew_ms` > 0: our clock is ahead, or the messages were under way for long.
    """

    stream: StreamHealth.Stream
    last_at: datetime | None
    last_sent_at: datetime | None
    period_s: float | None
    learnt: bool
    tolerance_s: float | None
    silent_since: datetime | None
    skew_ms: int | None

    @property
    def skewed(self) -> bool:
        """Whether timestamps are so far off that a person should look."""
        return self.skew_ms is not None and abs(self.skew_ms) > SKEW_WARNING_MS


@dataclass(frozen=True, kw_only=True)
class ConnectionHealth:
    """A connection as a whole: `state` of the worst part that it should have, its `code`, and since when.

    `draining`: why a connection that was taken over still drains, or what it left unread when it retired; '' = nothing.
    """

    connection_id: int
    state: LinkState
    code: str
    since: datetime | None
    publish: HalfHealth
    consume: HalfHealth
    streams: tuple[StreamState, ...]
    draining: str
    draining_note: str

    @property
    def advice(self) -> Advice | None:
        """What the state means and what to do; None when all is well."""
        return advice(self.code) if self.code else None

    @property
    def skew_ms(self) -> int | None:
        """The largest difference of clocks among the streams."""
        known = [one.skew_ms for one in self.streams if one.skew_ms is not None]
        return max(known, key=abs) if known else None

    @property
    def skewed(self) -> bool:
        """Whether any stream's timestamps are too far off."""
        return any(one.skewed for one in self.streams)


def watched_connections() -> "QuerySet[Connection]":
    """Every connection that is not retired, with what its health is judged by and without its secrets; bounded."""
    rows = Connection.objects.filter(retired_at__isnull=True).only(*_JUDGED_BY)
    return rows.order_by("pk")[:CONNECTIONS_WATCHED]


def connections_of(*, organisation_id: int, limit: int = CONNECTIONS_SHOWN) -> "QuerySet[Connection]":
    """As `watched_connections`, of one organisation; no more than a page shows, or than `limit` says."""
    rows = Connection.objects.filter(organisation_id=organisation_id, retired_at__isnull=True)
    return rows.only(*_JUDGED_BY).order_by("pk")[:limit]


def connection_health(*, connections: Iterable[Connection], at: datetime) -> dict[int, ConnectionHealth]:
    """{connection id: its health} in three queries (the connections' own not counted)."""
    rows = list(connections)
    ids = [row.pk for row in rows]
    said: dict[int, list[LinkHealth]] = {}
    for one in LinkHealth.objects.filter(connection_id__in=ids):
        said.setdefault(one.connection_id, []).append(one)
    heard: dict[int, list[StreamHealth]] = {}
    for stream in StreamHealth.objects.filter(connection_id__in=ids):
        heard.setdefault(stream.connection_id, []).append(stream)
    # Whether there is one, looked up by index: not a look at each of ten thousand plants.
    of_it = Plant.objects.filter(connection_id=OuterRef("pk")).order_by()
    speaking = set(
        Connection.objects.filter(Exists(of_it), pk__in=ids).order_by().values_list("pk", flat=True)
    )
    return {
        row.pk: judge(
            row,
            said=said.get(row.pk, ()),
            heard=heard.get(row.pk, ()),
            has_plants=row.pk in speaking,
            at=at,
        )
        for row in rows
    }


def judge(
    connection: Connection,
    *,
    said: Iterable[LinkHealth],
    heard: Iterable[StreamHealth],
    has_plants: bool,
    at: datetime,
) -> ConnectionHealth:
    """The health of one connection from its rows; no query."""
    rows = list(said)
    publish = _half(connection, LinkHealth.Role.PUBLISH, rows, at=at)
    consume = _half(connection, LinkHealth.Role.CONSUME, rows, at=at)
    listening = consume.since if consume.expected and consume.state is LinkState.CONNECTED else None
    span = None
    if has_plants and listening is not None:
        span = (listening, min(at, consume.heard_until or at))
    streams = _streams(connection, list(heard), span=span)
    parts = [(half.state, half.code, half.since) for half in (publish, consume) if half.expected]
    silence = silence_of(streams, consume)
    if silence is not None:
        parts.append(silence)
    state, code, since = min(
        parts,
        key=lambda part: _WORST_FIRST.index(part[0]),
        default=(LinkState.DOWN, "", connection.retired_at),
    )
    return ConnectionHealth(
        connection_id=connection.pk,
        state=state,
        code=code,
        since=since,
        publish=publish,
        consume=consume,
        streams=streams,
        draining=connection.draining_code,
        draining_note=connection.draining_note,
    )


# --- halves -----------------------------------------------------------------------------------------------------------


def _half(
    connection: Connection, role: LinkHealth.Role, said: Sequence[LinkHealth], *, at: datetime
) -> HalfHealth:
    rows = [row for row in said if row.role == role]
    fresh = [row for row in rows if at - row.seen_at <= TRUSTED_FOR]
    expected = connection.retired_at is None and (
        role == LinkHealth.Role.CONSUME or connection.mode == ConnectionMode.ACTIVE
    )
    failed = max((row for row in rows if row.error_at), key=lambda row: row.error_at or at, default=None)
    state, code, since = _state_of(fresh, rows)
    return HalfHealth(
        role=role,
        expected=expected,
        state=state,
        code=code,
        since=since,
        seen_at=max((row.seen_at for row in rows), default=None),
        last_event_at=max((row.last_event_at for row in rows if row.last_event_at), default=None),
        error_code=failed.error_code if failed else "",
        last_error=failed.last_error if failed else "",
        error_at=failed.error_at if failed else None,
        processes=len(fresh),
        heard_until=min(
            (row.heard_until or row.seen_at for row in fresh if row.state == state), default=None
        ),
        unstored_since=min((row.unstored_since for row in fresh if row.unstored_since), default=None),
        unstored_count=sum(row.unstored_count for row in fresh),
    )


def _state_of(
    fresh: Sequence[LinkHealth], rows: Sequence[LinkHealth]
) -> tuple[LinkState, str, datetime | None]:
    if not fresh:
        return LinkState.DOWN, "NO_PROCESS", max((row.seen_at for row in rows), default=None)
    states = [state_said(row) for row in fresh]
    state = min(states, key=_BEST_FIRST.index)
    same = sorted(
        (row for row, one in zip(fresh, states, strict=True) if one is state), key=lambda row: row.since
    )
    if state in (LinkState.CONNECTED, LinkState.CONNECTING):
        return state, "", same[0].since
    if state is LinkState.SLOW:
        return state, "STORING_SLOWLY", min(row.unstored_since or row.since for row in same)
    code = next((row.error_code for row in same if row.error_code), "LINK_DOWN")
    return state, code, same[0].since


def state_said(row: LinkHealth) -> LinkState:
    """The state that a process wrote down; SLOW for one that is connected and holds a message for too long."""
    state = LinkState(row.state)
    is_up = state in (LinkState.CONNECTED, LinkState.SLOW)
    return LinkState.SLOW if is_up and stores_slowly(row.unstored_since, at=row.seen_at) else state


def stores_slowly(unstored_since: datetime | None, *, at: datetime) -> bool:
    """Whether a message that arrived then and is not stored at `at` says that the database is slow."""
    return unstored_since is not None and at - unstored_since > STORED_WITHIN


# --- streams ----------------------------------------------------------------------------------------------------------


def _streams(
    connection: Connection, heard: Sequence[StreamHealth], *, span: tuple[datetime, datetime] | None
) -> tuple[StreamState, ...]:
    """Every stream in the order of the table.

    `span`: from when to when we know what reached us, None = messages would not reach us now.
    """
    rows = {row.stream: row for row in heard}
    return tuple(
        _stream(connection, stream, rows.get(stream.value), span=span) for stream in StreamHealth.Stream
    )


def _stream(
    connection: Connection,
    stream: StreamHealth.Stream,
    row: StreamHealth | None,
    *,
    span: tuple[datetime, datetime] | None,
) -> StreamState:
    period_s, learnt = expected_period_s(connection, stream, row.period_s if row else None)
    tolerance_s = None if period_s is None else tolerance_of(period_s)
    last_at = row.last_at if row else None
    silent_since = None
    # Meters only once they have spoken: a plant may have none.
    counts = stream == StreamHealth.Stream.REALTIME or last_at is not None
    if counts and tolerance_s is not None and span is not None:
        listening, until = span
        waiting_since = listening if last_at is None else max(listening, last_at)
        if until - waiting_since > timedelta(seconds=tolerance_s):
            silent_since = last_at or listening
    return StreamState(
        stream=stream,
        last_at=last_at,
        last_sent_at=row.last_sent_at if row else None,
        period_s=period_s,
        learnt=learnt,
        tolerance_s=tolerance_s,
        silent_since=silent_since,
        skew_ms=row.skew_ms if row else None,
    )


def expected_period_s(
    connection: Connection, stream: StreamHealth.Stream, learnt_s: float | None
) -> tuple[float | None, bool]:
    """(seconds between two messages, whether learnt): as set, else as learnt, else the default; None for events."""
    default_s = DEFAULT_PERIOD_S.get(stream.value)
    if default_s is None:
        return None, False
    is_realtime = stream == StreamHealth.Stream.REALTIME
    set_s = connection.realtime_period_s if is_realtime else connection.meter_period_s
    if set_s:
        return set_s, False
    return (learnt_s, True) if learnt_s else (default_s, False)


def tolerance_of(period_s: float) -> float:
    """How many seconds may pass without a message before the stream counts as silent."""
    return PERIODS_TOLERATED * period_s + JITTER_S


def silence_of(
    streams: Sequence[StreamState], consume: HalfHealth
) -> tuple[LinkState, str, datetime | None] | None:
    """(SILENT, its code, since when) as the streams tell it, whatever else is wrong; None when nothing is overdue."""
    quiet = [one for one in streams if one.silent_since is not None]
    if not quiet:
        return None
    since = min(one.silent_since for one in quiet if one.silent_since is not None)
    if all(one.last_at is None for one in streams) and consume.last_event_at is None:
        return LinkState.SILENT, "NOTHING_EVER_ARRIVED", since
    if quiet[0].stream == StreamHealth.Stream.METER:
        return LinkState.SILENT, "METER_SILENT", quiet[0].silent_since
    since = quiet[0].silent_since or since
    others = [one.last_at for one in streams[1:] if one.last_at is not None and one.silent_since is None]
    if any(other > since for other in others) or _deliveries_go_on(consume, quiet[0], since=since):
        return LinkState.SILENT, "REALTIME_SILENT", since
    return LinkState.SILENT, "NOTHING_ARRIVES", since


def _deliveries_go_on(consume: HalfHealth, stream: StreamState, *, since: datetime) -> bool:
    """Whether the broker still delivers what counts for no stream, because it can't be read."""
    last_at, seen_at = consume.last_event_at, consume.seen_at
    if last_at is None or seen_at is None or last_at <= since:
        return False
    return seen_at - last_at <= timedelta(seconds=stream.tolerance_s or 0.0)
