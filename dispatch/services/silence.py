"""Silence as it begins and ends: a diagnosis is asked for, or ended, in the transaction that moves its command.

Edge cases (the concurrency policy):
- Whoever writes a diagnosis holds the lock of its command: that is the row's only lock, so none can be taken crosswise.
- A second silence of a command takes its row over, as if nothing had been looked at.
- An emergency that the broker does not take stays QUEUED and is issued again: it is explained all the same, once, and
  its silence ends when the broker takes it.
- A late word of Voke ends the silence and with it all looking; what was found stays.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from dispatch.diagnosis import Silence
from dispatch.models import Command, Diagnosis, DiagnosisStage
from dispatch.services.bulk import Among
from dispatch.states import FROM_VOKE, State

ACK_OVERDUE: Final = "ACK_OVERDUE"
_BY_STATE: Mapping[State, Silence] = {
    State.RETURNED: Silence.RETURNED,
    State.REFUSED: Silence.REFUSED,
    State.EXPIRED: Silence.EXPIRED,
}
_ENDS: Final = frozenset({State.COMPLETED, State.DEVIATED, State.FAILED})
SILENT: Final = frozenset({State.UNCONFIRMED, *_BY_STATE})
"""States that say that something did not happen."""


def silence_of(to: State, cause: str) -> Silence | None:
    """What there is to explain about a command that came to a state for a cause; None = nothing."""
    if to is State.UNCONFIRMED:
        return Silence.NO_ACK if cause == ACK_OVERDUE else Silence.NOT_CONFIRMED
    return _BY_STATE.get(to)


def ends_silence(before: State, to: State) -> bool:
    """Whether a word of Voke may end a silence: of the state before, of an emergency on its way, or of an execution."""
    return to in _ENDS or (to in FROM_VOKE and (before in SILENT or before is State.QUEUED))


def ask_why(*, command_ids: Collection[int], silence: Silence, at: datetime) -> None:
    """Ask for the diagnosis of commands that are locked: two statements for any number of them."""
    owners = Command.objects.filter(Among(command_ids)).order_by("pk").values_list("pk", "organisation_id")
    Diagnosis.objects.bulk_create(
        [
            Diagnosis(
                command_id=pk,
                organisation_id=organisation_id,
                silence=silence,
                asked_at=at,
                stage=DiagnosisStage.LOCAL,
                look_at=at,
            )
            for pk, organisation_id in owners
        ],
        update_conflicts=True,
        unique_fields=["command"],
        update_fields=[
            "silence",
            "asked_at",
            "stage",
            "look_at",
            "made_at",
            "cause",
            "confidence",
            "next_step",
            "evidence",
            "attempts",
            "ended_at",
            "ended_by",
        ],
    )


def ask_why_not_taken(*, command_ids: Collection[int], silence: Silence, at: datetime) -> None:
    """The broker did not take these emergencies, which are locked and go on being sent: asked once until one arrives.

    An issue of it that fares as the one before has nothing new to explain.
    """
    asked = Diagnosis.objects.filter(Among(command_ids), silence=silence, ended_at__isnull=True)
    new = set(command_ids) - set(asked.values_list("command_id", flat=True))
    if new:
        ask_why(command_ids=new, silence=silence, at=at)


def end_silence(*, command_ids: Collection[int], by: str, at: datetime) -> None:
    """A late word of Voke came about commands that are locked, or the broker took an emergency after all (SENT)."""
    Diagnosis.objects.filter(Among(command_ids), ended_at__isnull=True).update(
        stage=DiagnosisStage.DONE, look_at=None, ended_at=at, ended_by=by
    )
