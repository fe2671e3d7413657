"""What stood around a silent command: broker, connection, site, clocks, and whether it could be published. Pure.

- A connection is silent when nothing arrives on it for longer than its streams tolerate, as far as its consumers vouch
  for it (`heard_until`). Their rows are a few seconds behind, so it may be TOO_EARLY to tell.
- A site is offline when Voke says so (an alarm), or when its own telemetry stopped for longer than it tolerates while
  the connection brings other things. On a connection of one plant that is what acknowledgements and meters are for.
- Clocks: our clock at arrival minus the timestamps of what arrives, the least of all streams, because what waited in a
  queue makes the difference larger and never smaller.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.diagnosis import Check, Finding, Result
from dispatch.models import Outcome
from plants.models import LinkState, StreamHealth
from plants.selectors.link_health import SKEW_WARNING_MS, ConnectionHealth
from plants.words import age_text
from vcp.said import Numeral, Said, joined, said

TOO_EARLY = "TOO_EARLY"
TOLERATED_SKEW = timedelta(seconds=300)
"""Interpretation: Voke's replay tolerance is not public; the stand-in's default."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Whether dispatch is allowed now, by installation, connection and plant."""

    observes: bool
    switched_off: Said


def broker_finding(*, outcome: str | None, detail: str, nacked: bool) -> Finding:
    """What the broker said of the message; `outcome` None = nothing was ever attempted."""

    def told(words: Said) -> Said:
        return said("%(words)s (%(detail)s)", words=words, detail=detail) if detail else words

    match outcome:
        case Outcome.RETURNED:
            return _broker(Result.WRONG, "RETURNED", told(said("returned: no queue took it")))
        case Outcome.REFUSED:
            return _broker(Result.WRONG, "REFUSED", told(said("refused")))
        case Outcome.CONFIRMED:
            return _broker(Result.FINE, "CONFIRMED", said("confirmed, and a queue took it"))
        case _ if nacked:
            return _broker(Result.WRONG, "NACKED", told(said("the broker did not take it (nack)")))
        case None:
            return _broker(Result.OPEN, "NOT_ATTEMPTED", said("never handed to the broker"))
        case _:
            return _broker(Result.DOUBT, "NEVER_CONFIRMED", told(said("handed over and never confirmed")))


def publishing_finding(*, allowed: Allowed, health: ConnectionHealth) -> Finding:
    """Why nothing of a command was sent, as far as it can still be seen."""
    if allowed.observes:
        return _publishing(Result.WRONG, "CONNECTION_OBSERVES", said("the connection only observes"))
    if allowed.switched_off:
        return _publishing(
            Result.WRONG,
            "DISPATCH_OFF",
            said("dispatch is off for %(switched_off)s", switched_off=allowed.switched_off),
        )
    half = health.publish
    if half.state is not LinkState.CONNECTED:
        code = half.code or half.state.value
        words = half.last_error or said("no relay publishes this connection")
        return _publishing(Result.WRONG, code, joined(": ", [half.state.value, words]))
    if half.error_at is not None:
        words = said(
            "publishing works now; the last error was %(error_code)s: %(last_error)s",
            error_code=half.error_code,
            last_error=half.last_error,
        )
        return _publishing(Result.DOUBT, half.error_code, words)
    return _publishing(Result.OPEN, "WORKS_NOW", said("publishing works now and no error is known"))


def link_finding(*, health: ConnectionHealth, since: datetime, at: datetime) -> Finding:
    """Whether messages arrive on the connection, and did after `since`."""
    consume = health.consume
    if consume.state in (LinkState.DOWN, LinkState.REFUSED, LinkState.CONNECTING):
        words = consume.last_error or said("no consumer is connected")
        return _link(
            Result.WRONG, consume.code or consume.state.value, joined(": ", [consume.state.value, words])
        )
    if consume.state is LinkState.SLOW:
        return _link(
            Result.DOUBT, "SLOW", said("messages wait to be stored here: an answer may be one of them")
        )
    heard_at = last_heard(health)
    quiet_since = max(one for one in (since, consume.since, heard_at) if one is not None)
    silent_for = (consume.heard_until or since) - quiet_since
    if silent_for > _tolerance(health):
        return _link(
            Result.WRONG,
            "SILENT",
            said("connected, and nothing arrived for %(silent_for)s", silent_for=age_text(silent_for)),
        )
    if heard_at is not None and heard_at > since:
        return _link(
            Result.FINE, "HEARD", said("messages arrive, the last %(age)s ago", age=age_text(at - heard_at))
        )
    return _link(Result.OPEN, TOO_EARLY, said("nothing arrived since, and not for long enough to tell"))


def last_heard(health: ConnectionHealth) -> datetime | None:
    """When the last message arrived on a connection, of whichever stream."""
    moments = [one.last_at for one in health.streams if one.last_at is not None]
    if health.consume.last_event_at is not None:
        moments.append(health.consume.last_event_at)
    return max(moments, default=None)


def site_finding(
    *, health: ConnectionHealth, spoke_at: datetime | None, alarm: str, since: datetime, at: datetime
) -> Finding:
    """Whether the plant itself is away. `spoke_at`: its last telemetry; `alarm`: an open one that says offline."""
    if alarm:
        return _site(Result.WRONG, "OFFLINE_TOLD", said("Voke's alarm %(alarm)s is open", alarm=alarm))
    if spoke_at is None:
        return _site(Result.OPEN, "NEVER_SPOKE", said("no telemetry of this plant ever arrived"))
    others_at = last_heard(health)
    if others_at is not None and others_at - spoke_at > _tolerance(health):
        words = said("its telemetry stopped %(age)s ago, other messages go on", age=age_text(at - spoke_at))
        return _site(Result.WRONG, "TELEMETRY_STOPPED", words)
    told = said("its last telemetry came %(age)s ago", age=age_text(at - spoke_at))
    return _site(Result.FINE, "SPEAKS", told) if spoke_at > since else _site(Result.OPEN, TOO_EARLY, told)


def clock_finding(*, skews_ms: dict[str, int]) -> Finding:
    """Our clock against Voke's: by the timestamps of streams, or by a REST answer's Date."""
    if not skews_ms:
        return _clock(Result.OPEN, "NO_TIMESTAMPS", said("nothing with a timestamp arrived lately"))
    source, least = min(skews_ms.items(), key=lambda one: one[1])
    off = Numeral(f"{abs(least) / 1000:.1f}")
    words = (
        said("our clock is %(off)s s ahead (%(source)s)", off=off, source=source)
        if least > 0
        else said("our clock is %(off)s s behind (%(source)s)", off=off, source=source)
    )
    if abs(least) > TOLERATED_SKEW.total_seconds() * 1000:
        return _clock(Result.WRONG, "BEYOND_TOLERANCE", words)
    if abs(least) > SKEW_WARNING_MS:
        return _clock(Result.DOUBT, "OFF", words)
    return _clock(Result.FINE, "AGREE", words)


def skews_of(health: ConnectionHealth) -> dict[str, int]:
    """The difference of clocks by stream, in ms."""
    return {one.stream.value.lower(): one.skew_ms for one in health.streams if one.skew_ms is not None}


def _tolerance(health: ConnectionHealth) -> timedelta:
    """For how long a plant's telemetry may stay away."""
    realtime = next(one for one in health.streams if one.stream == StreamHealth.Stream.REALTIME)
    return timedelta(seconds=realtime.tolerance_s or 0.0)


def _broker(result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=Check.BROKER, result=result, code=code, saw=saw)


def _publishing(result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=Check.PUBLISHING, result=result, code=code, saw=saw)


def _link(result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=Check.LINK, result=result, code=code, saw=saw)


def _site(result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=Check.SITE, result=result, code=code, saw=saw)


def _clock(result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=Check.CLOCK, result=result, code=code, saw=saw)
