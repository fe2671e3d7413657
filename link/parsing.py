"""Bytes -> understood messages: what a delivery is, or why it is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from link.broker import Delivery
from plants.services.dead_letters import Letter
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
_MOST_HEADERS = 50
_LONGEST_HEADER = 500


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """One delivery, understood; `payload` None = a type that we do not know and keep."""

    delivery: Delivery
    envelope: Envelope
    family: Family | Unknown
    payload: Payload | None

    @property
    def family_name(self) -> str:
        """The family of the routing key, or the whole key where it is not known."""
        return self.family.value if isinstance(self.family, Family) else self.family.raw

    @property
    def moment(self) -> datetime:
        """When it was measured (meters) or said (everything else)."""
        return (
            self.payload.reading_at if isinstance(self.payload, MeterTelemetry) else self.envelope.timestamp
        )

    @property
    def is_reading(self) -> bool:
        """Whether it goes into the history of readings."""
        return isinstance(self.payload, RealtimeTelemetry | MeterTelemetry)


def parse(delivery: Delivery, *, routing_prefix: str) -> Parsed:
    """Read one delivery by its routing key; raises `ProtocolError`."""
    envelope = parse_envelope(delivery.body)
    if delivery.routing_key != storable_text(delivery.routing_key):
        raise InvalidText("a routing key must not hold U+0000 or a lone surrogate", path="routingKey")
    family = classify(delivery.routing_key, routing_prefix).family
    payload = None
    if isinstance(family, Family) and family.value.startswith("event."):
        payload = parse_payload(family, envelope.payload)
    return Parsed(delivery=delivery, envelope=envelope, family=family, payload=payload)


def parse_batch(batch: Sequence[Delivery], *, routing_prefix: str) -> tuple[list[Parsed], list[Letter]]:
    """What was understood, and a dead letter for every delivery that was not; never raises."""
    parsed: list[Parsed] = []
    letters: list[Letter] = []
    for delivery in batch:
        try:
            parsed.append(parse(delivery, routing_prefix=routing_prefix))
        except ProtocolError as error:
            letters.append(letter_of(delivery, reason=error.code, path=error.path, detail=error.detail))
        except Exception as error:  # a fault of ours must not bring the same delivery back for ever
            log.exception("delivery not read", action="inbox.unreadable", routing_key=delivery.routing_key)
            letters.append(letter_of(delivery, reason="NOT_READABLE", detail=type(error).__name__))
    return parsed, letters


def letter_of(delivery: Delivery, *, reason: str, path: str = "", detail: str = "") -> Letter:
    """A delivery as our own dead letter, with the bytes and the reason."""
    headers = list(delivery.headers.items())[:_MOST_HEADERS]
    return Letter(
        queue=delivery.queue,
        routing_key=delivery.routing_key,
        headers={str(key): _header_text(value) for key, value in headers},
        body=delivery.body,
        reason=reason,
        path=path,
        detail=detail,
    )


def _header_text(value: object) -> str:
    try:
        return str(value)[:_LONGEST_HEADER]
    except RecursionError:  # tables within tables, as deep as the library could read them
        return f"{type(value).__name__}, nested too deep to show"
