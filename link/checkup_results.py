"""What a step of `check_connection` answers: a verdict, plain words, and the fix. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from link.checkup_words import words_of

_LONGEST = 600
AFTER_FAILURE = "AFTER_FAILURE"
Fact = str | int | float | bool | None
Facts = Mapping[str, Fact | Mapping[str, Fact]]


class Step(StrEnum):
    """The steps in their order."""

    ADDRESS = "address"
    HOST = "host"
    PORT = "port"
    TLS = "tls"
    LOGIN = "login"
    VHOST = "vhost"
    QUEUES = "queues"
    PUBLISH = "publish"
    EVENTS = "events"
    SIGNATURE = "signature"
    CLOCK = "clock"
    REST = "rest"


class Verdict(StrEnum):
    """OK; WARNING: works, and somebody should look; UNKNOWN: no evidence yet; SKIPPED: not tried, the words say why."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One step's answer. `code` is stable ('' when all is well), `fix` says what to do, `facts` are for programs."""

    step: Step
    verdict: Verdict
    words: str
    code: str = ""
    fix: str = ""
    facts: Facts = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether steps that need this one can't be tried."""
        return self.verdict is Verdict.FAILED or self.code == AFTER_FAILURE


def ok(step: Step, words: str, *, facts: Facts | None = None) -> CheckResult:
    """All is well."""
    return CheckResult(step=step, verdict=Verdict.OK, words=printable(words), facts=facts or {})


def problem(
    step: Step,
    code: str,
    words: str = "",
    *,
    verdict: Verdict = Verdict.FAILED,
    facts: Facts | None = None,
) -> CheckResult:
    """Something is wrong (or unknown); `words` are what was seen, the table adds what it means and the fix."""
    advice = words_of(code)
    told = f"{advice.title}: {words}" if words else f"{advice.title}. {advice.meaning}"
    return CheckResult(
        step=step, verdict=verdict, words=printable(told), code=code, fix=advice.action, facts=facts or {}
    )


def skipped(step: Step, words: str, *, code: str) -> CheckResult:
    """Not tried."""
    return CheckResult(step=step, verdict=Verdict.SKIPPED, words=printable(words), code=code)


def printable(text: str) -> str:
    """One bounded line that can't steer a terminal: brokers and hosts put texts of their own into it."""
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else "?" for one in line)[:_LONGEST]
