"""When readings are too far apart, how much is missing then, and what the evidence says about why. Pure.

- A stream is expected to speak every period; silence of up to 3 periods and 5 s is tolerated. Readings of any data
  quality are readings: that a value is missing is told by the quality, not by the ledger.
- A realtime sample speaks for 1.5 periods at most (`metering.rules`), a meter reading for its moment: the rest of a
  hole is missing.
- A gap ends with the first reading that was measured when messages came again (less the tolerance). What was measured
  before and came then or later is late: it fills the gap from inside, and the gap stays to tell so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from metering.models import Gap, Stream
from metering.rules import HOLD_PERIODS
from plants.models import LinkState
from plants.words import span_text

PERIODS_TOLERATED = 3
JITTER_S = 5.0
_UP = (LinkState.CONNECTED, LinkState.SILENT)


def tolerance_s(period_s: float) -> float:
    """The longest silence of a stream that is no gap."""
    return PERIODS_TOLERATED * period_s + JITTER_S


def spoken_for_s(stream: str, period_s: float) -> float:
    """For how long the reading before a hole speaks."""
    return HOLD_PERIODS * period_s if stream == Stream.REALTIME else 0.0


def uncovered_s(seconds: float, *, stream: str, period_s: float) -> float:
    """What is missing between two readings that lie `seconds` apart."""
    return seconds - spoken_for_s(stream, period_s) if seconds > tolerance_s(period_s) else 0.0


def holes_in(moments: Sequence[datetime], *, period_s: float) -> list[tuple[datetime, datetime]]:
    """(from, to) of consecutive moments that are too far apart."""
    longest = timedelta(seconds=tolerance_s(period_s))
    return [(one, two) for one, two in pairwise(moments) if two - one > longest]


def missing_in(moments: Sequence[datetime], *, stream: str, period_s: float) -> float:
    """Seconds that are missing between the first and the last moment."""
    return sum(
        uncovered_s((two - one).total_seconds(), stream=stream, period_s=period_s)
        for one, two in pairwise(moments)
    )


def end_of(
    readings: Sequence[tuple[datetime, datetime]], *, from_at: datetime, period_s: float
) -> datetime | None:
    """Where a gap ends that begins at `from_at`, None = it is still open; `readings`: (measured, received) after it."""
    after = [(moment, received) for moment, received in readings if moment > from_at]
    if not after:
        return None
    came_again = min(received for _, received in after) - timedelta(seconds=tolerance_s(period_s))
    return min((moment for moment, _ in after if moment >= came_again), default=None)


# --- why --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A consumer of the connection said so from then to then."""

    state: str
    from_at: datetime
    until_at: datetime


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a hole's time.

    `journal_from`: since when the journal tells of this connection, None = it tells nothing. `others`: of how many
    other plants was asked whether they were heard; `heard`: whether any was.
    """

    from_at: datetime
    to_at: datetime
    journal_from: datetime | None
    stretches: Sequence[Stretch]
    others: int
    heard: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The cause, and the evidence in plain words."""

    cause: Gap.Cause
    detail: str


def link_verdict(evidence: Evidence) -> Verdict | None:
    """The cause if it lies at our side or on the way: for at least half of the time; None = the link was up."""
    if evidence.journal_from is None or evidence.journal_from > evidence.from_at:
        return Verdict(cause=Gap.Cause.UNKNOWN, detail="The journal of the link does not reach back so far.")
    total = evidence.to_at - evidence.from_at
    alive = _covered(evidence, lambda _state: True)
    stopped = total - alive
    up = _covered(evidence, lambda state: state in _UP)
    arriving = _covered(evidence, lambda state: state in (*_UP, LinkState.SLOW))
    down = alive - arriving
    of_all = f"of {span_text(total)}"
    if 2 * (stopped + down) >= total:
        if stopped >= down:
            words = f"No consumer of ours ran for {span_text(stopped)} {of_all}."
            return Verdict(cause=Gap.Cause.PLATFORM_STOPPED, detail=words)
        words = f"Our link to Voke was {_worst(evidence)} for {span_text(down)} {of_all}."
        return Verdict(cause=Gap.Cause.LINK_DOWN, detail=words)
    if 2 * (arriving - up) >= total:
        words = f"Messages arrived and our database did not store them in time for {span_text(arriving - up)} {of_all}."
        return Verdict(cause=Gap.Cause.UNKNOWN, detail=words)
    return None


def verdict(evidence: Evidence) -> Verdict:
    """Why readings are missing."""
    found = link_verdict(evidence)
    if found is not None:
        return found
    if evidence.heard:
        words = "The link was up and other plants were heard, this one was not."
        return Verdict(cause=Gap.Cause.PLANT_OFFLINE, detail=words)
    if not evidence.others:
        words = "The link was up and nothing came; no other plant of the connection tells whether Voke sent anything."
    else:
        words = f"The link was up and nothing came, for none of {evidence.others} other plants either."
    return Verdict(cause=Gap.Cause.NOTHING_ARRIVED, detail=words)


def _covered(evidence: Evidence, counts: Callable[[str], bool]) -> timedelta:
    """How much of the hole's time stretches of these states cover, each moment once."""
    pieces = sorted(
        (max(one.from_at, evidence.from_at), min(one.until_at, evidence.to_at))
        for one in evidence.stretches
        if counts(one.state)
    )
    covered, reached = timedelta(0), evidence.from_at
    for low, high in pieces:
        if high > reached:
            covered += high - max(low, reached)
            reached = high
    return covered


def _worst(evidence: Evidence) -> str:
    """The state, of those that bring nothing, in which the link was for longest."""
    states = {one.state for one in evidence.stretches} - {*_UP, LinkState.SLOW}
    return max(sorted(states), key=lambda state: _covered(evidence, lambda one: one == state), default="DOWN")
