"""What is sent so that something ends, and what the services that end things share.

It is stored like any command, or recorded with the reason why it can't be sent.

A release, a taking back and the end of a timed command are decided by a person or a plan, and hold whether or not their
message can be sent now: where it can't (a switch is off, the connection observes, no scope, no connection), the command
is recorded and ends as CANCELLED with that reason. It is not sent later by itself, when nobody thinks of it any more.
One that only waits for the link keeps its place in the plant's order, for as long as it is of use.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from dispatch.messages import NewId
from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import store_command, store_refused
from dispatch.services.life import Move, advance_many
from dispatch.services.outbox import withdraw_unattempted
from dispatch.states import BEFORE_SENT, NEVER_SENT, State
from plants.errors import Conflict, DomainError, Several
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from vcp import MAX_REASON_LENGTH, Mode, OperatingMode

TAKEN_BACK, NEVER_CONFIRMED = "TAKEN_BACK", "NEVER_CONFIRMED"
ENDS_WITHIN = timedelta(hours=24)
"""So long a message waits for the link when what it ends has no end of its own, and so long it is followed."""
# On its way to Voke or there, and neither refused nor failed.
IN_FORCE = frozenset(State) - NEVER_SENT - {State.REJECTED, State.FAILED, State.RETURNED, State.REFUSED}


def store_or_record(
    *,
    plant: Plant,
    request: CommandRequest,
    last_connection_id: int,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId,
) -> Command:
    """Store a command of a locked plant; CANCELLED, with the cause, where it can't be sent now.

    `last_connection_id`: over which the plant was commanded last, where it has no connection any more.
    """
    try:
        with transaction.atomic():
            return store_command(
                plant=plant, request=request, actor=actor, at=at, policy=policy, new_id=new_id
            )
    except (Conflict, Several) as refusal:
        return record_refused(
            plant=plant,
            request=request,
            last_connection_id=last_connection_id,
            actor=actor,
            refusal=refusal,
            at=at,
            policy=policy,
        )


def record_refused(
    *,
    plant: Plant,
    request: CommandRequest,
    last_connection_id: int,
    actor: Actor,
    refusal: DomainError,
    at: datetime,
    policy: Policy,
) -> Command:
    """The command that could not be sent, as it is recorded: CANCELLED, with the refusal's code."""
    link = Connection.objects.defer(*SECRET_FIELDS)
    return store_refused(
        plant=plant,
        connection=link.get(pk=plant.connection_id or last_connection_id),
        request=request,
        actor=actor,
        refusal=refusal,
        at=at,
        policy=policy,
    )


def base_mode_of(plant: Plant, why: str) -> Mode:
    """What brings a plant back to how it runs without us."""
    return Mode(mode=OperatingMode(plant.base_mode), reason=cut_reason(why))


def cut_reason(reason: str) -> str:
    """At most as long as Voke takes it, counted as Voke counts: in UTF-16 units, an emoji being two."""
    units = reason.encode("utf-16-le", "replace")[: 2 * MAX_REASON_LENGTH]
    return units.decode("utf-16-le", "ignore")


def newer_than(command: Command) -> QuerySet[Command]:
    """Commands of the plant asked for later that are on their way to Voke or there, newest first."""
    rows = Command.objects.filter(plant_id=command.plant_id, pk__gt=command.pk, due_at__gte=command.due_at)
    return rows.filter(state__in=[state.value for state in IN_FORCE]).order_by("-pk")


def newer_there(command: Command) -> QuerySet[Command]:
    """Newer commands of the plant, without those that may never have left us (nobody confirmed them)."""
    return newer_than(command).exclude(state=State.UNCONFIRMED, cause=NEVER_CONFIRMED)


def take_back_unsent(command: Command, *, actor: Actor, reason: str, at: datetime) -> bool:
    """Cancel a locked command of which no byte can have left; False, and nothing changes, where one may have."""
    if State(command.state) not in BEFORE_SENT:
        return False
    if command.pk not in withdraw_unattempted(command_ids=[command.pk], why="cancelled", at=at):
        return False
    detail = {"reason": reason}
    move = Move(command_id=command.pk, to=State.CANCELLED, cause="CANCELLED", actor=actor.name, detail=detail)
    advance_many(moves=[move], at=at)
    return True


def give_up_attempts(command: Command, *, actor: Actor, at: datetime) -> None:
    """What of a locked command is on its way is not handed out again; whether it arrived only Voke can say."""
    pending = OutboundMessage.objects.filter(command=command, outcome=Outcome.PENDING)
    pending.update(outcome=Outcome.ABANDONED, outcome_at=at, detail="not sent again: it was taken back")
    if State(command.state) in BEFORE_SENT:
        move = Move(command_id=command.pk, to=State.UNCONFIRMED, cause=TAKEN_BACK, actor=actor.name)
        advance_many(moves=[move], at=at)


def may_have_arrived(command: Command) -> bool:
    """Whether Voke may have a command that the broker returned or refused: by an attempt before its last word."""
    return OutboundMessage.objects.filter(command=command, attempts__gt=1).exists()
