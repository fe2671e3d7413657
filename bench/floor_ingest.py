"""The raw parts of ingest alone: reading and decoding messages, and writing their history rows; nothing is decided.

Nothing is deduplicated, no site is resolved, no state is kept, nothing is checked beyond types; a part knows nothing of
the other. The same libraries, TLS, quorum queues, durable commits, bytes and batch sizes as the platform.
"""

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

import msgspec

from bench.messages import Wire, plain_connection
from bench.world import Side, World

TELEMETRY_COLUMNS = (
    "plant_id", "measured_at", "received_at", "grid_power_kw", "fve_power_kw", "battery_power_kw",
    "consumption_power_kw", "soc_pct", "available_battery_energy_kwh", "battery_temperature_c", "operating_mode",
    "data_quality", "quality_rank",
)  # fmt: skip
TELEMETRY_TYPES = ("int8", "timestamptz", "timestamptz", *["float8"] * 7, "varchar", "varchar", "int2")
METER_COLUMNS = (
    "plant_id", "device_id", "reading_at", "received_at", "role", "import_register_kwh", "export_register_kwh",
    "production_register_kwh", "charge_register_kwh", "discharge_register_kwh", "data_quality", "quality_rank",
)  # fmt: skip
METER_TYPES = ("int8", "varchar", "timestamptz", "timestamptz", "varchar", *["float8"] * 5, "varchar", "int2")


class Device(msgspec.Struct, rename="camel"):
    """Of a realtime message."""

    deviceId: str
    assetType: str | None = None
    powerKw: float | None = None
    socPercent: float | None = None
    status: str | None = None


class Realtime(msgspec.Struct):
    """Payload."""

    dataQuality: str
    gridPowerKw: float | None = None
    fvePowerKw: float | None = None
    batteryPowerKw: float | None = None
    consumptionPowerKw: float | None = None
    socPercent: float | None = None
    availableBatteryEnergyKwh: float | None = None
    batteryTemperatureCelsius: float | None = None
    currentOperatingMode: str | None = None
    devices: list[Device] = []


class Register(msgspec.Struct):
    """Of a meter message."""

    deviceId: str
    role: str | None = None
    importRegisterKwh: float | None = None
    exportRegisterKwh: float | None = None
    productionRegisterKwh: float | None = None
    chargeRegisterKwh: float | None = None
    dischargeRegisterKwh: float | None = None


class Meters(msgspec.Struct):
    """Payload."""

    readingAt: datetime
    dataQuality: str
    meters: list[Register]


class Envelope(msgspec.Struct):
    """Around each message; its payload is decoded when the routing key has told its kind."""

    version: str
    messageId: str
    timestamp: datetime
    source: str
    siteId: str
    payload: msgspec.Raw
    correlationId: str | None = None


_envelope = msgspec.json.Decoder(Envelope).decode
_realtime = msgspec.json.Decoder(Realtime).decode
_meters = msgspec.json.Decoder(Meters).decode


def decode(routing_key: str, body: bytes) -> tuple[Envelope, Realtime | Meters]:
    """Envelope and payload."""
    envelope = _envelope(body)
    read = _meters if ".meter." in routing_key else _realtime
    return envelope, read(envelope.payload)


def consume_rate(world: World, side: Side, *, count: int, prefetch: int, batch: int) -> float:
    """Messages a second: connect, read and decode all, acknowledge every `batch` of them."""
    began = perf_counter()
    connection = plain_connection(world, side)
    channel = connection.channel()
    seen: list[tuple[Envelope, Realtime | Meters]] = []
    total = 0

    def on_message(message: Any) -> None:
        nonlocal total
        seen.append(decode(message.delivery_info["routing_key"], message.body))
        if len(seen) == batch:
            channel.basic_ack(message.delivery_tag, multiple=True)
            total += batch
            seen.clear()

    channel.auto_decode = False
    for name in ("eventTelemetry", "eventStatus", "eventAlarm", "eventExecution"):
        channel.basic_qos(0, prefetch, False)
        channel.basic_consume(side.partner.queues[name], callback=on_message)
    while total + len(seen) < count:
        connection.drain_events(timeout=30)
    if seen:
        channel.basic_ack(0, multiple=True)
    took_s = perf_counter() - began
    connection.close()
    return count / took_s


Rows = list[tuple[Any, ...]]


def history_rows(
    wires: Sequence[Wire], *, plants: dict[str, int], batch: int, at: datetime
) -> list[tuple[Rows, Rows]]:
    """The rows that the messages come to, as (telemetry, meters) of each batch."""
    batches: list[tuple[Rows, Rows]] = []
    for begin in range(0, len(wires), batch):
        telemetry: Rows = []
        meters: Rows = []
        for wire in wires[begin : begin + batch]:
            envelope, payload = decode(wire.routing_key, wire.body)
            if isinstance(payload, Realtime):
                telemetry.append(_telemetry_row(envelope, payload, plants[envelope.siteId], at))
            else:
                meters += [_meter_row(one, payload, plants[envelope.siteId], at) for one in payload.meters]
        batches.append((sorted(telemetry, key=_key), sorted(meters, key=_meter_key)))
    return batches


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:2]


def _meter_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:3]


def _telemetry_row(envelope: Envelope, payload: Realtime, plant_id: int, at: datetime) -> tuple[Any, ...]:
    return (
        plant_id, envelope.timestamp, at, payload.gridPowerKw, payload.fvePowerKw, payload.batteryPowerKw,
        payload.consumptionPowerKw, payload.socPercent, payload.availableBatteryEnergyKwh,
        payload.batteryTemperatureCelsius, payload.currentOperatingMode or "", payload.dataQuality, 3,
    )  # fmt: skip


def _meter_row(one: Register, payload: Meters, plant_id: int, at: datetime) -> tuple[Any, ...]:
    return (
        plant_id, one.deviceId, payload.readingAt, at, one.role or "", one.importRegisterKwh, one.exportRegisterKwh,
        one.productionRegisterKwh, one.chargeRegisterKwh, one.dischargeRegisterKwh, payload.dataQuality, 3,
    )  # fmt: skip


def copy_rate(world: World, batches: Sequence[tuple[Rows, Rows]], *, count: int) -> float:
    """Messages a second: COPY BINARY of their rows into the empty tables, one commit per batch."""
    with world.database() as database:
        began = perf_counter()
        for telemetry, meters in batches:
            with database.transaction(), database.cursor() as cursor:
                _copy(cursor, "plants_telemetryreading", TELEMETRY_COLUMNS, TELEMETRY_TYPES, telemetry)
                _copy(cursor, "plants_meterreading", METER_COLUMNS, METER_TYPES, meters)
        return count / (perf_counter() - began)


def _copy(cursor: Any, table: str, columns: Sequence[str], types: Sequence[str], rows: Rows) -> None:
    if not rows:
        return
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
