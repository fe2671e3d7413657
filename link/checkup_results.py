"""What a step of `check_connection` answers: a verdict, plain words, and the fix. Pure.

A check may run in a thread of its own: its words remember what they were made from, and the page says them in its
language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from link.checkup_words import words_of
from vcp.said import Said, said

_LONGEST = 600
NOTHING = Said()
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


STEP_NAMES: Mapping[Step, Said] = {
    Step.ADDRESS: said("address"),
    Step.HOST: said("host"),
    Step.PORT: said("port"),
    Step.TLS: said("tls"),
    Step.LOGIN: said("login"),
    Step.VHOST: said("vhost"),
    Step.QUEUES: said("queues"),
    Step.PUBLISH: said("publish"),
    Step.EVENTS: said("events"),
    Step.SIGNATURE: said("signature"),
    Step.CLOCK: said("clock"),
    Step.REST: said("rest"),
}
"""What a step is called within a sentence."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One step's answer. `code` is stable ('' when all is well), `fix` says what to do, `facts` are for programs."""

    step: Step
    verdict: Verdict
    words: Said
    code: str = ""
    fix: Said = NOTHING
    facts: Facts = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether steps that need this one can't be tried."""
        return self.verdict is Verdict.FAILED or self.code == AFTER_FAILURE


def ok(step: Step, words: str, *, facts: Facts | None = None) -> CheckResult:
    """All is well."""
    return CheckResult(step=step, verdict=Verdict.OK, words=_printable_words(words), facts=facts or {})


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
    told = (
        said("%(title)s: %(seen)s", title=Said(advice.title), seen=words)
        if words
        else said("%(title)s. %(meaning)s", title=Said(advice.title), meaning=Said(advice.meaning))
    )
    return CheckResult(
        step=step,
        verdict=verdict,
        words=_printable_words(told),
        code=code,
        fix=Said(advice.action),
        facts=facts or {},
    )


def skipped(step: Step, words: str, *, code: str) -> CheckResult:
    """Not tried."""
    return CheckResult(step=step, verdict=Verdict.SKIPPED, words=_printable_words(words), code=code)


def _printable_words(text: str) -> Said:
    words = text.with_texts(printable) if isinstance(text, Said) else Said(printable(text))
    return words if len(words) <= _LONGEST else Said(printable(words))


def printable(text: str) -> str:
    """One bounded line that can't steer a terminal: brokers and hosts put texts of their own into it."""
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else "?" for one in line)[:_LONGEST]
