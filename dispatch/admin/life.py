"""A command's life as steps for the page: what happened, who said so, how late, and what is silent or ahead."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from dispatch.admin.looks import STATE_LOOKS
from dispatch.diagnosis_words import confidence_word, step_words
from dispatch.models import Command, CommandEvent, TimedCommand
from dispatch.services.life import NOTE
from dispatch.states import State, Verdict
from dispatch.words import cause_text, deviation_text, lateness_text, state_word
from plants.admin.marks import Family, moment
from plants.words import age_text, offset_text, span_text

# A word of Voke that took longer than this to reach us is marked: its time and its arrival tell different stories.
LATE_AFTER = timedelta(seconds=5)
REQUESTED = "REQUESTED"
_ACTORS = {"": "this platform", "relay": "the relay"}
_SILENCES = ("ACK_OVERDUE", "NEVER_CONFIRMED", "EXECUTION_OVERDUE")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node of the timeline; `kind` is a class of the stylesheet: '', late, silence, ahead."""

    offset: str
    icon: str
    family: Family
    title: str
    by: str = ""
    lines: Sequence[str | SafeString] = ()
    marks: Sequence[str] = ()
    when: SafeString | str = ""
    kind: str = ""
    inbound_id: int | None = None
    outbound_id: int | None = None


def steps_of(
    command: Command,
    events: Sequence[CommandEvent],
    *,
    zone: str,
    at: datetime,
    timed: TimedCommand | None = None,
) -> list[Step]:
    """The whole life: each event as recorded, the silences between them, and what comes next; `timed`: its end."""
    steps: list[Step] = []
    heard_at = command.requested_at
    for event in events:
        if event.cause in _SILENCES:
            steps.append(_silence(event.at - heard_at))
        steps.append(_step(command, event, zone))
        if event.cause not in _SILENCES:
            heard_at = event.at
    ahead = [next_word(command)]
    if timed is not None and timed.ended_at is None and timed.stop_id is None:
        ahead.append(("Its stop is made, signed and sent", timed.retry_at or timed.stop_at))
    return [*steps, *(_ahead(text, due_at, zone=zone, at=at) for text, due_at in ahead if text)]


def _step(command: Command, event: CommandEvent, zone: str) -> Step:
    look = STATE_LOOKS.get(State(event.word)) if event.word in State.__members__ else None
    is_note = event.verdict == NOTE or look is None
    late = event.told_at is not None and event.at - event.told_at > LATE_AFTER
    first = event.cause == REQUESTED
    return Step(
        offset="start" if first else offset_text(event.at - command.requested_at),
        icon="person" if first else "edit_note" if is_note or look is None else look.icon,
        family=Family.WAIT if is_note or look is None else look.family,
        title=_title(event, is_note=is_note),
        by=_ACTORS.get(event.actor, event.actor),
        lines=tuple(_lines(event, is_note=is_note)),
        marks=tuple(_marks(event, late=late)),
        when=moment(event.at, zone=zone, precise=True),
        kind="late" if late or event.verdict == Verdict.STALE else "",
        inbound_id=event.inbound_id,
        outbound_id=event.outbound_id,
    )


def _title(event: CommandEvent, *, is_note: bool) -> str:
    if event.cause == REQUESTED:
        return "Requested"
    return cause_text(event.cause) if is_note and event.cause else state_word(event.word)


def _lines(event: CommandEvent, *, is_note: bool) -> Iterator[str]:
    if event.cause and event.cause != REQUESTED and not is_note:
        yield f"{cause_text(event.cause)}."
    yield from detail_lines(event.detail)


def _marks(event: CommandEvent, *, late: bool) -> Iterator[str]:
    if event.verdict == Verdict.STALE:
        yield "Too late to matter: it changed nothing"
    elif event.verdict == Verdict.DUPLICATE:
        yield "Said before: it changed nothing"
    if late and event.told_at is not None:
        yield f"Late: {lateness_text(event.at - event.told_at)}"


_SENTENCES: Mapping[str, str] = {
    "reason": "Reason: %s",
    "message": "Voke says: %s",
    "winner": "Pre-empted by command #%s.",
    "messageId": "New message %s.",
    "log": "Voke's command log says %s.",
    "by": "By command #%s.",
    "stops": "It ends command #%s.",
    "takesBack": "It takes back command #%s.",
    "lateS": "%s\u202fs after its time.",
}


def detail_lines(detail: object) -> Iterator[str]:
    """What an event's detail says, one sentence each; members that are not known are shown as they are."""
    if not isinstance(detail, Mapping):
        return
    deviation = deviation_text(detail)
    if deviation:
        yield f"{deviation[:1].upper()}{deviation[1:]}."
    for name, value in detail.items():
        match name:
            case "status" | "deviationKw":
                continue
            case "broker":
                yield f"The broker says: {value}" if value else "The broker gave no reason."
            case "next":
                yield f"Next: {step_words(str(value)).title}."
            case "confidence":
                yield f"This is {confidence_word(str(value))}."
            case "results":
                yield from _result_lines(value)
            case "actualKw" | "targetKw":
                yield (
                    f"{'Actual' if name == 'actualKw' else 'Target'} {value:g} kW."
                    if _is_number(value)
                    else f"{value}"
                )
            case _:
                yield _SENTENCES[name] % (value,) if name in _SENTENCES else f"{name}: {value}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _result_lines(results: object) -> Iterator[str]:
    if not isinstance(results, list):
        return
    for result in results[:50]:
        if isinstance(result, Mapping):
            code = result.get("rejectionCode")
            why = f": {cause_text(str(code))}" if code else ""
            yield f"{result.get('deviceId')} {state_word(str(result.get('status'))).lower()}{why}"


def _silence(span: timedelta) -> Step:
    return Step(
        offset="",
        icon="hearing_disabled",
        family=Family.DOUBT,
        title=f"Silence for {span_text(span)}",
        kind="silence",
    )


def _ahead(text: str, due_at: datetime | None, *, zone: str, at: datetime) -> Step:
    """What is waited for, and until when."""
    lines: list[str | SafeString] = []
    if due_at is not None:
        passed = due_at <= at
        gap = age_text(at - due_at if passed else due_at - at)
        lines.append(f"{'Overdue since' if passed else 'In'} {gap}.")
    return Step(
        offset="",
        icon="pending",
        family=Family.WAIT,
        title=text,
        lines=lines,
        when="" if due_at is None else moment(due_at, zone=zone),
        kind="ahead",
    )


def next_word(command: Command) -> tuple[str, datetime | None]:
    """What comes next and when it is due; ('', None) when nothing does."""
    match State(command.state):
        case State.SCHEDULED:
            return "Will be built, signed and sent when it is due", command.due_at
        case State.QUEUED:
            return "Waits for the relay; must be sent by", command.deliver_by_at
        case State.SENT:
            return "Voke's answer is expected by", command.ack_due_at
        case State.ACCEPTED | State.PARTIAL | State.EXECUTING:
            return "The report of its execution is expected by", command.execution_due_at
        case State.QUEUED_BY_VOKE:
            return "Voke sends it on when the site is back", None
        case State.UNCONFIRMED:
            return (
                "Only a word from Voke corrects this. Do not send it again: Voke may have acted on it",
                None,
            )
        case State.DEVIATED:
            return "May still be completed or fail", None
        case _:
            return "", None
