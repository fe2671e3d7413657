"""The one writer of a command's state: guarded updates and append-only events, in one transaction.

Edge cases (the concurrency policy):
- Commands are locked in order of their id before they are judged, so that two batches can't deadlock.
- Every update names the state that it expects; a row count that differs means that somebody wrote around the lock, and
  the transaction fails with `LostRace` instead of guessing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatch.models import Command, CommandEvent
from dispatch.states import State, Verdict, judge

NOTE = "NOTE"
_WORD_LENGTH = 24


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


@transaction.atomic
def advance_many(*, moves: Sequence[Move], at: datetime) -> list[Verdict]:
    """Judge each word in order, move the commands that it moves, and append an event for every word.

    Several words about one command in one batch are judged one after the other; a word without its command raises
    Command.DoesNotExist.
    """
    wanted = sorted({move.command_id for move in moves})
    locked = {
        row.pk: row
        for row in Command.objects.select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk")
    }
    found = {pk: State(row.state) for pk, row in locked.items()}
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
    return verdicts


def _update(found: Mapping[int, State], last: Mapping[int, Move], at: datetime) -> None:
    groups: dict[tuple[State, State, str, datetime | None], list[int]] = defaultdict(list)
    for pk, move in last.items():
        groups[(found[pk], move.to, move.cause, move.ack_due_at)].append(pk)
    for (before, to, cause, ack_due_at), ids in groups.items():
        changes: dict[str, Any] = {"state": to, "state_at": at, "cause": cause[:64]}
        if ack_due_at is not None:
            changes["ack_due_at"] = ack_due_at
        if Command.objects.filter(pk__in=ids, state=before).update(**changes) != len(ids):
            raise LostRace(f"{before} -> {to}")


def append_events(*, moves: Sequence[Move], words: Sequence[str], at: datetime) -> None:
    """Append one event per move, with the verdict on it (`words`)."""
    CommandEvent.objects.bulk_create(
        _event(move, word=move.to.value, verdict=word, at=at) for move, word in zip(moves, words, strict=True)
    )


def append_notes(*, notes: Sequence[Note], at: datetime) -> None:
    """Append what happened and changed no state."""
    CommandEvent.objects.bulk_create(_event(note, word=note.word, verdict=NOTE, at=at) for note in notes)


def _event(told: Move | Note, *, word: str, verdict: str, at: datetime) -> CommandEvent:
    return CommandEvent(
        command_id=told.command_id,
        at=at,
        told_at=told.told_at,
        word=word[:_WORD_LENGTH],
        verdict=verdict,
        cause=told.cause[:64],
        actor=told.actor[:150],
        detail=dict(told.detail),
        outbound_id=told.outbound_id,
        inbound_id=told.inbound_id,
    )
