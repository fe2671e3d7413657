"""Asking for a command and taking one back; `dispatch.services.due` puts due ones into the outbox.

A command is checked against plant, assets, limits, scopes, switches and latch before anything is stored, and what is
stored is complete: command, event and (when it is due) the signed message, in one transaction.

Edge cases (the concurrency policy):
- The plant's row is locked while a command is stored, so that an emergency either sees the command and takes it back,
  or is seen by it.
- The same idempotency key from two callers at once: the unique key lets one in, the other reads what it wrote.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, Kind
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandRequest
from dispatch.rules import check_request
from dispatch.services.anew import CANNOT_BUILD
from dispatch.services.checks import (
    as_sent,
    command_values,
    latched_by,
    require_possible,
    require_usable,
    site_facts,
    told_reason,
    weaker_than_stop,
)
from dispatch.services.due import enqueue
from dispatch.services.life import Move, advance_many, append_events
from dispatch.services.outbox import withdraw_unattempted
from dispatch.services.verification import ToProve, open_verifications
from dispatch.states import ENDED, State, Verdict
from dispatch.telling import tell_made
from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, DomainError, NotFound, Several
from plants.models import Asset, Connection, Installation, Plant
from vcp import Emergency, EmergencyType, ProtocolError, SiteSetpoint
from vcp.said import said, told_by


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The command, and whether this call made it (False: the idempotency key was known)."""

    command: Command
    created: bool


def submit(
    *,
    organisation_id: int,
    request: CommandRequest,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> Submitted:
    """Store a command of a plant of the organisation; emergencies go through `dispatch.services.emergency`.

    Raises `NotFound`, `Conflict` (switch off, latched, observing, key reused, can't be signed) or `Several` (limits,
    assets, malformed values).
    """
    if request.kind is Kind.EMERGENCY:
        raise ValueError("emergencies are sent by dispatch.services.emergency, which also latches the plant")
    known = find_by_key(organisation_id=organisation_id, request=request)
    if known is not None:
        return Submitted(command=known, created=False)
    try:
        with transaction.atomic():
            plant = lock_plant(organisation_id=organisation_id, external_plant_id=request.external_plant_id)
            _refuse_latched(plant)
            command = store_command(
                plant=plant, request=request, actor=actor, at=at, policy=policy, new_id=new_id
            )
    except IntegrityError:
        known = find_by_key(organisation_id=organisation_id, request=request)
        if known is None:
            raise
        return Submitted(command=known, created=False)
    return Submitted(command=command, created=True)


def check(*, organisation_id: int, request: CommandRequest, at: datetime, policy: Policy) -> None:
    """A dry run of `submit` (or of an emergency): raises what it would raise, stores nothing."""
    if find_by_key(organisation_id=organisation_id, request=request) is not None:
        return
    with transaction.atomic():
        plant = lock_plant(organisation_id=organisation_id, external_plant_id=request.external_plant_id)
        if isinstance(request.payload, Emergency):
            refuse_weaker(plant, request.payload)
        else:
            _refuse_latched(plant)
        _check(plant, as_sent(request, plant, at=at), at, policy)


def find_by_key(*, organisation_id: int, request: CommandRequest) -> Command | None:
    """The command that was made under the request's idempotency key; `Conflict` when it asked for something else.

    Every request passes here first: `Several` when it is malformed in itself.
    """
    problems = check_request(request)
    if problems:
        raise Several(problems)
    if request.idempotency_key is None:
        return None
    known = Command.objects.filter(
        organisation_id=organisation_id, idempotency_key=request.idempotency_key
    ).first()
    if known is not None and known.request_digest != request.digest():
        raise Conflict(
            said("the key was used for another request"), path="idempotencyKey", code="IDEMPOTENCY_KEY_REUSED"
        )
    return known


def lock_plant(*, organisation_id: int, external_plant_id: str) -> Plant:
    """The plant, locked against other commands and emergencies until the transaction ends."""
    plant = (
        Plant.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection")
        .defer(
            "connection__amqps_uri", "connection__api_key", "connection__signing_key"
        )  # read when it signs
        .filter(organisation_id=organisation_id, external_plant_id=external_plant_id)
        .first()
    )
    if plant is None:
        raise NotFound(
            said("no plant %(external_plant_id)s", external_plant_id=repr(external_plant_id)),
            path="plant",
            code="PLANT_NOT_FOUND",
        )
    return plant


def _refuse_latched(plant: Plant) -> None:
    latch = EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True).first()
    if latch is not None:
        raise latched_by(latch.type)


def refuse_weaker(plant: Plant, payload: Emergency) -> None:
    """`Conflict` for a HOLD while a STOP is in force: sent after it, the HOLD would take the STOP's place at Voke.

    Nothing is stored, as with everything else that a latch refuses (ADR 4): who asks learns at once that the plant is
    under the stronger word.
    """
    in_force = EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True, type="STOP")
    if payload.type is EmergencyType.HOLD and in_force.exists():
        raise weaker_than_stop()


def store_command(
    *, plant: Plant, request: CommandRequest, actor: Actor, at: datetime, policy: Policy, new_id: NewId
) -> Command:
    """Check and store a command of a locked plant; one that is due now enters the outbox in the same step."""
    asked = as_sent(request, plant, at=at)
    connection = _check(plant, asked, at, policy)
    command = _create(plant, connection, asked, actor=actor, at=at, policy=policy, as_asked=request)
    if command.due_at <= at:
        try:
            enqueue(commands=[command], at=at, new_id=new_id)
        except (ProtocolError, UndecryptableSecret) as error:  # the connection's facts do not make a message
            raise Conflict(
                said("no message can be built: %(error)s", error=told_by(error)), code=CANNOT_BUILD
            ) from error
    return command


def store_refused(
    *,
    plant: Plant,
    connection: Connection,
    request: CommandRequest,
    actor: Actor,
    refusal: DomainError,
    at: datetime,
    policy: Policy,
) -> Command:
    """Record a command that belongs to something done, and can't be sent: it ends as CANCELLED with the refusal's code.

    `connection` is the one that it would have gone over.
    """
    asked = as_sent(request, plant, at=at)
    command = _create(plant, connection, asked, actor=actor, at=at, policy=policy, as_asked=request)
    move = Move(
        command_id=command.pk,
        to=State.CANCELLED,
        cause=refusal.code,
        actor=actor.name,
        detail={"error": refusal.message},
    )
    advance_many(moves=[move], at=at)
    command.refresh_from_db()
    return command


def _create(
    plant: Plant,
    connection: Connection,
    request: CommandRequest,
    *,
    actor: Actor,
    at: datetime,
    policy: Policy,
    as_asked: CommandRequest,
) -> Command:
    """`as_asked`: the request before it was given an end."""
    values = command_values(
        plant=plant,
        connection_id=connection.pk,
        request=request,
        actor=actor,
        at=at,
        policy=policy,
        digest=as_asked.digest(),
        own_end=request is as_asked,
    )
    command = Command(**values)
    command.plant, command.connection = plant, connection
    command.save(force_insert=True)
    requested = Move(
        command_id=command.pk,
        to=State.SCHEDULED,
        cause="REQUESTED",
        actor=actor.name,
        detail=told_reason(request),
    )
    append_events(moves=[requested], words=[Verdict.APPLIED], at=at)
    tell_made([(command.pk, values)], at=at)
    if isinstance(request.payload, SiteSetpoint):
        proven = ToProve(command.pk, plant.pk, request.payload, command.due_at)
        open_verifications(setpoints=[proven], policy=policy)
    return command


def _check(plant: Plant, request: CommandRequest, at: datetime, policy: Policy) -> Connection:
    connection = require_usable(
        plant,
        plant.connection,
        FAMILY[request.kind],
        policy=policy,
        installation_on=not Installation.objects.filter(pk=1, dispatch_enabled=False).exists(),
    )
    assets = Asset.objects.filter(plant=plant).values_list("external_id", "asset_type", "rated_power_kw")
    require_possible(request, site_facts(plant, list(assets)), at=at, policy=policy)
    return connection


def cancel(*, organisation_id: int, command_id: int, actor: Actor, reason: str, at: datetime) -> Command:
    """Take a command back while nothing of it was sent; `Conflict` when a byte may already have left."""
    with transaction.atomic():
        command = (
            Command.objects.select_for_update(of=("self",))
            .filter(organisation_id=organisation_id, pk=command_id)
            .first()
        )
        if command is None:
            raise NotFound(said("no such command"), path="command", code="COMMAND_NOT_FOUND")
        if command.kind == Kind.EMERGENCY:
            raise Conflict(said("an emergency is released, not cancelled"), code="RELEASE_INSTEAD")
        if State(command.state) in ENDED:
            raise Conflict(
                said("the command is already %(state)s", state=command.state), code="ALREADY_FINAL"
            )
        free = withdraw_unattempted(command_ids=[command.pk], why="cancelled", at=at)
        move = Move(
            command_id=command.pk,
            to=State.CANCELLED,
            cause="CANCELLED",
            actor=actor.name,
            detail={"reason": reason},
        )
        if command.pk not in free or advance_many(moves=[move], at=at) != [Verdict.APPLIED]:
            raise Conflict(
                said("the command is %(state)s and may already have been sent", state=command.state),
                code="ALREADY_SENT",
            )
    command.refresh_from_db()
    return command
