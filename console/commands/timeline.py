"""A command's life as a list: what happened in the order in which we learnt it, the silences, and what is awaited.

A late word of Voke stands where it arrived and says when it was said. What made the message and handed it over are
taken from the outbox, the verdict from its proof: they have no events of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from console.commands.details import detail_lines
from console.commands.life import Life
from console.commands.words import dated_text, lasted, precise_text
from console.words import Look, look_of
from dispatch.models import CommandEvent, OutboundMessage, Proof
from dispatch.services.life import NOTE
from dispatch.states import State, Verdict
from dispatch.words import cause_text, hint_text, measured_text, proof_word, state_word
from plants.words import age_text

LATE_AFTER: Final = timedelta(seconds=5)
"""A word of Voke that took longer to reach us is marked: when it was said and when it came tell different stories."""
_SILENCES: Final = ("ACK_OVERDUE", "NEVER_CONFIRMED", "EXECUTION_OVERDUE")
_REQUESTED: Final = "REQUESTED"
_FIRST, _MADE, _HANDED, _OF_EVENT, _JUDGED = range(5)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line. `kind`: '', gap (a silence), overdue (what ended one), late, ahead (awaited).

    `raw`: what the viewer shows of it, '' = nothing. `rank` orders what happened at the same instant.
    """

    at: datetime | None
    offset: str
    icon: str
    family: str
    title: str
    by: str = ""
    lines: Sequence[str] = ()
    marks: Sequence[str] = ()
    kind: str = ""
    raw: str = ""
    raw_word: str = ""
    rank: int = _OF_EVENT


def timeline_of(life: Life) -> list[Entry]:
    """From the request to the proof, then what is awaited."""
    entries = sorted(_all(life), key=lambda entry: (entry.at or life.at, entry.rank))
    return [*_with_silences(life, entries), *_ahead(life)]


def _all(life: Life) -> Iterator[Entry]:
    made = {message.made_at for message in life.messages}
    for event in life.events:
        if event.cause != "DUE" or event.at not in made:  # else its message tells the same
            yield _entry(life, event)
    for message in life.messages:
        yield from _of_message(life, message)
    yield from _of_proof(life)


def _offset(life: Life, at: datetime) -> str:
    span = at - life.command.requested_at
    sign = "\N{MINUS SIGN}" if span < timedelta() else "+"
    return f"{sign} {lasted(span)}"


# --- what happened ----------------------------------------------------------------------------------------------------


def _entry(life: Life, event: CommandEvent) -> Entry:
    is_note = event.verdict == NOTE or event.word not in State.__members__
    late = event.told_at is not None and event.at - event.told_at > LATE_AFTER
    look = _look(event, is_note=is_note)
    raw, word = _raw(event)
    overdue = event.cause in _SILENCES
    return Entry(
        at=event.at,
        offset=_offset(life, event.at) if event.cause != _REQUESTED else precise_text(event.at, life.zone),
        icon=look.icon,
        family=look.family,
        title=_title(event, is_note=is_note),
        by="" if event.cause == _REQUESTED else _by(event.actor),
        lines=tuple(_lines(life, event, is_note=is_note)),
        marks=tuple(_marks(life, event, late=late)),
        kind="overdue" if overdue else "late" if late or event.verdict == Verdict.STALE else "",
        raw=raw,
        raw_word=word,
        rank=_FIRST if event.cause == _REQUESTED else _OF_EVENT,
    )


_PERSON = Look(family="ok", icon="user", word="")
_OVERDUE = Look(family="doubt", icon="clock-alert", word="")
_SEARCH = Look(family="move", icon="search", word="")
_NOTED = Look(family="wait", icon="pencil", word="")
_DONE = Look(family="ok", icon="check", word="")


def _look(event: CommandEvent, *, is_note: bool) -> Look:
    if event.cause == _REQUESTED:
        return _PERSON
    if event.cause in _SILENCES:
        return _OVERDUE
    if event.word in ("DIAGNOSED", "CHECKED_AGAIN"):
        return _SEARCH
    if is_note:
        return _NOTED
    return _DONE if event.word in (State.SENT, State.ACCEPTED) else look_of(event.word)


def _raw(event: CommandEvent) -> tuple[str, str]:
    if event.inbound_id is not None:
        return f"in-{event.inbound_id}", _("Message")
    if event.outbound_id is not None and event.cause in ("CONFIRMED", "BROKER_RETURNED", "BROKER_REFUSED"):
        return f"out-{event.outbound_id}", _("Delivery")
    return "", ""


def _by(actor: str) -> str:
    return {"": "", "relay": _("the relay")}.get(actor, actor)


def _title(event: CommandEvent, *, is_note: bool) -> str:
    if event.cause == _REQUESTED:
        return _("Requested")
    if event.word == "DIAGNOSED":
        return _("Diagnosed: %(cause)s") % {"cause": cause_text(event.cause)}
    if event.cause == "CONFIRMED":
        return _("Broker confirmed")
    if event.cause == "ACK_OVERDUE":
        return _("ACK overdue")
    if event.word == "CHECKED_AGAIN":
        return _("Checked again")
    return cause_text(event.cause) if is_note and event.cause else state_word(event.word)


def _lines(life: Life, event: CommandEvent, *, is_note: bool) -> Iterator[str]:
    command = life.command
    if event.cause == _REQUESTED:
        who = command.requested_by_name or _("This platform")
        yield _("%(who)s, automatically") % {"who": who} if command.automatic else who
        if command.reason:
            yield _("Reason: %(reason)s") % {"reason": command.reason}
        return
    if event.cause == "CONFIRMED":
        yield _("Routed to a queue, nothing returned.")
    elif event.cause == "ACK_OVERDUE":
        yield _("State set to Unconfirmed: our presumption. Nothing is sent again.")
    elif event.cause and not is_note:
        yield f"{cause_text(event.cause)}."
    yield from detail_lines(event.detail)


def _marks(life: Life, event: CommandEvent, *, late: bool) -> Iterator[str]:
    if event.verdict == Verdict.STALE:
        yield _("Too late to matter: it changed nothing")
    elif event.verdict == Verdict.DUPLICATE:
        yield _("Said before: it changed nothing")
    if late and event.told_at is not None:
        words = {"said": precise_text(event.told_at, life.zone), "span": lasted(event.at - event.told_at)}
        yield _("Late: said at %(said)s, arrived %(span)s after") % words


def _of_message(life: Life, message: OutboundMessage) -> Iterator[Entry]:
    yield Entry(
        at=message.made_at,
        offset=_offset(life, message.made_at),
        icon="signature" if message.signed else _NOTED.icon,
        family="ok",
        title=_("Signed and stored") if message.signed else _("Made and stored, unsigned"),
        lines=(_("%(family)s, outbox row %(row)s") % {"family": message.family, "row": message.pk},),
        raw=f"out-{message.pk}",
        raw_word=_("Message"),
        rank=_MADE,
    )
    if message.attempted_at is None:
        return
    lines = [message.routing_key]
    if message.attempts > 1:
        lines.append(_("%(count)s attempts, the same bytes each time") % {"count": message.attempts})
    yield Entry(
        at=message.attempted_at,
        offset=_offset(life, message.attempted_at),
        icon="send",
        family="ok",
        title=_("Handed to the broker"),
        by=_("the relay"),
        lines=lines,
        rank=_HANDED,
    )


def _of_proof(life: Life) -> Iterator[Entry]:
    proof = life.proof
    if proof is None or proof.judged_at is None or proof.verdict in (Proof.PENDING, Proof.NOT_IN_FORCE):
        return
    verified = proof.verdict == Proof.VERIFIED
    lines = [text for text in (measured_text(proof), hint_text(proof.hint)) if text]
    if proof.first_verdict:
        before = proof_word(proof.first_verdict).lower()
        lines.append(_("Before late measurements came it was: %(before)s.") % {"before": before})
    yield Entry(
        at=proof.judged_at,
        offset=_offset(life, proof.judged_at),
        icon=look_of(proof.verdict).icon,
        family=look_of(proof.verdict).family,
        title=_("Verified by measurement")
        if verified
        else _("Measured: %(verdict)s") % {"verdict": proof_word(proof.verdict).lower()},
        lines=lines,
        rank=_JUDGED,
    )


# --- what did not -----------------------------------------------------------------------------------------------------


def _with_silences(life: Life, entries: Sequence[Entry]) -> Iterator[Entry]:
    """Before what says that something is overdue: how long nothing had been heard."""
    heard_at = life.command.requested_at
    for entry in entries:
        if entry.kind == "overdue" and entry.at is not None:
            yield _silence(entry.at - heard_at, entry)
        yield entry
        heard_at = entry.at or heard_at


def _silence(span: timedelta, before: Entry) -> Entry:
    return Entry(
        at=before.at,
        offset=lasted(span),
        icon="ellipsis",
        family="doubt",
        title=_("Silence for %(span)s") % {"span": lasted(span)},
        kind="gap",
    )


def _ahead(life: Life) -> Iterator[Entry]:
    """What is waited for, and until when."""
    text, due_at = awaited(life)
    if text:
        yield _awaited(life, text, due_at)
    timed = life.timed
    if timed is not None and timed.ended_at is None and timed.stop_id is None:
        yield _awaited(life, _("Its stop is made, signed and sent"), timed.retry_at or timed.stop_at)
    proof = life.proof
    if proof is not None and proof.verdict == Proof.PENDING and not life.command.is_final:
        yield _awaited(life, _("The measurement is judged"), proof.due_at)


def _awaited(life: Life, text: str, due_at: datetime | None) -> Entry:
    lines = []
    if due_at is not None:
        passed = due_at <= life.at
        gap = age_text(life.at - due_at if passed else due_at - life.at)
        words = {"due": _precise_due(life, due_at), "gap": gap}
        lines.append((_("%(due)s, %(gap)s ago") if passed else _("%(due)s, in %(gap)s")) % words)
    return Entry(at=due_at, offset="", icon="hourglass", family="wait", title=text, lines=lines, kind="ahead")


def _precise_due(life: Life, due_at: datetime) -> str:
    """To the second; with its day where that is not today's."""
    seconds = precise_text(due_at, life.zone)[:-4]
    return dated_text(due_at, life.zone, at=life.at)[: -len("00:00")] + seconds


def awaited(life: Life) -> tuple[str, datetime | None]:
    """What comes next and when it is due; ('', None) when nothing does."""
    command = life.command
    match life.state:
        case State.SCHEDULED:
            return _("Will be built, signed and sent when it is due"), command.due_at
        case State.QUEUED:
            if command.deliver_by_at is None:
                return _("Waits for the relay; is sent until it is delivered or withdrawn"), None
            return _due_or_past(
                life,
                command.deliver_by_at,
                _("Waits for the relay; must be sent by"),
                _("Waits for the relay; had to be sent by"),
            )
        case State.SENT:
            return _due_or_past(
                life, command.ack_due_at, _("Voke's answer is due"), _("Voke's answer was due")
            )
        case State.ACCEPTED | State.PARTIAL | State.EXECUTING:
            return _due_or_past(
                life,
                command.execution_due_at,
                _("The report of its execution is due"),
                _("The report of its execution was due"),
            )
        case State.QUEUED_BY_VOKE:
            return _("Voke sends it on when the site is back"), None
        case State.UNCONFIRMED:
            return _("Only a word from Voke corrects this"), None
        case State.DEVIATED:
            return _("May still be completed or fail"), None
        case _:
            return "", None


def _due_or_past(life: Life, due_at: datetime | None, ahead: str, past: str) -> tuple[str, datetime | None]:
    return past if due_at is not None and due_at <= life.at else ahead, due_at
