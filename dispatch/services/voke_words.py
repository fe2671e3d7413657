"""What Voke says about commands and schedules, applied: acknowledgements, executions, schedule events.

Each word resolves within the connection it arrived on, by the correlation id of one of our messages. A connection that
took over from others also hears what is said about their messages: Voke's federation may bring a word to one of the
two, or to both, and the second time it is a repetition. A word about a correlation that is not ours is FOREIGN:
federation may bring other keys' acknowledgements. A status word that is not known adds a note and moves nothing.

Site config has no command: what Voke says of it is kept with its message.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatch.models import OutboundMessage, ScheduleNotice
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.outbox import close_answered, close_answered_config
from dispatch.states import State, Verdict
from plants.models import Disposition
from plants.selectors.connections import predecessors_of
from vcp import AckStatus, CommandAck, Execution, ExecutionStatus, ScheduleEvent, Unknown, known

VOKE = "Voke"
_ACK_STATES: Mapping[AckStatus, State] = {
    AckStatus.ACCEPTED: State.ACCEPTED,
    AckStatus.REJECTED: State.REJECTED,
    AckStatus.PARTIAL: State.PARTIAL,
    AckStatus.QUEUED: State.QUEUED_BY_VOKE,
}
_EXECUTION_STATES: Mapping[ExecutionStatus, State] = {
    ExecutionStatus.EXECUTING: State.EXECUTING,
    ExecutionStatus.COMPLETED: State.COMPLETED,
    ExecutionStatus.DEVIATED: State.DEVIATED,
    ExecutionStatus.FAILED: State.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """One acknowledgement or execution event, with the inbox row that proves it."""

    inbound_id: int
    correlation_id: str
    told_at: datetime
    word: CommandAck | Execution


@dataclass(frozen=True, kw_only=True)
class ScheduleTold:
    """One schedule event about a plant, with the inbox row that proves it."""

    inbound_id: int
    plant_id: int
    correlation_id: str
    told_at: datetime
    event: ScheduleEvent


def apply_words(
    *, connection_id: int, told: Sequence[Told], at: datetime, moves_too: Sequence[Move] = ()
) -> dict[int, Disposition]:
    """Apply words in the order of Voke's own clock; answers what became of each by its inbox row.

    `moves_too`: what other messages of the batch (those of schedules) say of commands, so that all of a batch's
    commands are locked together. Call within the transaction that registered them.
    """
    ordered = sorted(told, key=lambda one: (one.told_at, _rank(one.word), one.inbound_id))
    messages = messages_by_correlation(connection_id, {one.correlation_id for one in ordered})
    configs: dict[int, Told] = {}
    dispositions: dict[int, Disposition] = {}
    moves: list[Move] = []
    notes: list[Note] = []
    for one in ordered:
        message = messages.get(one.correlation_id)
        if message is None:
            dispositions[one.inbound_id] = Disposition.FOREIGN
            continue
        outbound_id, command_id = message
        to = _state_of(one.word)
        if command_id is None:
            configs[outbound_id] = one
            dispositions[one.inbound_id] = Disposition.APPLIED
        elif to is None:
            notes.append(_note(one, outbound_id, command_id))
            dispositions[one.inbound_id] = Disposition.NO_CHANGE
        else:
            moves.append(_move(one, outbound_id, command_id, to=to))
    if moves_too:
        moves = sorted([*moves, *moves_too], key=lambda move: move.told_at or at)
    dispositions |= _advance(moves, at)
    append_notes(notes=notes, at=at)
    for outbound_id, one in sorted(configs.items()):
        close_answered_config(outbound_id=outbound_id, detail=_said(one.word), at=at)
    if moves:
        close_answered(
            outbound_ids={move.outbound_id for move in moves if move.outbound_id is not None},
            command_ids={move.command_id for move in moves},
            at=at,
        )
    return dispositions


def _advance(moves: Sequence[Move], at: datetime) -> dict[int, Disposition]:
    """By inbox row; one that speaks of two commands is applied when it moved one of them."""
    dispositions: dict[int, Disposition] = {}
    for move, verdict in zip(moves, advance_many(moves=moves, at=at), strict=True):
        if move.inbound_id is not None and dispositions.get(move.inbound_id) is not Disposition.APPLIED:
            applied = verdict is Verdict.APPLIED
            dispositions[move.inbound_id] = Disposition.APPLIED if applied else Disposition.NO_CHANGE
    return dispositions


def _move(one: Told, outbound_id: int, command_id: int, *, to: State) -> Move:
    return Move(
        command_id=command_id,
        to=to,
        cause=_cause_of(one.word),
        actor=VOKE,
        told_at=one.told_at,
        detail=_detail_of(one.word),
        outbound_id=outbound_id,
        inbound_id=one.inbound_id,
    )


def _note(one: Told, outbound_id: int, command_id: int) -> Note:
    return Note(
        command_id=command_id,
        word=one.word.status,
        cause=_cause_of(one.word),
        actor=VOKE,
        told_at=one.told_at,
        detail=_detail_of(one.word),
        outbound_id=outbound_id,
        inbound_id=one.inbound_id,
    )


def messages_by_correlation(connection_id: int, correlations: set[str]) -> dict[str, tuple[int, int | None]]:
    """(message, command or None for site config) by the correlation as it was spelt."""
    # Two spellings of one id (capitals) are one id.
    parsed = {text: one for text in correlations if (one := _as_uuid(text)) is not None}
    found = _found([connection_id], set(parsed.values()))
    missing = set(parsed.values()) - found.keys()
    if missing and (before := predecessors_of(connection_id)):
        found |= _found(before, missing)
    return {text: found[one] for text, one in parsed.items() if one in found}


def _found(
    connection_ids: Sequence[int], correlations: set[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, int | None]]:
    rows = OutboundMessage.objects.filter(connection_id__in=connection_ids, correlation_id__in=correlations)
    return {
        correlation: (pk, command_id)
        for correlation, pk, command_id in rows.values_list("correlation_id", "pk", "command_id")
    }


def _said(word: CommandAck | Execution) -> str:
    """What Voke said of a message without a command, in one line."""
    said = word.rejection_code or word.message if isinstance(word, CommandAck) else word.reason
    return f"Voke: {word.status}{f' ({said})' if said else ''}"


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _rank(word: CommandAck | Execution) -> int:
    """Words of the same millisecond in the order in which they make sense: ACK, EXECUTING, the end."""
    if isinstance(word, CommandAck):
        return 0
    return 1 if word.status == ExecutionStatus.EXECUTING else 2


def _state_of(word: CommandAck | Execution) -> State | None:
    if isinstance(word, CommandAck):
        ack = known(AckStatus, word.status)
        return None if isinstance(ack, Unknown) else _ACK_STATES[ack]
    execution = known(ExecutionStatus, word.status)
    return None if isinstance(execution, Unknown) else _EXECUTION_STATES[execution]


def _cause_of(word: CommandAck | Execution) -> str:
    if isinstance(word, CommandAck):
        return word.rejection_code or f"ACK_{word.status}"
    return f"EXECUTION_{word.status}"


def _detail_of(word: CommandAck | Execution) -> dict[str, Any]:
    if isinstance(word, CommandAck):
        results = [
            {
                "deviceId": one.device_id,
                "status": one.status,
                "rejectionCode": one.rejection_code,
                "message": one.message,
            }
            for one in word.results
        ]
        detail: dict[str, Any] = {"message": word.message, "results": results or None}
    else:
        detail = {
            "actualKw": word.actual_value_kw,
            "targetKw": word.target_value_kw,
            "deviationKw": word.deviation_kw,
            "reason": word.reason,
        }
    return {"status": word.status} | {name: value for name, value in detail.items() if value is not None}


def store_schedule_events(*, told: Sequence[ScheduleTold], at: datetime) -> None:
    """Keep schedule events as told, whether their schedules are ours or not."""
    ScheduleNotice.objects.bulk_create(
        ScheduleNotice(
            plant_id=one.plant_id,
            schedule_id=one.event.schedule_id,
            status=one.event.status[:64],
            reason=one.event.reason or "",
            told_at=one.told_at,
            received_at=at,
            inbound_id=one.inbound_id,
        )
        for one in told
    )
