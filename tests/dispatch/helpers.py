"""Small steps that the tests of dispatch share: asking, claiming, confirming, reading back."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from dispatch.models import Command, CommandEvent, OutboundMessage, Outcome
from dispatch.requests import CommandPayload, CommandRequest
from dispatch.services import commands, emergency
from dispatch.services.claim import Claimed, claim, take_lease
from dispatch.services.confirms import Word, record
from plants.models import Connection, Plant
from tests import factories
from tests.factories import AT, OPERATOR
from vcp import (
    AssetType,
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
)

RELAY = "relay-1"
LEASE = timedelta(hours=6)


def setpoint(kw: float | None = 10.0, **changes: Any) -> SiteSetpoint:
    facts: dict[str, Any] = {
        "type": SetpointType.POWER,
        "target_value_kw": kw,
        "direction": Direction.EXPORT,
        "include_consumption": True,
        "priority": Priority.NORMAL,
        "valid_from": AT,
        "valid_until": AT + timedelta(minutes=15),
    }
    return SiteSetpoint(**(facts | changes))


def energy(kwh: float, minutes: int = 15, **changes: Any) -> SiteSetpoint:
    facts = {"type": SetpointType.ENERGY, "target_value_kwh": kwh, "interval_minutes": minutes}
    return setpoint(None, **(facts | changes))


def mode(word: OperatingMode = OperatingMode.PEAK_SHAVING, **changes: Any) -> Mode:
    return Mode(mode=word, **changes)


def device(
    device_id: str = "B1",
    kind: AssetType = AssetType.BESS,
    command: DeviceCommandType = DeviceCommandType.BESS_CHARGE,
    **params: Any,
) -> DeviceCommand:
    return DeviceCommand(
        device_id=device_id,
        asset_type=kind,
        command=command,
        params=DeviceParams(**params) if params else None,
    )


def batch(*commands_of_batch: DeviceCommand) -> DeviceBatch:
    return DeviceBatch(commands=commands_of_batch or (device(power_kw=20.0),))


def stop_now(reason: str | None = None) -> Emergency:
    return Emergency(type=EmergencyType.STOP, reason=reason)


def hold_now() -> Emergency:
    return Emergency(type=EmergencyType.HOLD)


def request_for(plant: Plant, payload: CommandPayload, **changes: Any) -> CommandRequest:
    return CommandRequest(external_plant_id=plant.external_plant_id, payload=payload, **changes)


def ask(plant: Plant, payload: CommandPayload, *, at: datetime = AT, **changes: Any) -> Command:
    """Ask for anything, emergencies too; the command as it was stored."""
    send = emergency.send_emergency if isinstance(payload, Emergency) else commands.submit
    return send(
        organisation_id=plant.organisation_id,
        request=request_for(plant, payload, **changes),
        actor=OPERATOR,
        at=at,
        policy=factories.policy(),
    ).command


def release(plant: Plant, *, at: datetime = AT, reason: str = "the fire is out") -> Command:
    return emergency.release(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        actor=OPERATOR,
        reason=reason,
        at=at,
        policy=factories.policy(),
    )


def lease(
    link: Connection, *, at: datetime = AT, holder: str = RELAY, ttl: timedelta = LEASE
) -> datetime | None:
    with transaction.atomic():
        return take_lease(connection_id=link.pk, holder=holder, at=at, ttl=ttl)


def claims(link: Connection, *, at: datetime = AT, window: int = 50, holder: str = RELAY) -> list[Claimed]:
    """Renew the lease and claim a window."""
    _, claimed = claim(
        connection=link, holder=holder, ttl=LEASE, window=window, at=at, policy=factories.policy()
    )
    return claimed


def broker_says(outcome: Outcome, *claimed: Claimed, at: datetime = AT, detail: str = "") -> None:
    record(
        words=[Word(outbound_id=one.outbound_id, outcome=outcome, detail=detail) for one in claimed],
        at=at,
        policy=factories.policy(),
    )


def deliver(link: Connection, *, at: datetime = AT) -> list[Claimed]:
    """Claim everything, window by window, and let the broker confirm it."""
    delivered: list[Claimed] = []
    while claimed := claims(link, at=at):
        broker_says(Outcome.CONFIRMED, *claimed, at=at)
        delivered += claimed
    return delivered


def state_of(command: Command) -> str:
    command.refresh_from_db()
    return command.state


def words_of(command: Command) -> list[tuple[str, str]]:
    """(word, verdict) of every event of a command, in order."""
    return list(CommandEvent.objects.filter(command=command).order_by("pk").values_list("word", "verdict"))


def last_event(command: Command) -> CommandEvent:
    return CommandEvent.objects.filter(command=command).order_by("-pk")[0]


def message_of(command: Command) -> OutboundMessage:
    return OutboundMessage.objects.get(command=command)


def messages_of(command: Command) -> list[OutboundMessage]:
    return list(OutboundMessage.objects.filter(command=command).order_by("pk"))


def envelope_of(message: OutboundMessage) -> dict[str, Any]:
    return json.loads(bytes(message.body))
