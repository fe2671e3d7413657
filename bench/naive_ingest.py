"""Ingest the way a competent developer would write it first with the same libraries: a message, a transaction.

kombu's consumer, json and a look at each field, Django's models with `exists()`, `get_or_create()` and `save()`, the
message acknowledged after its commit. Keeps what it must: history once, latest state, inbox, commands, alarms.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import UUID

import kombu
from django.db import transaction

from bench.world import Side, World
from dispatch.models import Command, CommandEvent, OutboundMessage
from plants.models import (
    Alarm,
    AlarmOrigin,
    Disposition,
    InboundMessage,
    MeterReading,
    Plant,
    PlantState,
    TelemetryReading,
)

RANKS = {"GOOD": 3, "INTERPOLATED": 2, "STALE": 1}
MEASURED = {
    "grid_power_kw": "gridPowerKw",
    "fve_power_kw": "fvePowerKw",
    "battery_power_kw": "batteryPowerKw",
    "consumption_power_kw": "consumptionPowerKw",
    "soc_pct": "socPercent",
    "available_battery_energy_kwh": "availableBatteryEnergyKwh",
    "battery_temperature_c": "batteryTemperatureCelsius",
}
REGISTERS = {
    "import_register_kwh": "importRegisterKwh",
    "export_register_kwh": "exportRegisterKwh",
    "production_register_kwh": "productionRegisterKwh",
    "charge_register_kwh": "chargeRegisterKwh",
    "discharge_register_kwh": "dischargeRegisterKwh",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """An envelope whose fields were looked at."""

    message_id: str
    timestamp: datetime
    site_id: str
    correlation_id: str
    payload: dict[str, Any]
    routing_key: str
    body: bytes


def read(body: bytes, routing_key: str) -> Message:
    """Decode and check an envelope; ValueError when something is wrong with it."""
    envelope = json.loads(body)
    if envelope.get("version") != "1.1":
        raise ValueError("version")
    for name in ("messageId", "timestamp", "source", "siteId"):
        if not isinstance(envelope.get(name), str) or not 0 < len(envelope[name]) <= 128:
            raise ValueError(name)
    if not isinstance(envelope.get("payload"), dict):
        raise ValueError("payload")
    return Message(
        message_id=envelope["messageId"],
        timestamp=datetime.fromisoformat(envelope["timestamp"]),
        site_id=envelope["siteId"],
        correlation_id=envelope.get("correlationId", ""),
        payload=envelope["payload"],
        routing_key=routing_key,
        body=body,
    )


def number(value: Any) -> float | None:
    """A number or nothing."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("no number")


class NaiveConsumer:
    """Stores the messages of one connection one by one."""

    def __init__(self, *, connection_id: int, clock: Callable[[], datetime]) -> None:
        self._connection_id = connection_id
        self._clock = clock

    def handle(self, message: Message) -> None:
        """One message in one transaction."""
        family = message.routing_key.split(".event.", 1)[1]
        at = self._clock()
        with transaction.atomic():
            if family.startswith("telemetry.realtime"):
                self._realtime(message, at)
            elif family.startswith("telemetry.meter"):
                self._meter(message, at)
            elif self._is_new(message, family, at):
                if family.startswith("alarm"):
                    self._alarm(message, at)
                else:
                    self._word(message, at)

    def _plant(self, message: Message) -> Plant:
        return Plant.objects.get(connection_id=self._connection_id, voke_uuid=UUID(message.site_id))

    def _realtime(self, message: Message, at: datetime) -> None:
        payload, plant = message.payload, self._plant(message)
        values = {name: number(payload.get(wire)) for name, wire in MEASURED.items()}
        values |= {
            "operating_mode": payload.get("currentOperatingMode") or "",
            "data_quality": payload["dataQuality"],
        }
        if not TelemetryReading.objects.filter(plant=plant, measured_at=message.timestamp).exists():
            TelemetryReading(
                plant=plant,
                measured_at=message.timestamp,
                received_at=at,
                quality_rank=RANKS.get(payload["dataQuality"], 0),
                **values,
            ).save()
        state, _ = PlantState.objects.get_or_create(plant=plant)
        if state.measured_at is None or message.timestamp > state.measured_at:
            state.measured_at, state.received_at = message.timestamp, at
            state.devices = payload.get("devices") or []
            for name, value in values.items():
                setattr(state, name, value)
            state.save()

    def _meter(self, message: Message, at: datetime) -> None:
        payload, plant = message.payload, self._plant(message)
        reading_at = datetime.fromisoformat(payload["readingAt"])
        for meter in payload["meters"]:
            key = {"plant": plant, "device_id": meter["deviceId"], "reading_at": reading_at}
            if not MeterReading.objects.filter(**key).exists():
                MeterReading(
                    **key,
                    received_at=at,
                    role=meter.get("role") or "",
                    data_quality=payload["dataQuality"],
                    quality_rank=RANKS.get(payload["dataQuality"], 0),
                    **{name: number(meter.get(wire)) for name, wire in REGISTERS.items()},
                ).save()

    def _is_new(self, message: Message, family: str, at: datetime) -> bool:
        _, made = InboundMessage.objects.get_or_create(
            connection_id=self._connection_id,
            message_id=message.message_id,
            defaults={
                "plant": self._plant(message),
                "correlation_id": message.correlation_id,
                "routing_key": message.routing_key,
                "family": family,
                "sent_at": message.timestamp,
                "received_at": at,
                "disposition": Disposition.APPLIED,
                "body": message.body,
            },
        )
        return made

    def _alarm(self, message: Message, at: datetime) -> None:
        payload = message.payload
        cleared = payload.get("clearedAt")
        alarm, made = Alarm.objects.get_or_create(
            connection_id=self._connection_id,
            origin=AlarmOrigin.VOKE,
            alarm_id=payload["alarmId"],
            defaults={
                "plant": self._plant(message),
                "severity": payload["severity"],
                "code": payload["code"],
                "message": payload["message"],
                "raised_at": datetime.fromisoformat(payload["raisedAt"]),
                "cleared_at": datetime.fromisoformat(cleared) if cleared else None,
                "told_at": message.timestamp,
                "received_at": at,
                "actual_value": payload.get("actualValue"),
                "expected_value": payload.get("expectedValue"),
                "breached_field": payload.get("breachedField") or "",
            },
        )
        if not made and cleared:
            alarm.cleared_at = datetime.fromisoformat(cleared)
            alarm.told_at = message.timestamp
            alarm.save()

    def _word(self, message: Message, at: datetime) -> None:
        payload = message.payload
        sent = OutboundMessage.objects.get(
            connection_id=self._connection_id, correlation_id=UUID(message.correlation_id)
        )
        command = Command.objects.select_for_update().get(pk=sent.command_id)
        inbound = InboundMessage.objects.get(connection_id=self._connection_id, message_id=message.message_id)
        command.state, command.state_at = payload["status"], at
        command.save()
        CommandEvent.objects.create(
            command=command,
            at=at,
            told_at=message.timestamp,
            word=payload["status"],
            verdict="APPLIED",
            actor="Voke",
            detail=payload,
            outbound_id=sent.pk,
            inbound_id=inbound.pk,
        )


def naive_rate(
    world: World, side: Side, *, count: int, prefetch: int, clock: Callable[[], datetime]
) -> float:
    """Messages a second: connect, store and acknowledge `count` messages one after the other."""
    consumer = NaiveConsumer(connection_id=side.connection.pk, clock=clock)
    done = 0

    def on_message(message: Any) -> None:
        nonlocal done
        consumer.handle(read(message.body, message.delivery_info["routing_key"]))
        message.ack()
        done += 1

    began = perf_counter()
    with kombu.Connection(
        hostname="localhost",
        port=world.rabbit.port,
        userid=side.partner.slug,
        password=side.partner.api_key,
        virtual_host=side.partner.vhost,
        ssl={"ca_certs": str(world.rabbit.ca_file), "server_hostname": "localhost"},
    ) as connection:
        queues = [
            kombu.Queue(side.partner.queues[name], no_declare=True)
            for name in ("eventTelemetry", "eventStatus", "eventAlarm", "eventExecution")
        ]
        with kombu.Consumer(connection, queues, on_message=on_message, auto_declare=False) as consuming:
            consuming.qos(prefetch_count=prefetch, apply_global=False)
            while done < count:
                try:
                    connection.drain_events(timeout=30)
                except TimeoutError as error:
                    raise TimeoutError(f"{done} of {count} came") from error
    return count / (perf_counter() - began)
