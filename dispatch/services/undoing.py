"""What is sent so that something ends: stored like any command, or recorded with the reason why it can't be sent.

A release, a taking back and the end of a timed command are decided by a person or a plan, and hold whether or not their
message can be sent now: where it can't (a switch is off, the connection observes, no scope, no connection), the command
is recorded and ends as CANCELLED with that reason. It is not sent later by itself, when nobody thinks of it any more.
"""

from datetime import datetime

from django.db import transaction

from dispatch.messages import NewId
from dispatch.models import Command
from dispatch.policy import Policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import store_command, store_refused
from plants.errors import Conflict, Several
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from vcp import MAX_REASON_LENGTH, Mode, OperatingMode


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
