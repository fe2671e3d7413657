"""Bytes -> understood messages: what a delivery is, or why it is none."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog

from link.broker import Delivery
from plants.services.dead_letters import TOO_LARGE, Letter, digest_of
from plants.texts import storable_text
from vcp import (
    Envelope,
    Family,
    InvalidText,
    MeterTelemetry,
    Payload,
    ProtocolError,
    RealtimeTelemetry,
    Unknown,
    classify,
    parse_envelope,
    parse_payload,
)

log = structlog.get_logger(__name__)
MAX_BODY_BYTES = 1_048_576
"""What a body may have unless an installation says otherwise."""

BYTES_KEPT = 4096
"""How much of a body that is too large is kept."""

_MOST_HEADERS = 50
_LONGEST_HEADER = 500


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, understood; `payload` None = a type that we do not know and keep.

    `moment`: when it was measured (meters) or said (everything else). `is_reading`: it goes into the history.
    """

    delivery: Delivery
    envelope: Envelope
    family: Family | Unknown
    payload: Payload | None
    moment: datetime
    is_reading: bool

    @property
    def family_name(self) -> str:
        """The family of the routing key, or the whole key where it is not known."""
        return self.family.value if isinstance(self.family, Family) else self.family.raw


def parse(delivery: Delivery, *, routing_prefix: str) -> Parsed:
    """Read one delivery by its routing key; raises `ProtocolError`."""
    envelope = parse_envelope(delivery.body)
    key = delivery.routing_key
    if not (key.isascii() and key.isprintable()) and key != storable_text(key):
        raise InvalidText("a routing key must not hold U+0000 or a lone surrogate", path="routingKey")
    family = classify(key, routing_prefix).family
    payload = None
    if isinstance(family, Family) and family.value.startswith("event."):
        payload = parse_payload(family, envelope.payload)
    meters = payload if isinstance(payload, MeterTelemetry) else None
    return Parsed(
        delivery=delivery,
        envelope=envelope,
        family=family,
        payload=payload,
        moment=envelope.timestamp if meters is None else meters.reading_at,
        is_reading=meters is not None or isinstance(payload, RealtimeTelemetry),
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
