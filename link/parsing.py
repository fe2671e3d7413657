"""Bytes -> understood messages: what a delivery is, or why it is none."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import structlog

from link.broker import Delivery
from plants.services.dead_letters import TOO_LARGE, Letter, digest_of
from plants.texts import storable_text
from vcp import (
    Family,
    InvalidText,
    MeterTelemetry,
    Payload,
    ProtocolError,
    QuickReading,
    RealtimeTelemetry,
    RealtimeValues,
    Unknown,
    classify,
    devices_as_sent,
    parse_envelope,
    parse_payload,
    quick_meters,
    quick_realtime,
)
from vcp.said import said

log = structlog.get_logger(__name__)
MAX_BODY_BYTES = 1_048_576
"""What a body may have unless an installation says otherwise."""

BYTES_KEPT = 4096
"""How much of a body that is too large is kept."""

_MOST_HEADERS = 50
_LONGEST_HEADER = 500


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, understood; `payload` None = a type that we do not know and keep.

    `sent_at`: what its envelope says. `moment`: when it was measured (meters) or said (everything else). `is_reading`:
    it goes into the history.
    """

    delivery: Delivery
    message_id: str
    sent_at: datetime
    site_id: str
    correlation_id: str | None
    family: Family | Unknown
    payload: Payload | RealtimeValues | None
    moment: datetime
    is_reading: bool
    devices: list[Any] | None = None
    """Of a realtime message, as they were sent; None = still in its bytes."""

    @property
    def family_name(self) -> str:
        """The family of the routing key, or the whole key where it is not known."""
        return self.family.value if isinstance(self.family, Family) else self.family.raw

    def raw_devices(self) -> list[Any]:
        """The devices of a realtime message with every member that was sent, unknown ones too."""
        return devices_as_sent(self.delivery.body) if self.devices is None else self.devices


class _Way(NamedTuple):
    """How a family of readings is read: its routing key, and how longer ones begin."""

    family: Family
    key: str
    below: str
    read: Callable[[bytes], QuickReading | None]


@lru_cache(maxsize=64)
def _quick_ways(routing_prefix: str) -> tuple[_Way, ...]:
    ways = ((Family.EVENT_TELEMETRY_REALTIME, quick_realtime), (Family.EVENT_TELEMETRY_METER, quick_meters))
    keys = ((family, f"{routing_prefix}.{family.value}", read) for family, read in ways)
    return tuple(_Way(family, key, f"{key}.", read) for family, key, read in keys)


def parse(delivery: Delivery, *, routing_prefix: str) -> Parsed:
    """Read one delivery by its routing key; raises `ProtocolError`."""
    quickly = _parse_quickly(delivery, _quick_ways(routing_prefix))
    return quickly or parse_carefully(delivery, routing_prefix=routing_prefix)


def _parse_quickly(delivery: Delivery, ways: tuple[_Way, ...]) -> Parsed | None:
    """A reading that holds nothing unusual; None = whatever else."""
    key = delivery.routing_key
    for way in ways:
        if key.startswith(way.below) or key == way.key:
            reading = way.read(delivery.body) if key.isascii() and key.isprintable() else None
            if reading is None:
                return None
            return Parsed(
                delivery=delivery,
                message_id=reading.message_id,
                sent_at=reading.sent_at,
                site_id=reading.site_id,
                correlation_id=reading.correlation_id,
                family=way.family,
                payload=reading.payload,
                moment=reading.measured_at,
                is_reading=True,
            )
    return None


def parse_carefully(delivery: Delivery, *, routing_prefix: str) -> Parsed:
    """Read any delivery, however unusual, check by check; raises `ProtocolError`."""
    envelope = parse_envelope(delivery.body)
    key = delivery.routing_key
    if not (key.isascii() and key.isprintable()) and key != storable_text(key):
        raise InvalidText(said("a routing key must not hold U+0000 or a lone surrogate"), path="routingKey")
    family = classify(key, routing_prefix).family
    payload = None
    if isinstance(family, Family) and family.value.startswith("event."):
        payload = parse_payload(family, envelope.payload)
    meters = payload if isinstance(payload, MeterTelemetry) else None
    return Parsed(
        delivery=delivery,
        message_id=envelope.message_id,
        sent_at=envelope.timestamp,
        site_id=envelope.site_id,
        correlation_id=envelope.correlation_id,
        family=family,
        payload=payload,
        moment=envelope.timestamp if meters is None else meters.reading_at,
        is_reading=meters is not None or isinstance(payload, RealtimeTelemetry),
        devices=(envelope.payload.get("devices") or []) if isinstance(payload, RealtimeTelemetry) else None,
    )


def parse_batch(
    batch: Sequence[Delivery], *, routing_prefix: str, max_body_bytes: int = MAX_BODY_BYTES
) -> tuple[list[Parsed], list[Letter]]:
    """What was understood, and a dead letter for every delivery that was not; never raises."""
    parsed: list[Parsed] = []
    letters: list[Letter] = []
    for delivery in batch:
        if len(delivery.body) > max_body_bytes:
            letters.append(_too_large(delivery))
            continue
        try:
            parsed.append(parse(delivery, routing_prefix=routing_prefix))
        except ProtocolError as error:
            letters.append(letter_of(delivery, reason=error.code, path=error.path, detail=error.detail))
        except Exception as error:  # a fault of ours must not bring the same delivery back for ever
            log.exception("delivery not read", action="inbox.unreadable", routing_key=delivery.routing_key)
            letters.append(letter_of(delivery, reason="NOT_READABLE", detail=type(error).__name__))
    return parsed, letters


def letter_of(
    delivery: Delivery,
    *,
    reason: str,
    path: str = "",
    detail: str = "",
    body: bytes | None = None,
    digest: str = "",
    plant_id: int | None = None,
) -> Letter:
    """A delivery as our own dead letter, with the reason and its bytes (or `body`, their beginning)."""
    headers = list(delivery.headers.items())[:_MOST_HEADERS]
    return Letter(
        queue=delivery.queue,
        routing_key=delivery.routing_key,
        headers={str(key): _header_text(value) for key, value in headers},
        body=delivery.body if body is None else body,
        reason=reason,
        path=path,
        detail=detail,
        redelivered=delivery.redelivered,
        digest=digest,
        plant_id=plant_id,
    )


def _too_large(delivery: Delivery) -> Letter:
    """Only the beginning is kept: a table of dead letters must not be filled by whoever sends the largest ones."""
    body = delivery.body
    return letter_of(
        delivery,
        reason=TOO_LARGE,
        detail=f"{len(body)} bytes, the first {BYTES_KEPT} kept; SHA-256 of all: {hashlib.sha256(body).hexdigest()}",
        body=body[:BYTES_KEPT],
        digest=digest_of(routing_key=delivery.routing_key, body=body),
    )


def _header_text(value: object) -> str:
    try:
        return str(value)[:_LONGEST_HEADER]
    except RecursionError:  # tables within tables, as deep as the library could read them
        return f"{type(value).__name__}, nested too deep to show"
