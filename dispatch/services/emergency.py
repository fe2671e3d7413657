"""Emergencies: sent past everything else, latched until a person releases them, re-issued until delivered.

Edge cases (the concurrency policy):
- Latch, emergency and the taking back of everything unsent are one transaction under the plant's lock.
- A command that was attempted but not confirmed when the emergency came is not sent again; it ends as UNCONFIRMED and
  only Voke's own word may correct that.
- A HOLD is refused while a STOP is in force (STOP_IN_FORCE): sent after it, it would weaken it. STOP replaces a HOLD,
  and a HOLD that was not delivered yet is taken back by it: issued again later, it would reach Voke after the STOP.
- Releasing while the emergency was never delivered takes the emergency back.
- The base mode of a release waits for the link, before whatever is sent after it; one that comes to nothing is made
  anew (`dispatch.services.following`).
- A latch can always be released. Where the base mode can't be sent (a switch is off, the connection observes, no scope,
  no connection), its command is recorded and ends as CANCELLED with that reason: it is not sent later by itself, when
  nobody thinks of the release any more.
- One emergency that can't be built keeps its alarm raised and stops nobody else's.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from dispatch.messages import NewId, build, signer_of
from dispatch.models import Command, EmergencyLatch, Kind, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandRequest
from dispatch.services.bulk import Among
from dispatch.services.commands import Submitted, find_by_key, lock_plant, refuse_weaker, store_command
from dispatch.services.following import follow_releases
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.outbox import store_messages, unsent_commands, withdraw_unattempted
from dispatch.services.undoing import ENDS_WITHIN, base_mode_of, store_or_record
from dispatch.states import State
from dispatch.telling import tell_latches
from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, Invalid
from plants.models import Plant
from plants.selectors.alarms import open_platform_alarm_ids
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from vcp import Emergency, EmergencyType, ProtocolError
from vcp.said import said

log = structlog.get_logger(__name__)
NOT_DELIVERED = "EMERGENCY_NOT_DELIVERED"
_ALARM_PREFIX = "emergency:"
_MOST_ALARMS = 10_000


def send_emergency(
    *,
    organisation_id: int,
    request: CommandRequest,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> Submitted:
    """Stop or hold a plant at once: latches it, takes back what is unsent, and queues the emergency first in line."""
    payload = request.payload
    if not isinstance(payload, Emergency):
        raise ValueError("not an emergency")
    known = find_by_key(organisation_id=organisation_id, request=request)
    if known is not None:
        return Submitted(command=known, created=False)
    try:
        with transaction.atomic():
            plant = lock_plant(organisation_id=organisation_id, external_plant_id=request.external_plant_id)
            refuse_weaker(plant, payload)
            command = store_command(
                plant=plant, request=request, actor=actor, at=at, policy=policy, new_id=new_id
            )
            _latch(plant, command, payload, actor, at)
            take_back_all_unsent({plant.pk: command.pk}, stops=payload.type is EmergencyType.STOP, at=at)
    except IntegrityError:
        known = find_by_key(organisation_id=organisation_id, request=request)
        if known is None:
            raise
        return Submitted(command=known, created=False)
    return Submitted(command=command, created=True)


def _latch(plant: Plant, command: Command, payload: Emergency, actor: Actor, at: datetime) -> None:
    latch = EmergencyLatch.objects.select_for_update().filter(plant=plant, released_at__isnull=True).first()
    if latch is None:
        EmergencyLatch.objects.create(
            plant=plant, command=command, type=payload.type.value, set_at=at, set_by_name=actor.name[:150]
        )
    elif latch.type == "HOLD":
        EmergencyLatch.objects.filter(pk=latch.pk).update(command=command, type=payload.type.value)
    tell_latches({plant.pk: plant.organisation_id}, is_set=True, at=at, kind=payload.type.value)


def take_back_all_unsent(winners: Mapping[int, int], *, stops: bool, at: datetime) -> None:
    """Take back what of the plants was not sent yet; `winners`: the emergency of each plant, by the plant's id.

    `stops`: they are STOPs, which take back undelivered HOLDs too. Call with the plants locked.
    """
    of = {
        command.pk: winners[command.plant_id]
        for command in unsent_commands(plant_ids=winners, held_too=stops)
        if command.pk != winners[command.plant_id]
    }
    if not of:
        return
    free = withdraw_unattempted(command_ids=sorted(of), why="an emergency of the plant", at=at)
    attempted = [pk for pk in of if pk not in free]
    OutboundMessage.objects.filter(command_id__in=attempted, outcome=Outcome.PENDING).update(
        outcome=Outcome.ABANDONED, outcome_at=at, detail="not sent again because of an emergency of the plant"
    )
    moves = [
        Move(
            command_id=pk,
            to=State.SUPERSEDED if pk in free else State.UNCONFIRMED,
            cause="EMERGENCY",
            detail={"winner": winner},
        )
        for pk, winner in sorted(of.items())
    ]
    advance_many(moves=moves, at=at)


def release(
    *,
    organisation_id: int,
    external_plant_id: str,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> Command:
    """Release a plant's emergency with a reason; answers the command that sends the plant's base mode.

    It is CANCELLED, with the cause, where the base mode can't be sent now. Raises `Invalid` without a reason,
    `NotFound`, or `Conflict` when the plant is not latched.
    """
    if not reason.strip():
        raise Invalid(said("a release needs a reason"), path="reason", code="REASON_REQUIRED")
    with transaction.atomic():
        plant = lock_plant(organisation_id=organisation_id, external_plant_id=external_plant_id)
        latches = EmergencyLatch.objects.select_for_update(of=("self",)).select_related("command")
        latch = latches.filter(plant=plant, released_at__isnull=True).first()
        if latch is None:
            raise Conflict(said("the plant has no emergency to release"), code="NOT_LATCHED")
        EmergencyLatch.objects.filter(pk=latch.pk).update(
            released_at=at, released_by_name=actor.name[:150], release_reason=reason[:500]
        )
        tell_latches({plant.pk: plant.organisation_id}, is_set=False, at=at)
        withdraw_undelivered([plant.pk], at=at)
        base_mode = store_or_record(
            plant=plant,
            request=released_request(plant, reason, at=at),
            last_connection_id=latch.command.connection_id,
            actor=actor,
            at=at,
            policy=policy,
            new_id=new_id,
        )
        follow_releases({latch.command_id: base_mode}, actor=actor, reason=reason, at=at)
    return base_mode


def released_request(plant: Plant, reason: str, *, at: datetime) -> CommandRequest:
    """What a release sends: the plant's base mode, at its place in the plant's order however long the link is down."""
    return CommandRequest(
        external_plant_id=plant.external_plant_id,
        payload=base_mode_of(plant, f"Emergency released: {reason}"),
        reason=reason,
        deliver_by_at=at + ENDS_WITHIN,
    )


def withdraw_undelivered(plant_ids: Collection[int], *, at: datetime) -> None:
    """Take back the emergencies of plants that were never delivered. Call with the plants locked."""
    queued = list(
        Command.objects.select_for_update(of=("self",))
        .filter(Among(plant_ids, of="plant_id"), kind=Kind.EMERGENCY, state=State.QUEUED)
        .order_by("pk")
    )
    if not queued:
        return
    ids = [command.pk for command in queued]
    free = withdraw_unattempted(command_ids=ids, why="released", at=at)
    OutboundMessage.objects.filter(command_id__in=ids, outcome=Outcome.PENDING).update(
        outcome=Outcome.ABANDONED, outcome_at=at, detail="released"
    )
    moves = [
        Move(command_id=pk, to=State.CANCELLED if pk in free else State.UNCONFIRMED, cause="RELEASED")
        for pk in ids
    ]
    advance_many(moves=moves, at=at)
    alarmed = set(open_platform_alarm_ids(code=NOT_DELIVERED, limit=_MOST_ALARMS))
    for command in queued:
        alarm_id = undelivered_alarm_id(command)
        if alarm_id in alarmed:
            clear_platform_alarm(connection_id=command.connection_id, alarm_id=alarm_id, at=at)


# --- until delivered ----------------------------------------------------------------------------------------------


def care_for_undelivered(
    *, at: datetime, policy: Policy, limit: int = 100, new_id: NewId = uuid.uuid4
) -> int:
    """Tick: issue undelivered emergencies again and keep an alarm raised until each is delivered or withdrawn.

    `limit` is the most new messages of one connection in one run; answers how many emergencies are overdue.
    """
    overdue = Command.objects.filter(
        kind=Kind.EMERGENCY, state=State.QUEUED, due_at__lte=at - policy.emergency_reissue
    ).order_by("pk")
    alarmed = set(open_platform_alarm_ids(code=NOT_DELIVERED, limit=_MOST_ALARMS))
    count = 0
    if overdue.exists():  # nearly never: what follows costs more to compose than this to ask
        count = _keep_alarmed(overdue, alarmed, at)
        _issue_again(overdue, at=at, policy=policy, limit=limit, new_id=new_id)
    if alarmed:
        _clear_delivered(alarmed, at)
    return count


def _keep_alarmed(overdue: QuerySet[Command], alarmed: Collection[str], at: datetime) -> int:
    count = 0
    for command in overdue.select_related("plant")[:_MOST_ALARMS]:
        count += 1
        if undelivered_alarm_id(command) not in alarmed:
            _raise_alarm(command, at)
    return count


def _issue_again(
    overdue: QuerySet[Command], *, at: datetime, policy: Policy, limit: int, new_id: NewId
) -> None:
    tried: Counter[int] = Counter()
    idle = _with_nothing_on_its_way(overdue, at - policy.emergency_reissue)
    for command_id, connection_id in list(idle[:_MOST_ALARMS]):
        # The limit is each connection's own: emergencies that fail every time would use up the turn of all others.
        if tried[connection_id] == limit:
            continue
        tried[connection_id] += 1
        try:
            _reissue(command_id, at=at, new_id=new_id)
        except (ProtocolError, UndecryptableSecret):
            log.exception("emergency not issued again", action="emergency.unbuildable", command_id=command_id)


def _with_nothing_on_its_way(
    overdue: QuerySet[Command], settled_by: datetime
) -> QuerySet[Command, tuple[int, int]]:
    """(command, connection) of emergencies whose messages all came to nothing, the last of them long enough ago."""
    mine = OutboundMessage.objects.filter(command=OuterRef("pk"))
    busy = mine.filter(Q(outcome=Outcome.PENDING) | Q(outcome_at__gt=settled_by))
    return overdue.filter(~Exists(busy)).values_list("pk", "connection_id")


def _raise_alarm(command: Command, at: datetime) -> None:
    raise_platform_alarm(
        connection_id=command.connection_id,
        plant_id=command.plant_id,
        alarm_id=undelivered_alarm_id(command),
        severity="CRITICAL",
        code=NOT_DELIVERED,
        message=said(
            "Emergency #%(pk)s of %(plant)s has not reached Voke's broker.",
            pk=command.pk,
            plant=str(command.plant),
        ),
        at=at,
    )


@transaction.atomic
def _reissue(command_id: int, *, at: datetime, new_id: NewId) -> None:
    command = Command.objects.select_for_update(of=("self",)).select_related("plant").get(pk=command_id)
    waiting = OutboundMessage.objects.filter(command=command, outcome=Outcome.PENDING).exists()
    if command.state != State.QUEUED or waiting:  # delivered, released or issued again in between
        return
    connection = command.plant.connection or command.connection  # the plant may have moved since
    draft = build(
        signer=signer_of(connection),
        plant=command.plant,
        family=FAMILY[Kind.EMERGENCY],
        payload=command.payload,
        at=at,
        new_id=new_id,
    )
    stored = store_messages(connection=connection, drafts=[(command.plant, command, draft)], at=at)
    note = Note(
        command_id=command.pk,
        word="REISSUED",
        cause="NOT_DELIVERED",
        detail={"messageId": str(draft.message_id)},
        outbound_id=stored[0].pk,
    )
    append_notes(notes=[note], at=at)


def _clear_delivered(alarmed: Iterable[str], at: datetime) -> None:
    ids = [int(alarm_id.removeprefix(_ALARM_PREFIX)) for alarm_id in alarmed]
    for command in Command.objects.filter(pk__in=ids).exclude(state=State.QUEUED).order_by("pk"):
        clear_platform_alarm(
            connection_id=command.connection_id, alarm_id=undelivered_alarm_id(command), at=at
        )


def undelivered_alarm_id(command: Command) -> str:
    """The id of the alarm that stands while the emergency is not delivered."""
    return f"{_ALARM_PREFIX}{command.pk}"
