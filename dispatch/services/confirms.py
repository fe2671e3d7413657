"""What the broker said about a window of messages, written down, and their commands moved accordingly."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from dispatch.diagnosis import Silence
from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.services.bulk import Among
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.outbox import RELAY, lock_commands, withdraw_siblings
from dispatch.services.silence import ask_why_not_taken, end_silence
from dispatch.states import State
from dispatch.telling import Locked
from plants.texts import storable_text

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
_LONGEST_URGENT_WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Word:
    """What the broker did with one message; `outcome` None = nothing that settles it (sent again later).

    `detail` is the broker's own text.
    """

    outbound_id: int
    outcome: Outcome | None
    detail: str = ""

    @property
    def silence(self) -> Silence:
        """What there is to explain when the broker did not take it."""
        return Silence.RETURNED if self.outcome is Outcome.RETURNED else Silence.REFUSED

    @property
    def storable_detail(self) -> str:
        """The broker's text as the outbox keeps it."""
        return storable_text(self.detail)[:400]


def record(*, words: Sequence[Word], at: datetime, policy: Policy) -> None:
    """Write down what the broker did with a window, and move the commands accordingly."""
    settled = {word.outbound_id: word for word in words if word.outcome is not None}
    if not settled:
        return
    with transaction.atomic():
        rows = _lock_commands_of(settled)
        locked = Locked((pk, state, plant, whose, kind) for _, pk, _, state, kind, plant, whose in rows)
        _write_outcomes(settled, at)
        moves: list[Move] = []
        notes: list[Note] = []
        arrived: list[int] = []  # emergencies may have more than one message on its way
        not_taken: dict[Silence, set[int]] = {}
        for pk, command_id, urgent, _, kind, _, _ in rows:
            word = settled[pk]
            if word.outcome is Outcome.CONFIRMED:
                moves.append(_sent(pk, command_id, at + policy.ack_timeout_of(kind)))
                arrived += [command_id] if urgent else []
            elif urgent:  # stays QUEUED: dispatch.services.emergency issues it again and raises an alarm
                notes.append(_note(pk, command_id, word))
                if locked[command_id] is State.QUEUED:
                    not_taken.setdefault(word.silence, set()).add(command_id)
            else:
                moves.append(_failed(pk, command_id, word))
        append_notes(notes=notes, at=at)
        advance_many(moves=moves, at=at, locked=locked)
        for silence, ids in not_taken.items():
            ask_why_not_taken(command_ids=ids - set(arrived), silence=silence, at=at)
        if arrived:
            withdraw_siblings(command_ids=arrived, at=at)
            end_silence(command_ids=arrived, by=State.SENT.value, at=at)


def _lock_commands_of(outbound_ids: Collection[int]) -> list[tuple[int, int, bool, str, str, int, int]]:
    """Lock the commands of messages in order of their ids.

    (message, command, urgent, the command's state, kind, plant, organisation)
    """
    commands = Command.objects.select_for_update(of=("self",)).filter(Among(outbound_ids, of="messages__pk"))
    in_order = commands.order_by("pk", "messages__pk")
    return [
        (outbound_id, command_id, urgent, state, kind, plant_id, organisation_id)
        for command_id, state, kind, plant_id, organisation_id, outbound_id, urgent in in_order.values_list(
            "pk", "state", "kind", "plant_id", "organisation_id", "messages__pk", "messages__urgent"
        )
    ]


def _write_outcomes(settled: Mapping[int, Word], at: datetime) -> None:
    groups: dict[tuple[Outcome, str], list[int]] = {}
    for pk, word in settled.items():
        if word.outcome is not None:
            groups.setdefault((word.outcome, word.storable_detail), []).append(pk)
    for (outcome, detail), ids in groups.items():
        # ABANDONED in between (an emergency came): the broker's word is the later truth and replaces it.
        OutboundMessage.objects.filter(Among(ids), outcome__in=[Outcome.PENDING, Outcome.ABANDONED]).update(
            outcome=outcome, outcome_at=at, detail=detail
        )


def _sent(outbound_id: int, command_id: int, ack_due_at: datetime) -> Move:
    return Move(
        command_id=command_id,
        to=State.SENT,
        cause="CONFIRMED",
        actor=RELAY,
        outbound_id=outbound_id,
        ack_due_at=ack_due_at,
    )


def _failed(outbound_id: int, command_id: int, word: Word) -> Move:
    return Move(
        command_id=command_id,
        to=State(word.silence.value),
        cause=f"BROKER_{word.outcome}",
        actor=RELAY,
        outbound_id=outbound_id,
        detail={"broker": word.storable_detail},
    )


def _note(outbound_id: int, command_id: int, word: Word) -> Note:
    return Note(
        command_id=command_id,
        word=str(word.outcome),
        actor=RELAY,
        detail={"broker": word.storable_detail},
        outbound_id=outbound_id,
    )


def note_nacked(
    *, outbound_ids: Sequence[int], at: datetime, chance: Callable[[], float] = random.random
) -> None:
    """The broker did not take these now: the same bytes go again after a moment that grows, with jitter.

    The end is the replay margin. `chance` answers a number within [0, 1).
    """
    with transaction.atomic():
        rows = list(
            OutboundMessage.objects.filter(pk__in=outbound_ids, outcome=Outcome.PENDING)
            .order_by("pk")
            .only("pk", "command_id", "urgent", "attempts")
        )
        lock_commands(rows)
        waits: dict[float, list[int]] = {}
        for row in rows:
            longest = _LONGEST_URGENT_WAIT_S if row.urgent else _LONGEST_WAIT_S
            waits.setdefault(min(_FIRST_WAIT_S * 2 ** min(row.attempts, 10), longest), []).append(row.pk)
        for wait_s, ids in sorted(waits.items()):
            until = at + timedelta(seconds=wait_s * (0.5 + 0.5 * chance()))
            OutboundMessage.objects.filter(pk__in=ids, outcome=Outcome.PENDING).update(not_before_at=until)
        append_notes(
            notes=[
                Note(command_id=row.command_id, word="NACKED", actor=RELAY, outbound_id=row.pk)
                for row in rows
                if row.command_id is not None
            ],
            at=at,
        )


def forget_attempts(*, outbound_ids: Sequence[int]) -> None:
    """The link knows that no byte of these left: their only attempt did not happen, so nothing was sent.

    A message that was attempted before, or by another relay meanwhile, keeps its mark.
    """
    with transaction.atomic():
        rows = OutboundMessage.objects.filter(pk__in=outbound_ids, outcome=Outcome.PENDING, attempts=1)
        lock_commands(rows.only("pk", "command_id"))
        rows.update(attempted_at=None, attempts=0)
