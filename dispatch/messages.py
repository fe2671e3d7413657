"""Builds the exact bytes of one message for Voke: pure given the connection's facts, ids and the instant."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from plants.models import Connection, SiteIdKind
from vcp import (
    Family,
    InvalidSigningKey,
    KeyDecoding,
    must_be_signed,
    new_body,
    routing_key,
)
from vcp.said import said

NewId = Callable[[], uuid.UUID]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """What a connection's envelopes are built with; made once per batch because decrypting costs."""

    routing_prefix: str
    source: str
    site_id_kind: str
    signed_families: frozenset[str]
    signature_kid: str | None
    key_decoding: KeyDecoding
    signing_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One message, ready to be stored."""

    message_id: uuid.UUID
    correlation_id: uuid.UUID
    family: Family
    routing_key: str
    body: bytes
    signed: bool


def signer_of(connection: Connection) -> Signer:
    """The signing facts of a connection; raises UndecryptableSecret, or vcp.InvalidSigningKey (unknown decoding)."""
    return Signer(
        routing_prefix=connection.routing_prefix,
        source=connection.source,
        site_id_kind=connection.site_id_kind,
        signed_families=frozenset(connection.signed_families),
        signature_kid=connection.signature_kid or None,
        key_decoding=_decoding_of(connection),
        signing_key=str(connection.signing_key),
    )


def _decoding_of(connection: Connection) -> KeyDecoding:
    try:
        return KeyDecoding(connection.key_decoding)
    except ValueError as error:
        raise InvalidSigningKey(said("no such key decoding"), path="keyDecoding") from error


class Site(Protocol):
    """What an envelope says of a plant; a whole Plant has it too."""

    @property
    def external_plant_id(self) -> str: ...
    @property
    def voke_uuid(self) -> uuid.UUID | None: ...


def site_id_of(plant: Site, kind: str) -> str:
    """What we send as `siteId`: Voke's UUID, or the externalPlantId where it is not known or asked for."""
    if kind == SiteIdKind.UUID and plant.voke_uuid is not None:
        return str(plant.voke_uuid)
    return plant.external_plant_id


def build(
    *, signer: Signer, plant: Site, family: Family, payload: dict[str, Any], at: datetime, new_id: NewId
) -> Draft:
    """The envelope of one payload, signed where this connection signs the family. Raises vcp.ProtocolError."""
    message_id, correlation_id = new_id(), new_id()
    signs = must_be_signed(family, signer.signed_families)
    body = new_body(
        message_id=str(message_id),
        correlation_id=str(correlation_id),
        timestamp=at,
        source=signer.source,
        site_id=site_id_of(plant, signer.site_id_kind),
        payload=payload,
        signing_key=signer.signing_key if signs else None,
        signature_kid=signer.signature_kid,
        decoding=signer.key_decoding,
    )
    return Draft(
        message_id=message_id,
        correlation_id=correlation_id,
        family=family,
        routing_key=_routing_key(signer.routing_prefix, family),
        body=body,
        signed=signs,
    )


@lru_cache(maxsize=1024)
def _routing_key(prefix: str, family: Family) -> str:
    """One per connection and family: checking it costs as much as signing a message."""
    return routing_key(prefix, family)
