"""Taking a command back: an unsent one vanishes, one that may be at Voke is answered by what undoes it.

Each taking back is one `Retraction`, and both commands keep a note of it. What undoes which command, and when, is
decided in `dispatch.services.inverse`.

Edge cases (the concurrency policy):
- The plant is locked before the command: of two that take it back at once the second finds what the first did, and an
  emergency either takes it back itself or is seen here. Under a latch nothing is sent: the emergency already did it.
- Attempted but not confirmed: the message may be at Voke, so it counts as sent. It is not handed out again (ABANDONED),
  its command is UNCONFIRMED, and what undoes it follows it in the plant's order. The broker's confirm, an
  acknowledgement or an execution that crosses it on the wire still applies to the command.
- What can't be sent before a target begins or ends waits (`due_at`); `send_due` looks again then, so that what came in
  between (an emergency, a newer plan) is not undone.
- While the link is down what was sent waits as long as what it ends would hold. What came to nothing is made anew while
  it is still wanted: `dispatch.services.following`.
- What undoes it and could not be sent (a switch is off, the connection observes ...) is recorded and ends as CANCELLED
  with the reason, as a release's base mode does. Asked again, it is made anew.
"""

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatch.messages import NewId
from dispatch.models import Command, Kind, Retraction, TimedCommand
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandRequest
from dispatch.services.commands import lock_plant
from dispatch.services.inverse import How, Undoing, ends_at, undoing_of
from dispatch.services.life import Note, append_notes
from dispatch.services.timed import NOTHING_SENT, adopt_stop, end_ref, end_timed, hasten_stop
from dispatch.services.undoing import (
    IN_FORCE,
    TAKEN_BACK,
    give_up_attempts,
    store_or_record,
    take_back_unsent,
)
from dispatch.states import NEVER_SENT, State
from plants.errors import Conflict, NotFound
from plants.models import Plant
from vcp import parse_payload
from vcp.said import said

TAKES_BACK = "TAKES_BACK"


def retract(
    *,
    command_id: int,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    followed: bool = False,
    organisation_id: int | None = None,
    new_id: NewId = uuid.uuid4,
) -> Retraction | None:
    """Take a command back; None = nothing of it was sent and nothing will be.

    `followed`: a newer command takes its place, so nothing is sent for it. `organisation_id`: whose command it must be.
    Raises `NotFound`, or `Conflict`: RELEASE_INSTEAD (an emergency), USE_THE_PLAN (a plan's schedule at Voke),
    NOTHING_TO_TAKE_BACK (it has no inverse: a stop, the base mode).
    """
    with transaction.atomic():
        plant, command = _locked(command_id, organisation_id)
        if command.kind == Kind.EMERGENCY:
            raise Conflict(said("an emergency is released, not cancelled"), code="RELEASE_INSTEAD")
        known = Retraction.objects.select_related("by_command").filter(pk=command.pk).first()
        if known is not None and not _came_to_nothing(known):
            return known
        if State(command.state) in NEVER_SENT:
            return None
        if take_back_unsent(command, actor=actor, reason=reason, at=at):
            end_timed(command, cause=NOTHING_SENT, at=at)
            return None
        undoing = undoing_of(plant, command, reason=reason, at=at, followed=followed)
        give_up_attempts(command, actor=actor, at=at)
        return _carry_out(
            plant, command, undoing, actor=actor, reason=reason, at=at, policy=policy, new_id=new_id
        )


def _locked(command_id: int, organisation_id: int | None) -> tuple[Plant, Command]:
    rows = Command.objects.filter(pk=command_id)
    if organisation_id is not None:
        rows = rows.filter(organisation_id=organisation_id)
    found = rows.values_list("organisation_id", "plant__external_plant_id").first()
    if found is None:
        raise NotFound(said("no such command"), path="command", code="COMMAND_NOT_FOUND")
    plant = lock_plant(organisation_id=found[0], external_plant_id=found[1])
    return plant, Command.objects.select_for_update(of=("self",)).get(pk=command_id)


def _came_to_nothing(known: Retraction) -> bool:
    """Whether what was to undo it never reached Voke, or was refused there: it may be tried again."""
    by_command = known.by_command
    if by_command is None or known.how == How.FOLLOWED:
        return False
    return State(by_command.state) not in IN_FORCE


def _carry_out(
    plant: Plant,
    command: Command,
    undoing: Undoing,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    new_id: NewId,
) -> Retraction:
    by_command = undoing.by
    if undoing.payload is not None:
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=undoing.payload,
            reason=reason,
            automatic=actor.user is None,
            batch_ref=end_ref(command.pk) if undoing.how is How.STOP else "",
            deliver_by_at=undoing.deliver_by_at,
        )
        by_command = store_or_record(
            plant=plant,
            request=request,
            last_connection_id=command.connection_id,
            actor=actor,
            at=at,
            policy=policy,
            new_id=new_id,
        )
        if undoing.how is How.STOP:
            adopt_stop(command, by_command, at=at)
    elif command.kind == Kind.DEVICE:
        hasten_stop(command, at=at)
    return _write_down(command, undoing, by_command, actor=actor, reason=reason, at=at)


def _write_down(
    command: Command,
    undoing: Undoing,
    by_command: Command | None,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
) -> Retraction:
    told: dict[str, Any] = {"reason": reason}
    more: dict[str, Any] = {} if by_command is None else {"by": by_command.pk}
    if undoing.due_at is not None:
        more["dueAt"] = undoing.due_at.isoformat()
    notes = [
        Note(command_id=command.pk, word=TAKEN_BACK, cause=undoing.how, actor=actor.name, detail=told | more)
    ]
    if by_command is not None:
        detail = told | {"takesBack": command.pk}
        notes.append(
            Note(command_id=by_command.pk, word=TAKES_BACK, cause=TAKES_BACK, actor=actor.name, detail=detail)
        )
    append_notes(notes=notes, at=at)
    decided = {
        "how": undoing.how,
        "by_command": by_command,
        "due_at": undoing.due_at,
        "follow_until": follow_until_of(command, by_command, at=at),
    }
    if by_command is not None and by_command.state == State.CANCELLED and not _is_tried_again(command):
        decided["follow_until"] = None  # who asked is told at once that it can't be sent
    row, _ = Retraction.objects.update_or_create(
        command=command,
        defaults=decided,
        create_defaults=decided
        | {
            "asked_at": at,
            "asked_by": actor.user,
            "asked_by_name": actor.name[:150],
            "reason": reason[:500],
        },
    )
    return row


def _is_tried_again(command: Command) -> bool:
    return Retraction.objects.filter(pk=command.pk, attempts__gt=0).exists()


def follow_until_of(command: Command, by_command: Command | None, *, at: datetime) -> datetime | None:
    """Until when it matters whether Voke has what took a command back; None = it needs no following."""
    if by_command is None or by_command.kind == Kind.EMERGENCY:
        return None
    if TimedCommand.objects.filter(pk=command.pk).exists():  # follows its stops itself
        return None
    return ends_at(parse_payload(FAMILY[Kind(command.kind)], command.payload), at)


# --- later: the base mode of a setpoint that is not in force yet, and what is made anew ----------------------------


def send_due(*, at: datetime, policy: Policy, limit: int = 200, new_id: NewId = uuid.uuid4) -> int:
    """Tick: send what waited until its setpoint would be in force; answers how many were looked at."""
    due = list(
        Retraction.objects.filter(due_at__lte=at).order_by("due_at").values_list("pk", flat=True)[:limit]
    )
    for command_id in due:
        _send_one(command_id, at=at, policy=policy, new_id=new_id)
    return len(due)


@transaction.atomic
def _send_one(command_id: int, *, at: datetime, policy: Policy, new_id: NewId) -> None:
    plant, command = _locked(command_id, None)
    waiting = Retraction.objects.select_related("asked_by").filter(pk=command_id, due_at__lte=at)
    row = waiting.first()
    if row is None:  # another tick was first
        return
    actor = Actor(name=row.asked_by_name, user=row.asked_by)
    undoing = undoing_of(plant, command, reason=row.reason, at=at, followed=False)
    _carry_out(plant, command, undoing, actor=actor, reason=row.reason, at=at, policy=policy, new_id=new_id)
