"""Why a command met silence: from findings to a cause, a next step and how sure that is. Pure.

Each check looks at one thing and tells a finding: FINE (it is not that), WRONG (it may well be that), DOUBT (odd), or
OPEN (not to be told). `conclude` weighs them, local evidence first, Voke's own command log last:

- What was never attempted, or came back from the broker, needs no further reason.
- Stored bytes that do not verify, a signature that must be there and is not, an envelope that breaks the protocol: Voke
  drops these without a word, so they explain the silence fully.
- A clock off by more than Voke tolerates has the same effect; then a connection on which nothing is heard, then a site
  that is away.
- Voke's log decides between what is only likely. A command that it lists arrived: whatever stood against its bytes or
  clock is not the cause then, and its answer was lost on the way back, or waits for the site.

Interpretation: the shape of Voke's command log is not public. What it tells of a command names a cause and never moves
the command: a command's state changes by the words that come over AMQP only, so a late ACK still finds it where it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from vcp.said import Said, unpacked


class Silence(StrEnum):
    """What there is to explain."""

    NO_ACK = "NO_ACK"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    RETURNED = "RETURNED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    NO_EXECUTION = "NO_EXECUTION"


class Cause(StrEnum):
    """What explains the silence; `dispatch.diagnosis_words` has the words."""

    BYTES_WRONG = "BYTES_WRONG"
    SIGNATURE_MISSING = "SIGNATURE_MISSING"
    ENVELOPE_INVALID = "ENVELOPE_INVALID"
    RETURNED = "RETURNED"
    REFUSED = "REFUSED"
    NOT_PUBLISHED = "NOT_PUBLISHED"
    LINK_SILENT = "LINK_SILENT"
    SITE_OFFLINE = "SITE_OFFLINE"
    CLOCK_SKEW = "CLOCK_SKEW"
    KNOWN_TO_VOKE = "KNOWN_TO_VOKE"
    UNKNOWN_TO_VOKE = "UNKNOWN_TO_VOKE"
    UNDECIDED = "UNDECIDED"


class NextStep(StrEnum):
    """What a person should do."""

    REPORT_DEFECT = "REPORT_DEFECT"
    CHECK_KEY = "CHECK_KEY"
    SIGN_FAMILY = "SIGN_FAMILY"
    ASK_VOKE_BINDINGS = "ASK_VOKE_BINDINGS"
    CHECK_RIGHTS = "CHECK_RIGHTS"
    ALLOW_DISPATCH = "ALLOW_DISPATCH"
    CHECK_LINK = "CHECK_LINK"
    ASK_VOKE_EVENTS = "ASK_VOKE_EVENTS"
    CALL_SITE = "CALL_SITE"
    SET_CLOCK = "SET_CLOCK"
    TRUST_MEASUREMENT = "TRUST_MEASUREMENT"
    READ_REJECTION = "READ_REJECTION"
    ASK_ANEW = "ASK_ANEW"
    ASK_VOKE = "ASK_VOKE"


class Confidence(StrEnum):
    """How sure a conclusion is."""

    CERTAIN = "CERTAIN"
    LIKELY = "LIKELY"
    OPEN = "OPEN"


class Check(StrEnum):
    """What is looked at, in the order of looking."""

    PUBLISHING = "PUBLISHING"
    BROKER = "BROKER"
    BYTES = "BYTES"
    SIGNATURE = "SIGNATURE"
    ENVELOPE = "ENVELOPE"
    CLOCK = "CLOCK"
    LINK = "LINK"
    SITE = "SITE"
    LOG = "LOG"


class Result(StrEnum):
    """What a check came to."""

    FINE = "FINE"
    WRONG = "WRONG"
    DOUBT = "DOUBT"
    OPEN = "OPEN"


NOTHING = Said()
_LONGEST = 300


def _bounded(saw: Said) -> Said:
    """What brokers and hosts put into it may be long: such a sentence is kept as its beginning."""
    return saw if len(saw) <= _LONGEST else Said(saw[:_LONGEST])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check: its result, a stable code of what it met, and what it saw, in plain words and without secrets.

    `word`: what Voke's log says of what is silent (the verdict, or the execution); '' everywhere else.
    """

    check: Check
    result: Result
    code: str
    saw: Said = NOTHING
    word: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a row keeps it: `saw` in English, `said` for pages, which say it in their language."""
        saw = _bounded(self.saw)
        told = {
            "check": self.check.value,
            "result": self.result.value,
            "code": self.code,
            "saw": str(saw),
            "said": saw.packed() if saw else "",
            "word": self.word,
        }
        return {name: value for name, value in told.items() if value}


Findings = Mapping[Check, Finding]


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """The cause and what to do; `asks_log`: Voke's command log may know better."""

    cause: Cause
    next_step: NextStep
    confidence: Confidence
    asks_log: bool = False


def findings_of(rows: Sequence[Mapping[str, Any]]) -> dict[Check, Finding]:
    """The findings that a row keeps."""
    found = [
        Finding(
            check=Check(row["check"]),
            result=Result(row["result"]),
            code=str(row["code"]),
            saw=unpacked(row["said"]) if "said" in row else Said(row.get("saw", "")),
            word=str(row.get("word", "")),
        )
        for row in rows
    ]
    return {one.check: one for one in found}


def rows_of(findings: Findings) -> list[dict[str, str]]:
    """Findings as a row keeps them, in the order of the checks."""
    return [findings[check].to_json() for check in Check if check in findings]


# --- weighing ---------------------------------------------------------------------------------------------------------

# What Voke's log calls a verdict, or an execution; anything else there means only that Voke has it.
JUDGED = frozenset({"ACCEPTED", "PARTIAL", "REJECTED", "EXECUTING", "COMPLETED", "DEVIATED", "FAILED"})
KNOWN, UNKNOWN = "KNOWN", "UNKNOWN"


def conclude(silence: Silence, findings: Findings) -> Conclusion:
    """The best explanation of what was found."""
    log = findings.get(Check.LOG)
    if silence is Silence.EXPIRED:
        return _never_sent(findings)
    if (broker := _by_broker(findings)) is not None:
        return broker
    if log is not None and log.code == KNOWN:
        return _known(log, findings)
    decided = _nacked(findings) or _dropped_by_voke(findings) or _not_heard(findings)
    lists_not = log is not None and log.code == UNKNOWN
    if decided is not None:
        return _settled(decided) if lists_not else decided
    return _unknown(findings) if lists_not else _undecided(log)


def _never_sent(findings: Findings) -> Conclusion:
    if (nacked := _nacked(findings)) is not None:
        return replace(nacked, asks_log=False)
    why = findings.get(Check.PUBLISHING)
    switched_off = why is not None and why.code in ("CONNECTION_OBSERVES", "DISPATCH_OFF")
    return Conclusion(
        cause=Cause.NOT_PUBLISHED,
        next_step=NextStep.ALLOW_DISPATCH if switched_off else NextStep.CHECK_LINK,
        confidence=Confidence.CERTAIN if _is_wrong(findings, Check.PUBLISHING) else Confidence.LIKELY,
    )


def _by_broker(findings: Findings) -> Conclusion | None:
    match findings.get(Check.BROKER):
        case Finding(code="RETURNED"):
            cause, step = Cause.RETURNED, NextStep.ASK_VOKE_BINDINGS
        case Finding(code="REFUSED"):
            cause, step = Cause.REFUSED, NextStep.CHECK_RIGHTS
        case _:
            return None
    return Conclusion(cause=cause, next_step=step, confidence=Confidence.CERTAIN)


def _nacked(findings: Findings) -> Conclusion | None:
    """The broker said that it did not take it; of several attempts one may have arrived all the same."""
    broker = findings.get(Check.BROKER)
    if broker is None or broker.code != "NACKED":
        return None
    return Conclusion(
        cause=Cause.REFUSED, next_step=NextStep.ASK_VOKE, confidence=Confidence.LIKELY, asks_log=True
    )


def _dropped_by_voke(findings: Findings) -> Conclusion | None:
    """What makes Voke drop a message without a word."""
    for check, cause, step in (
        (Check.BYTES, Cause.BYTES_WRONG, NextStep.REPORT_DEFECT),
        (Check.SIGNATURE, Cause.SIGNATURE_MISSING, NextStep.SIGN_FAMILY),
        (Check.ENVELOPE, Cause.ENVELOPE_INVALID, NextStep.REPORT_DEFECT),
    ):
        if not _is_wrong(findings, check):
            continue
        # Only these two may be explained by a setting of ours that was changed since.
        if findings[check].code in ("SIGNATURE_DIFFERS", "ABSENT_BY_SETTING"):
            step = NextStep.CHECK_KEY if check is Check.BYTES else step
            return Conclusion(cause=cause, next_step=step, confidence=Confidence.LIKELY, asks_log=True)
        return Conclusion(cause=cause, next_step=step, confidence=Confidence.CERTAIN)
    if _is_wrong(findings, Check.CLOCK):
        return Conclusion(
            cause=Cause.CLOCK_SKEW,
            next_step=NextStep.SET_CLOCK,
            confidence=Confidence.LIKELY,
            asks_log=True,
        )
    return None


def _not_heard(findings: Findings) -> Conclusion | None:
    """What keeps an answer from being said, or from reaching us."""
    link = findings.get(Check.LINK)
    if link is not None and link.result is Result.WRONG:
        step = NextStep.ASK_VOKE_EVENTS if link.code == "SILENT" else NextStep.CHECK_LINK
        return Conclusion(
            cause=Cause.LINK_SILENT, next_step=step, confidence=Confidence.LIKELY, asks_log=True
        )
    if _is_wrong(findings, Check.SITE):
        return Conclusion(
            cause=Cause.SITE_OFFLINE,
            next_step=NextStep.CALL_SITE,
            confidence=Confidence.LIKELY,
            asks_log=True,
        )
    return None


def _settled(decided: Conclusion) -> Conclusion:
    """Voke's log does not list it, so what makes Voke drop it is sure; of the others the log says nothing."""
    drops = decided.cause not in (Cause.LINK_SILENT, Cause.SITE_OFFLINE)
    confidence = Confidence.CERTAIN if drops else decided.confidence
    return replace(decided, confidence=confidence, asks_log=False)


def _known(log: Finding, findings: Findings) -> Conclusion:
    not_heard = _not_heard(findings)
    if not_heard is not None and (not_heard.cause is Cause.LINK_SILENT or log.word not in JUDGED):
        return replace(not_heard, confidence=Confidence.CERTAIN, asks_log=False)
    step = NextStep.READ_REJECTION if log.word in ("REJECTED", "FAILED") else NextStep.TRUST_MEASUREMENT
    return Conclusion(cause=Cause.KNOWN_TO_VOKE, next_step=step, confidence=Confidence.CERTAIN)


def _unknown(findings: Findings) -> Conclusion:
    """The log was read and it is not there: it never got that far, or Voke dropped it."""
    clock = findings.get(Check.CLOCK)
    if clock is not None and clock.result is Result.DOUBT:
        return Conclusion(cause=Cause.CLOCK_SKEW, next_step=NextStep.SET_CLOCK, confidence=Confidence.LIKELY)
    broker, signature = findings.get(Check.BROKER), findings.get(Check.SIGNATURE)
    if broker is not None and broker.code == "NEVER_CONFIRMED":
        step = NextStep.ASK_ANEW
    elif signature is not None and signature.code == "SIGNED":
        step = NextStep.CHECK_KEY
    else:
        step = NextStep.ASK_VOKE
    return Conclusion(cause=Cause.UNKNOWN_TO_VOKE, next_step=step, confidence=Confidence.LIKELY)


def _undecided(log: Finding | None) -> Conclusion:
    return Conclusion(
        cause=Cause.UNDECIDED,
        next_step=NextStep.ASK_VOKE,
        confidence=Confidence.OPEN,
        asks_log=log is None or log.result is Result.OPEN,
    )


def _is_wrong(findings: Findings, check: Check) -> bool:
    found = findings.get(check)
    return found is not None and found.result is Result.WRONG
