"""What became of a command, in plain words first: its state, its proof and its diagnosis weighed into one sentence.

Accepted is not done, done is not proven: a sentence never says more than the states and the measurement do. Where
sending again could do the thing twice, that is said.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from console.commands.details import detail_lines, result_text
from console.commands.life import Life
from console.commands.timeline import awaited
from console.commands.words import dated_text, is_overdue, missed_text, precise_text
from console.words import look_of
from dispatch.diagnosis import NextStep
from dispatch.models import Proof
from dispatch.states import BEFORE_SENT, State
from dispatch.words import cause_text, measured_text
from plants.advice import advice
from plants.models import LinkState

_SAFE_STEPS: Final = frozenset({NextStep.ASK_ANEW, NextStep.ALLOW_DISPATCH, NextStep.ASK_VOKE_BINDINGS})
_SENDS_SOON: Final = frozenset({LinkState.CONNECTED, LinkState.CONNECTING, LinkState.SILENT, LinkState.SLOW})
_MAY_HOLD: Final = frozenset(
    {State.SENT, State.ACCEPTED, State.PARTIAL, State.QUEUED_BY_VOKE, State.EXECUTING}
)


@dataclass(frozen=True, kw_only=True)
class Says:
    """A verdict: its headline, what stands behind it, how it is drawn, and whether a resend could double it.

    `mark` changes with the words, so that a page can tell that they did.
    """

    title: str
    text: str
    family: str
    icon: str
    do_not_resend: bool = False

    @property
    def mark(self) -> str:
        """A short digest of what is said."""
        return hashlib.sha256(f"{self.title}\n{self.text}".encode()).hexdigest()[:12]


def verdict_of(life: Life) -> Says:
    """The sentence over a command's page."""
    said = _OF[life.state](life)
    # A card shows the figures among its proofs.
    figures = "" if life.diagnosis is not None else _measured(life)
    text = " ".join(part for part in (said.text, figures) if part)
    return Says(
        title=said.title,
        text=text,
        family=said.family,
        icon=said.icon,
        do_not_resend=could_double(life),
    )


def could_double(life: Life) -> bool:
    """Whether the command may be at Voke although nobody knows: sent again it could be carried out twice."""
    diagnosis = life.diagnosis
    if diagnosis is not None and diagnosis.ended_at is None and diagnosis.next_step in _SAFE_STEPS:
        return False
    if life.state is State.UNCONFIRMED or is_overdue(life.command):
        return True
    return life.state in _MAY_HOLD or (life.state in BEFORE_SENT and life.attempted)


def _says(life: Life, title: str, text: str = "", *, family: str = "", icon: str = "") -> Says:
    look = look_of(life.state)
    return Says(title=title, text=text, family=family or look.family, icon=icon or look.icon)


def _measured(life: Life) -> str:
    proof = life.proof
    if proof is None or proof.verdict in (Proof.PENDING, Proof.NOT_IN_FORCE):
        return ""
    if proof.verdict == Proof.NO_DATA:
        return _("There is too little telemetry to judge it by.")
    told = measured_text(proof)
    return f"{told}." if told else ""


def _verdict(life: Life) -> str:
    return "" if life.proof is None else life.proof.verdict


def _due(life: Life) -> str:
    """When Voke's answer is due, or was."""
    moment: datetime | None = awaited(life)[1]
    if moment is None:
        return ""
    told = (
        _("Voke's answer was due at %(due)s.") if moment <= life.at else _("Voke's answer is due at %(due)s.")
    )
    return told % {"due": precise_text(moment, life.zone)[:-4]}


# --- by state ---------------------------------------------------------------------------------------------------------


def _scheduled(life: Life) -> Says:
    due = dated_text(life.command.due_at, life.zone, at=life.at)
    return _says(life, _("Waits for %(due)s") % {"due": due}, _("Nothing of it was built or sent yet."))


def _queued(life: Life) -> Says:
    if life.attempted:
        return _says(
            life, _("On its way to the broker"), _("It was handed over; the broker has not confirmed it yet.")
        )
    link, signed = life.publishing, life.sent is not None and life.sent.signed
    if link is not None and link.state not in _SENDS_SOON:
        reason = advice(link.code).title if link.code else _("The link is down")
        return _says(
            life,
            _("Signed, and waits for the connection") if signed else _("Made, and waits for the connection"),
            _("It stands in the outbox and can't leave: %(reason)s.") % {"reason": reason},
            family="doubt",
            icon="unplug",
        )
    title = _("Signed, and waits to be sent") if signed else _("Made, and waits to be sent")
    return _says(life, title, _("It stands in the outbox; the relay sends it next."))


def _sent(life: Life) -> Says:
    text = f"{_('The broker confirmed it and a queue at Voke took it.')} {_due(life)}".rstrip()
    return _says(life, _("Sent, Voke has not answered yet"), text)


def _accepted(life: Life) -> Says:
    if is_overdue(life.command):
        return _overdue(life)
    if _verdict(life) == Proof.VERIFIED:
        title = _("Accepted, and the measurement shows that it is done")
        return _says(life, title, family="ok", icon="badge-check")
    if _verdict(life) == Proof.OFF_TARGET:
        return _missed(life, _("Accepted, but the plant does not follow"))
    return _says(life, _("Accepted, not carried out yet"), _("Voke took it. Accepted is not done."))


def _partial(life: Life) -> Says:
    ack = life.ack
    told = "" if ack is None else result_text(ack.detail.get("results"))
    return _says(life, _("Accepted for some of its devices only"), told)


def _by_voke(life: Life) -> Says:
    return _says(
        life,
        _("Voke keeps it until the site is back"),
        _("It takes effect when the site is reachable again."),
    )


def _executing(life: Life) -> Says:
    if is_overdue(life.command):
        return _overdue(life)
    if _verdict(life) == Proof.VERIFIED:
        return _says(life, _("It runs, and the measurement confirms it"), family="ok", icon="badge-check")
    if _verdict(life) == Proof.OFF_TARGET:
        return _missed(life, _("The site carries it out, off its target"))
    return _says(life, _("The site is carrying it out"), _("The report of its end has not come yet."))


def _overdue(life: Life) -> Says:
    title, text = _("Accepted, and no report of its execution"), _("The report is overdue.")
    if _verdict(life) == Proof.VERIFIED:
        title = _("No report of its execution, but the measurement shows that it is done")
    return _says(life, title, text, family="doubt", icon="clock-alert")


def _completed(life: Life) -> Says:
    match _verdict(life):
        case Proof.VERIFIED:
            return _says(life, _("Done, and proven by measurement"), family="ok", icon="badge-check")
        case Proof.OFF_TARGET:
            return _missed(life, _("Reported done, but the measurement disagrees"))
        case Proof.NO_DATA:
            return _says(
                life, _("Reported done, not proven by measurement"), family="doubt", icon="circle-dashed"
            )
        case Proof.PENDING:
            return _says(life, _("Reported done, not measured yet"), _("The site says that it is done."))
        case _:
            return _says(
                life,
                _("The site reports that it is done"),
                _("Voke told us so; a command of this kind is not measured."),
            )


def _missed(life: Life, title: str) -> Says:
    proof = life.proof
    text = "" if proof is None else f"{missed_text(proof)}."
    return _says(life, title, text[:1].upper() + text[1:], family="doubt", icon="eye-off")


def _deviated(life: Life) -> Says:
    event = life.execution
    told = next(detail_lines({} if event is None else event.detail), "")
    return _says(life, _("The site misses its target"), told)


def _rejected(life: Life) -> Says:
    return _refused_with(life, _("Voke rejected it"), life.ack.detail if life.ack else {})


def _failed(life: Life) -> Says:
    return _refused_with(
        life, _("The site reports a failure"), life.execution.detail if life.execution else {}
    )


def _refused_with(life: Life, title: str, detail: Mapping[str, object]) -> Says:
    told = " ".join(detail_lines({name: value for name, value in detail.items() if name != "results"}))
    cause = cause_text(life.command.cause) if life.command.cause else ""
    known = f"{cause}." if cause and cause != title else ""
    return _says(life, title, " ".join(part for part in (known, told) if part))


def _returned(life: Life) -> Says:
    return _says(life, _("No queue at Voke took it"), _("The broker returned it, so Voke never saw it."))


def _refused(life: Life) -> Says:
    return _says(life, _("The broker refused it"), _("Voke never saw it."))


def _cancelled(life: Life) -> Says:
    if life.command.cause == "CANCELLED":
        return _says(life, _("Taken back before anything was sent"), _("Voke never heard of it."))
    why = f"{cause_text(life.command.cause)}." if life.command.cause else ""
    return _says(life, _("Not sent"), why)


def _superseded(life: Life) -> Says:
    winner = next((event.detail.get("winner") for event in life.events if event.detail.get("winner")), None)
    text = f"{cause_text(life.command.cause)}." if life.command.cause else ""
    if winner is not None:
        by_number = isinstance(winner, int)
        told = _("Command #%(winner)s took its place.") if by_number else _("In its place: %(winner)s.")
        text = " ".join([text, told % {"winner": winner}]).strip()
    return _says(life, _("Pre-empted before anything was sent"), text)


def _expired(life: Life) -> Says:
    return _says(life, _("Its time passed: it was never sent"), _("Voke never heard of it."))


def _unconfirmed(life: Life) -> Says:
    diagnosis = life.diagnosis
    known = diagnosis is not None and diagnosis.cause == "KNOWN_TO_VOKE"
    if _verdict(life) == Proof.VERIFIED:
        return _says(
            life,
            _("It worked, but Voke's answer never reached us"),
            _("The plant does what was asked; only the word about it is missing."),
            icon="ear-off",
        )
    if known:
        return _says(
            life,
            _("Voke has it, but its answer never reached us"),
            _("Voke's own log lists the command. Whether the plant follows, the measurement tells."),
            icon="ear-off",
        )
    match life.command.cause:
        case "ACK_OVERDUE":
            return _says(
                life,
                _("Voke did not answer"),
                _("It was sent and routed. Whether Voke acts on it is not known."),
            )
        case "TAKEN_BACK":
            return _says(
                life,
                _("Taken back while it was on its way"),
                _("Whether it arrived only Voke can say; what undoes it was sent after it."),
            )
        case _:
            return _says(
                life,
                _("It may have reached Voke"),
                _("It was handed to the broker, which never confirmed it."),
            )


_OF: Final[Mapping[State, Callable[[Life], Says]]] = {
    State.SCHEDULED: _scheduled,
    State.QUEUED: _queued,
    State.SENT: _sent,
    State.ACCEPTED: _accepted,
    State.QUEUED_BY_VOKE: _by_voke,
    State.PARTIAL: _partial,
    State.EXECUTING: _executing,
    State.COMPLETED: _completed,
    State.DEVIATED: _deviated,
    State.REJECTED: _rejected,
    State.FAILED: _failed,
    State.RETURNED: _returned,
    State.REFUSED: _refused,
    State.CANCELLED: _cancelled,
    State.SUPERSEDED: _superseded,
    State.EXPIRED: _expired,
    State.UNCONFIRMED: _unconfirmed,
}
