"""The one writer of a command's state: guarded updates and append-only events, in one transaction.

Edge cases (the concurrency policy):
- Commands are locked in order of their id before they are judged, so that two batches can't deadlock.
- Every update names the state that it expects; a row count that differs means that somebody wrote around the lock, and
  the transaction fails with `LostRace` instead of guessing.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatch.models import Command, CommandEvent
from dispatch.services.bulk import Among, insert_rows
from dispatch.services.silence import ask_why, end_silence, ends_silence, silence_of
from dispatch.services.verification import ENDS_PROOF, end_unproven
from dispatch.states import State, Verdict, judge
from dispatch.telling import Locked, tell_states

NOTE = "NOTE"
_WORD_LENGTH = 24
_EVENT_COLUMNS = (
    "command_id", "at", "told_at", "word", "verdict", "cause", "actor", "detail", "outbound_id", "inbound_id",
)  # fmt: skip


class LostRace(Exception):
    """A guarded update found another state than the one it had locked: the transaction must be tried again."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One word about a command: the state it speaks of, why, who says so, and the message that proves it."""

    command_id: int
    to: State
    cause: str = ""
    actor: str = ""
    told_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    outbound_id: int | None = None
    inbound_id: int | None = None
    ack_due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that happened to a command and spoke of no state: re-issued, nacked, a word that is not known."""

    command_id: int
    word: str
    cause: str = ""
    actor: str = ""
    told_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    outbound_id: int | None = None
    inbound_id: int | None = None


def advance(*, command_id: int, to: State, at: datetime, cause: str, actor: str = "") -> Verdict:
    """Move one command; see `advance_many`."""
    return advance_many(moves=[Move(command_id=command_id, to=to, cause=cause, actor=actor)], at=at)[0]


def lock_states(command_ids: Collection[int]) -> Locked:
    """Lock commands in order of their ids, before any message is locked; answers their states."""
    if not command_ids:
        return Locked(())
    rows = Command.objects.select_for_update(of=("self",)).filter(Among(command_ids)).order_by("pk")
    return Locked(rows.values_list("pk", "state", "plant_id", "organisation_id", "kind"))


def advance_many(*, moves: Sequence[Move], at: datetime, locked: Locked | None = None) -> list[Verdict]:
    """Judge each word in order, move the commands that it moves, and append an event for every word.

    `locked`: what `lock_states` answered within this transaction about these commands, where the caller has asked. Then
    no savepoint is made: rows that were locked before one and are changed behind it cost PostgreSQL a list of lockers
    each.
    Several words about one command in one batch are judged one after the other; a word without its command raises
    Command.DoesNotExist.
    """
    if not moves:
        return []
    if locked is not None:
        return _advance(moves, at, locked)
    with transaction.atomic():
        return _advance(moves, at, lock_states({move.command_id for move in moves}))


def _advance(moves: Sequence[Move], at: datetime, found: Locked) -> list[Verdict]:
    states = dict(found)
    last: dict[int, Move] = {}
    verdicts: list[Verdict] = []
    for move in moves:
        if move.command_id not in states:
            raise Command.DoesNotExist(f"command {move.command_id}")
        verdict = judge(states[move.command_id], move.to)
        if verdict is Verdict.APPLIED:
            states[move.command_id] = move.to
            last[move.command_id] = move
        verdicts.append(verdict)
    _update(found, last, at)
    append_events(moves=moves, words=[verdict.value for verdict in verdicts], at=at)
    tell_states({pk: (move.to, move.cause) for pk, move in last.items()}, found.about, at=at)
    return verdicts


def _update(found: Mapping[int, State], last: Mapping[int, Move], at: datetime) -> None:
    groups: dict[tuple[State, State, str, datetime | None], list[int]] = defaultdict(list)
    for pk, move in last.items():
        groups[(found[pk], move.to, move.cause, move.ack_due_at)].append(pk)
    for (before, to, cause, ack_due_at), ids in groups.items():
        changes: dict[str, Any] = {"state": to, "state_at": at, "cause": cause[:64]}
        if ack_due_at is not None:
            changes["ack_due_at"] = ack_due_at
        if Command.objects.filter(Among(ids), state=before).update(**changes) != len(ids):
            raise LostRace(f"{before} -> {to}")
        if to in ENDS_PROOF:
            end_unproven(command_ids=ids, at=at)
        if (silence := silence_of(to, cause)) is not None:
            ask_why(command_ids=ids, silence=silence, at=at)
        elif ends_silence(before, to):
            end_silence(command_ids=ids, by=to.value, at=at)


def append_events(*, moves: Sequence[Move], words: Sequence[str], at: datetime) -> None:
    """Append one event per move, with the verdict on it (`words`)."""
    rows = [
        _event(move, word=move.to.value, verdict=word, at=at) for move, word in zip(moves, words, strict=True)
    ]
    insert_rows(CommandEvent, _EVENT_COLUMNS, rows)


def append_notes(*, notes: Sequence[Note], at: datetime) -> None:
    """Append what happened and changed no state."""
    rows = [_event(note, word=note.word, verdict=NOTE, at=at) for note in notes]
    insert_rows(CommandEvent, _EVENT_COLUMNS, rows)


def _event(told: Move | Note, *, word: str, verdict: str, at: datetime) -> tuple[Any, ...]:
    """A row of the events, in the order of `_EVENT_COLUMNS`."""
    return (
        told.command_id,
        at,
        told.told_at,
        word[:_WORD_LENGTH],
        verdict,
        told.cause[:64],
        told.actor[:150],
        dict(told.detail),
        told.outbound_id,
        told.inbound_id,
    )
