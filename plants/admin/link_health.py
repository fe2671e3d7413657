"""How the health of a connection is shown: one word for the whole, both halves, the streams; always with what to do."""

from datetime import datetime, timedelta

from django.utils.html import format_html
from django.utils.safestring import SafeString

from plants.admin.looks import link_chip, plain_error
from plants.admin.marks import NOTHING, age_span, ago, chips, lines, moment, muted
from plants.advice import advice
from plants.models import Connection, LinkHealth, LinkState, StreamHealth
from plants.selectors.link_health import ConnectionHealth, HalfHealth, StreamState, judge
from plants.words import span_text

_HALVES = {LinkHealth.Role.PUBLISH: "Publishing", LinkHealth.Role.CONSUME: "Consuming"}
_STREAMS = {
    StreamHealth.Stream.REALTIME: "Realtime telemetry",
    StreamHealth.Stream.METER: "Meter readings",
    StreamHealth.Stream.STATUS: "Answers, modes, alarms",
}
_FINE = (LinkState.CONNECTED, LinkState.CONNECTING)


def health_of(row: Connection, *, has_plants: bool, at: datetime) -> ConnectionHealth:
    """A connection's health from its rows, which the list has fetched for the whole page."""
    return judge(row, said=row.health.all(), heard=row.streams.all(), has_plants=has_plants, at=at)


def whole_cell(health: ConnectionHealth, *, at: datetime) -> SafeString:
    """The connection in one word, since when, and in a few words why."""
    if not health.publish.expected and not health.consume.expected:
        return lines([muted("Retired"), *_draining(health)])
    told: list[object] = [link_chip(health.state, health.code)]
    if health.since is not None:
        told.append(muted(format_html("for {}", age_span(health.since, now=at))))
    if health.code:
        told.append(muted(advice(health.code).title))
    if health.skewed:
        told.append(muted(skew_text(health.skew_ms)))
    return lines([*told, *_draining(health)])


def _draining(health: ConnectionHealth) -> list[SafeString]:
    """Why an old connection still drains, in a few words with what is known."""
    if not health.draining:
        return []
    note = f" ({health.draining_note})" if health.draining_note else ""
    return [muted(advice(health.draining).title + note)]


def half_cell(half: HalfHealth, *, at: datetime) -> SafeString:
    """One half in the list."""
    if not half.expected:
        return muted("Not wanted")
    told: list[object] = [link_chip(half.state, half.code)]
    if half.code == "NO_PROCESS":
        if half.seen_at is not None:
            told.append(muted(format_html("last heard of {}", ago(half.seen_at, now=at))))
        return lines(told)
    if half.since is not None:
        told.append(muted(format_html("for {}", age_span(half.since, now=at))))
    if half.state is LinkState.SLOW:
        told.append(muted(waiting_text(half, at=at)))
    elif half.last_error and half.state not in _FINE:
        told.append(muted(plain_error(half.last_error)))
    return lines(told)


def whole_facts(health: ConnectionHealth, *, at: datetime) -> tuple[SafeString, SafeString]:
    """(chip, what it means and what to do) of the whole connection, for its page."""
    told: list[object] = []
    if health.since is not None:
        told.append(format_html("Since {}", moment(health.since)))
    if health.advice is not None:
        told += [
            format_html("<strong>{}</strong>", health.advice.title),
            health.advice.meaning,
            format_html("What to do: {}", health.advice.action),
        ]
    if health.skewed:
        told += [skew_text(health.skew_ms), format_html("What to do: {}", advice("CLOCK_SKEW").action)]
    if health.draining:
        words = advice(health.draining)
        told += [*_draining(health), words.meaning, format_html("What to do: {}", words.action)]
    return chips([link_chip(health.state, health.code)]), lines(told)


def half_facts(half: HalfHealth, *, at: datetime) -> tuple[str, SafeString, SafeString]:
    """(which half, chips, what was last seen and said) for the connection's page."""
    title = _HALVES[half.role]
    if not half.expected:
        return title, muted("Not wanted"), muted("The connection observes, or is retired.")
    told: list[object] = []
    if half.code == "NO_PROCESS":
        told += [advice(half.code).action, format_html("Last heard of: {}", ago(half.seen_at, now=at))]
    else:
        told.append(format_html("In this state since {}", moment(half.since)))
        if half.processes > 1:
            told.append(f"{half.processes} processes serve it")
    if half.state is LinkState.SLOW:
        told.append(waiting_text(half, at=at))
    told.append(format_html("Last delivery or confirm: {}", ago(half.last_event_at, now=at)))
    if half.last_error:
        told.append(
            format_html("Last error {}: {}", ago(half.error_at, now=at), plain_error(half.last_error))
        )
        told.append(format_html("What to do: {}", advice(half.error_code).action))
    return title, chips([link_chip(half.state, half.code)]), lines(told)


def waiting_text(half: HalfHealth, *, at: datetime) -> str:
    """`12 messages wait to be stored, the oldest for 40 s`."""
    if half.unstored_since is None:
        return "Messages wait to be stored"
    number = half.unstored_count
    words = "1 message waits" if number == 1 else f"{number} messages wait"
    return f"{words} to be stored, the oldest for {span_text(at - half.unstored_since)}"


def stream_facts(stream: StreamState, *, at: datetime) -> tuple[str, SafeString, SafeString]:
    """(which stream, when it last came, what is expected and how far clocks differ) for the connection's page."""
    told: list[object] = []
    if stream.period_s is not None:
        source = "learnt" if stream.learnt else "set or usual"
        told.append(f"Expected every {span_text(timedelta(seconds=stream.period_s))} ({source})")
    if stream.silent_since is not None:
        told.append(format_html("Silent for {}", age_span(stream.silent_since, now=at)))
    if stream.skew_ms is not None:
        told.append(skew_text(stream.skew_ms))
    last = ago(stream.last_at, now=at) if stream.last_at is not None else NOTHING
    return _STREAMS[stream.stream], last, lines(told)


def skew_text(skew_ms: int | None) -> str:
    """`Timestamps are 42.0 s behind our clock`; ahead where they come from our future."""
    span = timedelta(milliseconds=abs(skew_ms or 0))
    return f"Timestamps are {span_text(span)} {'ahead of' if (skew_ms or 0) < 0 else 'behind'} our clock"
