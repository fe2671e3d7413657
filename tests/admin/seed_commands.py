"""Commands in every state, each with a timeline that could have happened."""

import json
import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import submit
from dispatch.services.emergency import release, send_emergency
from dispatch.services.life import Move, advance_many, append_events
from dispatch.services.orders import Selection, count_selection, release_order, send_order
from dispatch.states import State
from plants.models import (
    ConnectionMode,
    Disposition,
    InboundMessage,
    Plant,
)
from vcp import AssetType as Kind
from vcp import (
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    DeviceParams,
    Direction,
    Emergency,
    EmergencyType,
    Mode,
    OperatingMode,
    Priority,
    SetpointType,
    SiteSetpoint,
    format_timestamp,
)

_DOUBTFUL = ("ACK_OVERDUE", "NEVER_CONFIRMED")
JOURNEYS: Sequence[Sequence[tuple[State, str]]] = (
    [
        (State.SENT, "CONFIRMED"),
        (State.ACCEPTED, "ACK_ACCEPTED"),
        (State.EXECUTING, "EXECUTION_EXECUTING"),
        (State.COMPLETED, "EXECUTION_COMPLETED"),
    ],
    [
        (State.SENT, "CONFIRMED"),
        (State.ACCEPTED, "ACK_ACCEPTED"),
        (State.COMPLETED, "EXECUTION_COMPLETED"),
        (State.EXECUTING, "EXECUTION_EXECUTING"),
    ],
    [(State.SENT, "CONFIRMED"), (State.ACCEPTED, "ACK_ACCEPTED"), (State.DEVIATED, "EXECUTION_DEVIATED")],
    [(State.SENT, "CONFIRMED"), (State.REJECTED, "CONSTRAINT_VIOLATION")],
    [(State.SENT, "CONFIRMED"), (State.UNCONFIRMED, "ACK_OVERDUE")],
    [(State.SENT, "CONFIRMED"), (State.UNCONFIRMED, "ACK_OVERDUE"), (State.ACCEPTED, "ACK_ACCEPTED")],
    [(State.SENT, "CONFIRMED"), (State.PARTIAL, "ACK_PARTIAL")],
    [(State.SENT, "CONFIRMED"), (State.QUEUED_BY_VOKE, "ACK_QUEUED")],
    [(State.SENT, "CONFIRMED"), (State.ACCEPTED, "ACK_ACCEPTED"), (State.FAILED, "EXECUTION_FAILED")],
    [(State.SENT, "CONFIRMED"), (State.ACCEPTED, "ACK_ACCEPTED"), (State.EXECUTING, "EXECUTION_EXECUTING")],
    [(State.SENT, "CONFIRMED"), (State.ACCEPTED, "ACK_ACCEPTED")],
    [(State.SENT, "CONFIRMED")],
    [(State.RETURNED, "BROKER_RETURNED")],
    [(State.REFUSED, "BROKER_REFUSED")],
    [(State.EXPIRED, "DELIVER_BY_PASSED")],
    [(State.CANCELLED, "CANCELLED")],
    [(State.SUPERSEDED, "EMERGENCY")],
    [],
)
_SPOKEN = {
    State.ACCEPTED,
    State.REJECTED,
    State.PARTIAL,
    State.QUEUED_BY_VOKE,
    State.EXECUTING,
    State.COMPLETED,
    State.DEVIATED,
    State.FAILED,
}


def _payload(number: int, at: datetime, chance: random.Random) -> Any:
    match number % 3:
        case 0:
            return SiteSetpoint(
                type=SetpointType.POWER,
                target_value_kw=float(chance.randint(20, 280)),
                direction=chance.choice(list(Direction)),
                include_consumption=True,
                priority=Priority.NORMAL,
                valid_from=at,
                valid_until=at + timedelta(minutes=30),
            )
        case 1:
            discharge = DeviceCommand(
                device_id="B1",
                asset_type=Kind.BESS,
                command=DeviceCommandType.BESS_DISCHARGE,
                params=DeviceParams(power_kw=60.0, respect_limits=True),
            )
            curtail = DeviceCommand(
                device_id="INV-1",
                asset_type=Kind.INVERTER,
                command=DeviceCommandType.FVE_REDUCE_PERCENT,
                params=DeviceParams(percent=40.0),
            )
            return DeviceBatch(commands=(discharge,) if number % 2 else (discharge, curtail))
        case _:
            return Mode(mode=chance.choice(list(OperatingMode)), reason="Cap the 14:00 quarter")


def make_commands(plants: Sequence[Plant], count: int, at: datetime, chance: random.Random) -> list[Command]:
    usable = [
        plant
        for plant in plants
        if plant.dispatch_enabled
        and plant.connection is not None
        and plant.connection.mode == ConnectionMode.ACTIVE
    ]
    made = []
    for number in range(count):
        asked_at = at - timedelta(minutes=(count - number) * 3)
        plant = usable[number % len(usable)]
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=_payload(2 if number % 17 == 16 else number, asked_at, chance),
            reason="Price is above 120 EUR/MWh" if number % 4 == 0 else "",
            batch_ref="day-ahead-14" if number % 5 == 0 else "",
            automatic=number % 5 == 0,
            due_at=at + timedelta(hours=2) if number % 17 == 16 else None,
        )
        actor = Actor(name="day plan" if number % 5 == 0 else "jana")
        command = submit(
            organisation_id=plant.organisation_id,
            request=request,
            actor=actor,
            at=asked_at,
            policy=current_policy(),
        ).command
        if number % 17 != 16:
            _travel(command, JOURNEYS[number % len(JOURNEYS)], asked_at, chance)
        made.append(command)
    return made


def _travel(
    command: Command, journey: Sequence[tuple[State, str]], asked_at: datetime, chance: random.Random
) -> None:
    message = OutboundMessage.objects.get(command=command)
    moment = asked_at
    for to, cause in journey:
        moment += timedelta(seconds=60 if cause in _DOUBTFUL else chance.uniform(0.05, 8))
        spoken = to in _SPOKEN
        inbound = _event(command, message, to, cause, moment) if spoken else None
        late = (
            timedelta(seconds=41)
            if cause == "ACK_ACCEPTED" and chance.random() < 0.2
            else timedelta(seconds=0.4)
        )
        detail: dict[str, Any] = {"status": to.value} if spoken else {}
        if to is State.DEVIATED:
            detail |= {"actualKw": 118.0, "targetKw": 159.0}
        if to is State.PARTIAL:
            detail |= {
                "results": [
                    {"deviceId": "B1", "status": "ACCEPTED"},
                    {"deviceId": "INV-1", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT"},
                ]
            }
        advance_many(
            moves=[
                Move(
                    command_id=command.pk,
                    to=to,
                    cause=cause,
                    actor=_actor(to, cause),
                    told_at=moment - late if spoken else None,
                    detail=detail,
                    outbound_id=message.pk,
                    inbound_id=None if inbound is None else inbound.pk,
                    ack_due_at=moment + timedelta(seconds=60) if to is State.SENT else None,
                )
            ],
            at=moment,
        )
        if cause == "CONFIRMED":
            OutboundMessage.objects.filter(pk=message.pk).update(
                outcome=Outcome.CONFIRMED, outcome_at=moment, attempted_at=moment, attempts=1
            )
    if journey:
        last = journey[-1][0]
        outcomes = {State.RETURNED: Outcome.RETURNED, State.REFUSED: Outcome.REFUSED}
        never = {State.EXPIRED, State.CANCELLED, State.SUPERSEDED}
        if last in outcomes or last in never:
            OutboundMessage.objects.filter(pk=message.pk).update(
                outcome=outcomes.get(last, Outcome.WITHDRAWN), outcome_at=moment
            )


def _actor(to: State, cause: str) -> str:
    if to in _SPOKEN:
        return "Voke"
    if cause == "CANCELLED":
        return "jana"
    return "relay" if cause in ("CONFIRMED", "BROKER_RETURNED", "BROKER_REFUSED") else ""


def _event(command: Command, message: OutboundMessage, to: State, cause: str, at: datetime) -> InboundMessage:
    message_id = str(uuid.uuid4())
    body = {
        "version": "1.1",
        "messageId": message_id,
        "correlationId": str(message.correlation_id),
        "timestamp": format_timestamp(at),
        "source": "voke",
        "siteId": str(command.plant.voke_uuid),
        "payload": {"commandType": command.kind, "status": to.value},
    }
    return InboundMessage.objects.create(
        connection=command.connection,
        plant=command.plant,
        message_id=message_id,
        correlation_id=str(message.correlation_id),
        routing_key="acme.event.execution" if cause.startswith("EXECUTION") else "acme.event.command.ack",
        family="event.execution" if cause.startswith("EXECUTION") else "event.command.ack",
        sent_at=at,
        received_at=at,
        disposition=Disposition.APPLIED,
        body=json.dumps(body).encode(),
    )


def make_emergencies(plants: Sequence[Plant], at: datetime) -> None:
    reachable = [
        plant
        for plant in plants
        if plant.connection and plant.connection.mode == ConnectionMode.ACTIVE and plant.dispatch_enabled
    ]
    for plant, kind, minutes in (
        (reachable[1], EmergencyType.STOP, 14),
        (reachable[2], EmergencyType.HOLD, 200),
    ):
        send_emergency(
            organisation_id=plant.organisation_id,
            request=CommandRequest(
                external_plant_id=plant.external_plant_id,
                payload=Emergency(type=kind, reason="Smoke in the battery hall"),
                reason="Smoke in the battery hall",
            ),
            actor=Actor(name="jana"),
            at=at - timedelta(minutes=minutes),
            policy=current_policy(),
        )
    release(
        organisation_id=reachable[2].organisation_id,
        external_plant_id=reachable[2].external_plant_id,
        actor=Actor(name="jana"),
        reason="Checked on site, false alarm",
        at=at - timedelta(minutes=150),
        policy=current_policy(),
    )
    make_order(reachable[2], at - timedelta(minutes=140))


def make_order(plant: Plant, at: datetime) -> None:
    """An order for one plant, released after ten minutes."""
    selection = Selection(plant_ids=frozenset({plant.pk}))
    counted = count_selection(organisation_id=plant.organisation_id, selection=selection)
    order = send_order(
        organisation_id=plant.organisation_id,
        selection=selection,
        token=counted.token,
        type=EmergencyType.STOP,
        reason="Storm over the valley",
        key="storm",
        actor=Actor(name="jana"),
        at=at,
        policy=current_policy(),
    )
    release_order(
        organisation_id=plant.organisation_id,
        order_id=order.pk,
        actor=Actor(name="jana"),
        reason="The storm is over",
        at=at + timedelta(minutes=10),
        policy=current_policy(),
    )


def note_something(command: Command, *, at: datetime) -> None:
    """An event that moved nothing, with a detail that this version does not know."""
    append_events(
        moves=[Move(command_id=command.pk, to=State.SENT, cause="SOMETHING_NEW", detail={"odd": 1})],
        words=["NOTE"],
        at=at,
    )
