"""Why a command met silence, as a card: what speaks for the cause first, what was ruled out smaller, then what to do.

How sure it is, is the number of independent proofs, not a percentage: the checks that found something, Voke's own log,
and the measurement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.commands.life import Life
from dispatch.diagnosis import Check, Confidence, NextStep, Result
from dispatch.diagnosis_words import Words, cause_words, confidence_word, evidence_lines, step_words
from dispatch.models import Diagnosis, DiagnosisStage, Proof
from dispatch.states import State
from dispatch.words import measured_text, state_word

_KNOWN: Final = "KNOWN"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One check. `tone`: ok, fail, doubt for what speaks for the cause; ok or wait for the others."""

    tone: str
    icon: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """The diagnosis of one silence; without a `cause` it is still looked for.

    `forbids`: its next step is to leave it alone, which a page that warns of sending it again has said already.
    """

    silence: str
    cause: Words | None
    confidence: str
    certainty: str
    decisive: Sequence[Evidence]
    others: Sequence[Evidence]
    step: Words | None
    forbids: bool
    stage: str
    ended: str
    asks_log: bool

    @property
    def sure(self) -> str:
        """How many independent proofs there are, and how sure that makes it."""
        count = len(self.decisive)
        if self.certainty == Confidence.OPEN or not count:
            return ""
        told = ngettext("%(count)s proof", "%(count)s independent proofs", count) % {"count": count}
        return f"{told}, {self.confidence}"

    @property
    def passed(self) -> int:
        """How many of the others found nothing."""
        return sum(one.tone == "ok" for one in self.others)

    @property
    def unknown(self) -> int:
        """How many of the others could not be told."""
        return len(self.others) - self.passed


def card_of(life: Life) -> Card | None:
    """The card of a command's silence; None = there was none."""
    row = life.diagnosis
    if row is None:
        return None
    found = list(_evidence(row))
    decisive = [*_measured(life), *(one for one, counts in found if counts)]
    return Card(
        silence=_(row.get_silence_display()),
        cause=cause_words(row.cause) if row.cause else None,
        certainty=row.confidence,
        confidence=confidence_word(row.confidence) if row.confidence else "",
        decisive=decisive,
        others=[one for one, counts in found if not counts],
        step=step_words(row.next_step) if row.next_step else None,
        forbids=row.next_step == NextStep.TRUST_MEASUREMENT,
        stage="" if row.stage == DiagnosisStage.DONE else str(DiagnosisStage(row.stage).label),
        ended=_ended(row),
        asks_log=row.stage == DiagnosisStage.LOG,
    )


def _evidence(row: Diagnosis) -> Iterator[tuple[Evidence, bool]]:
    """Each check, and whether it speaks for the cause."""
    for stored, (name, result, saw) in zip(row.evidence, evidence_lines(row.evidence), strict=True):
        if "." not in saw.partition(" ")[0]:  # not the name of a family
            saw = f"{saw[:1].upper()}{saw[1:]}"
        if stored["check"] == Check.LOG and stored["code"] == _KNOWN:
            word = str(stored.get("word") or "")
            title = _("Voke has it: %(word)s") % {"word": state_word(word)} if word else _("Voke has it")
            yield Evidence(tone="ok", icon="check", title=title, text=saw), True
        elif stored["result"] == Result.WRONG:
            yield Evidence(tone="fail", icon="octagon-alert", title=name, text=saw), True
        elif stored["result"] == Result.DOUBT:
            yield Evidence(tone="doubt", icon="triangle-alert", title=name, text=saw), True
        elif stored["result"] == Result.FINE:
            yield Evidence(tone="ok", icon="check", title=name, text=saw), False
        else:
            title = f"{name}: {result}" if result else name
            yield Evidence(tone="wait", icon="circle-dashed", title=title, text=saw), False


def _measured(life: Life) -> Iterator[Evidence]:
    proof = life.proof
    if proof is None or proof.verdict not in (Proof.VERIFIED, Proof.OFF_TARGET):
        return
    verified = proof.verdict == Proof.VERIFIED
    yield Evidence(
        tone="ok" if verified else "doubt",
        icon="badge-check" if verified else "eye-off",
        title=_("The plant does what was asked") if verified else _("The plant does not do what was asked"),
        text=measured_text(proof),
    )


def _ended(row: Diagnosis) -> str:
    if row.ended_at is None:
        return ""
    if row.ended_by == State.SENT:
        return _("The broker took it after all; the silence is over.")
    return _("Voke spoke after all: %(word)s. The silence is over.") % {"word": state_word(row.ended_by)}
