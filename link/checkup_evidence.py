"""What the database proves about a connection: events arrive, signatures are accepted, clocks agree.

Voke never says that a signature is wrong: it drops the message. So an answer to a signed command is the proof, and the
only one; silence is a proof of the contrary when unsigned commands of the same time are answered. Which messages were
signed with the key that is stored now is found out by verifying our own bytes with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.answered import AnsweredMessage, sent_lately
from dispatch.models import Outcome
from link.checkup_results import CheckResult, Facts, Step, Verdict, ok, problem, skipped
from link.checkup_walk import Walk
from plants.advice import english_advice
from plants.encryption import UndecryptableSecret
from plants.models import LinkState, StreamHealth
from plants.selectors.link_health import SKEW_WARNING_MS, StreamState, silence_of
from plants.words import age_text
from vcp import (
    DEFAULT_SIGNED_FAMILIES,
    InvalidSigningKey,
    KeyDecoding,
    ProtocolError,
    sign,
    verify_body,
)
from vcp.said import Numeral, Said, joined, said, told_by

SKEW_LIMIT_MS = 300_000
"""Voke's replay tolerance [inferred]: a command that is further off is dropped."""


_Stream = StreamHealth.Stream
_STREAMS: Mapping[StreamHealth.Stream, Said] = {
    _Stream.REALTIME: said("realtime"),
    _Stream.METER: said("meter"),
    _Stream.STATUS: said("status"),
}


# --- events -----------------------------------------------------------------------------------------------------------


def check_events(walk: Walk) -> CheckResult:
    """Whether events arrive, per stream, and since when not."""
    if walk.connection.retired_at is not None:
        return skipped(
            Step.EVENTS, said("the connection is retired: another one took over its plants"), code="RETIRED"
        )
    if walk.connection.succeeded_by_id is not None:
        return _drains(walk)
    if not walk.connection.plants.exists():
        return problem(Step.EVENTS, "NO_PLANTS", verdict=Verdict.UNKNOWN)
    health = walk.health()
    facts: Facts = {one.stream.value.lower(): _instant(one.last_at) for one in health.streams}
    heard = joined(", ", [_heard(one, at=walk.at) for one in health.streams])
    consume = health.consume
    if consume.state is LinkState.SLOW:
        return _slow(walk, heard=heard, facts=facts)
    if consume.state is not LinkState.CONNECTED:
        why = [consume.last_error] if consume.last_error and consume.code != "NO_PROCESS" else []
        verdict = Verdict.FAILED if consume.code else Verdict.UNKNOWN  # without a code it only connects
        code = consume.code or "TOO_EARLY"
        return problem(Step.EVENTS, code, joined("; ", [*why, heard]), verdict=verdict, facts=facts)
    silence = silence_of(health.streams, consume)
    if silence is not None:
        return _silent(walk, code=silence[1], since=silence[2], heard=heard, facts=facts)
    if all(one.last_at is None for one in health.streams):
        return problem(Step.EVENTS, "TOO_EARLY", verdict=Verdict.UNKNOWN, facts=facts)
    return ok(Step.EVENTS, heard, facts=facts)


def _slow(walk: Walk, *, heard: Said, facts: Facts) -> CheckResult:
    """Messages arrive; where they wait, at the broker too, it is for our database and not for our link."""
    consume = walk.health().consume
    since = consume.unstored_since or consume.since
    lasted = []
    if since is not None:
        age = age_text(walk.at - since)
        lasted = [said("%(count)s wait, the oldest for %(age)s", count=consume.unstored_count, age=age)]
    told: Facts = {**facts, "unstored": consume.unstored_count, "unstored_since": _instant(since)}
    return problem(Step.EVENTS, consume.code, joined("; ", [*lasted, heard]), facts=told)


def _drains(walk: Walk) -> CheckResult:
    """Whatever arrives or not is no sign of health any more: what counts is whether its queues are read to the end."""
    connection = walk.connection
    code = connection.draining_code or "DRAINING_LAST_LOOK"
    advised, note = english_advice(code), connection.draining_note
    title = Said(advised.title)
    words = said(
        "another connection took over its plants. %(title)s. %(action)s",
        title=said("%(title)s (%(note)s)", title=title, note=note) if note else title,
        action=Said(advised.action),
    )
    return skipped(Step.EVENTS, words, code=code)


def _silent(walk: Walk, *, code: str, since: datetime | None, heard: Said, facts: Facts) -> CheckResult:
    waiting = sum(walk.waiting.values())
    if waiting and code in ("NOTHING_EVER_ARRIVED", "NOTHING_ARRIVES"):
        code = "HALF_OPEN"  # Voke does deliver: the fault lies between the queue and our consumer
    lasted = [said("silent for %(age)s", age=age_text(walk.at - since))] if since is not None else []
    verdict = Verdict.WARNING if code == "METER_SILENT" else Verdict.FAILED
    return problem(
        Step.EVENTS,
        code,
        joined("; ", [*lasted, heard]),
        verdict=verdict,
        facts=facts,
    )


def _heard(stream: StreamState, *, at: datetime) -> Said:
    name = _STREAMS[stream.stream]
    if stream.last_at is None:
        return said("%(stream)s never", stream=name)
    return said("%(stream)s %(age)s ago", stream=name, age=age_text(at - stream.last_at))


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


# --- signatures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What was sent lately, by what its answer proves; `signed` only what verifies with the stored key."""

    signed_answered: int
    signed_pending: int
    signed_silent: int
    unsigned_answered: int
    other_key: int
    last_answer_at: datetime | None


def check_signature(walk: Walk) -> CheckResult:
    """Whether Voke accepts our signatures, by what it answered."""
    connection = walk.connection
    must_sign = DEFAULT_SIGNED_FAMILIES & set(connection.signed_families)
    try:
        key = str(connection.signing_key or "")
    except UndecryptableSecret as error:
        return problem(Step.SIGNATURE, "SECRET_UNREADABLE", told_by(error))
    if not key:
        if not must_sign:
            return skipped(
                Step.SIGNATURE, said("nothing is signed on this connection"), code="NOTHING_SIGNED"
            )
        return problem(Step.SIGNATURE, "SIGNING_KEY_MISSING")
    decoding = KeyDecoding(connection.key_decoding)
    try:
        sign({}, key, decoding=decoding)
    except InvalidSigningKey as error:
        return problem(Step.SIGNATURE, "SIGNING_KEY_UNUSABLE", error.words)
    sent = sent_lately(connection_id=connection.pk)
    overdue_before = walk.at - timedelta(seconds=walk.options.ack_timeout_s)
    found = _weigh(sent, key=key, decoding=decoding, overdue_before=overdue_before)
    return _verdict(found, at=walk.at)


def _weigh(
    sent: Sequence[AnsweredMessage], *, key: str, decoding: KeyDecoding, overdue_before: datetime
) -> _Evidence:
    proving = [one for one in sent if one.signed and _needs_signature(one.family)]
    mine = [one for one in proving if _verifies(one.body, key, decoding)]
    others = [one for one in sent if not _needs_signature(one.family)]
    silent = [one for one in mine if one.answered_at is None and _overdue(one, overdue_before)]
    answered = [one for one in mine if one.answered_at is not None]
    return _Evidence(
        signed_answered=len(answered),
        signed_silent=len(silent),
        signed_pending=len(mine) - len(answered) - len(silent),
        unsigned_answered=sum(one.answered_at is not None for one in others),
        other_key=len(proving) - len(mine),
        last_answer_at=max(_moments(one.answered_at for one in answered), default=None),
    )


def _needs_signature(family: str) -> bool:
    """An emergency is signed too and obeyed without: its answer proves nothing about signatures."""
    return family in DEFAULT_SIGNED_FAMILIES


def _overdue(one: AnsweredMessage, before: datetime) -> bool:
    return one.outcome == Outcome.CONFIRMED and one.outcome_at is not None and one.outcome_at < before


def _verifies(body: bytes, key: str, decoding: KeyDecoding) -> bool:
    try:
        return verify_body(body, key, decoding=decoding)
    except ProtocolError:
        return False


def _moments(moments: Iterable[datetime | None]) -> Iterable[datetime]:
    return (one for one in moments if one is not None)


def _verdict(found: _Evidence, *, at: datetime) -> CheckResult:
    facts: Facts = {
        "answered": found.signed_answered,
        "unanswered": found.signed_silent,
        "pending": found.signed_pending,
        "unsigned_answered": found.unsigned_answered,
        "signed_with_another_key": found.other_key,
    }
    if found.last_answer_at is not None:
        words = said(
            "%(signed_answered)s signed commands were answered, the last %(at)s ago; %(signed_silent)s were not",
            signed_answered=found.signed_answered,
            at=age_text(at - found.last_answer_at),
            signed_silent=found.signed_silent,
        )
        return ok(Step.SIGNATURE, words, facts=facts)
    if found.signed_silent and found.unsigned_answered:
        words = said(
            "%(signed_silent)s signed ones without an answer, %(unsigned_answered)s others with one",
            signed_silent=found.signed_silent,
            unsigned_answered=found.unsigned_answered,
        )
        return problem(Step.SIGNATURE, "SIGNATURE_NOT_ACCEPTED", words, facts=facts)
    if found.signed_silent:
        words = said(
            "%(signed_silent)s signed commands and nothing to compare them with",
            signed_silent=found.signed_silent,
        )
        return problem(Step.SIGNATURE, "NOTHING_ANSWERED", words, verdict=Verdict.WARNING, facts=facts)
    if found.signed_pending:
        return problem(Step.SIGNATURE, "ANSWER_PENDING", verdict=Verdict.UNKNOWN, facts=facts)
    return problem(Step.SIGNATURE, "NO_SIGNED_EVIDENCE", verdict=Verdict.UNKNOWN, facts=facts)


# --- clocks -----------------------------------------------------------------------------------------------------------


def check_clock(walk: Walk) -> CheckResult:
    """Our clock against the timestamps of what arrives."""
    skews = {one.stream: one.skew_ms for one in walk.health().streams if one.skew_ms is not None}
    if not skews:
        return problem(Step.CLOCK, "NO_TIMESTAMPS", verdict=Verdict.UNKNOWN)
    # The least is the nearest to the truth: what waited in a queue makes the difference larger, never smaller.
    least = min(skews.values(), key=abs)
    words = joined(
        ", ",
        [
            said("%(stream)s %(skew)s s", stream=_STREAMS[name], skew=Numeral(f"{skew / 1000:+.1f}"))
            for name, skew in skews.items()
        ],
    )
    facts: Facts = {f"{name.value.lower()}_skew_ms": skew for name, skew in skews.items()}
    if abs(least) > SKEW_LIMIT_MS:
        return problem(Step.CLOCK, "CLOCK_BEYOND_TOLERANCE", words, facts=facts)
    if abs(least) > SKEW_WARNING_MS:
        return problem(Step.CLOCK, "CLOCK_SKEW", words, verdict=Verdict.WARNING, facts=facts)
    return ok(Step.CLOCK, said("our clock minus Voke's: %(words)s", words=words), facts=facts)
