"""The envelope around every message, in both directions (fact sheet, section 1)."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, field

from vcp.canonical import canonical_json
from vcp.errors import InvalidSignatureAlgo, InvalidValue, ProtocolError, UnsupportedVersion
from vcp.jsontext import decode_object, refuse_nul
from vcp.limits import MAX_ID_LENGTH
from vcp.payloads import Payload, family_of, parse_payload, to_wire
from vcp.said import said
from vcp.signing import SIGNATURE_ALGO, KeyDecoding, sign, signed_body
from vcp.structs import Id, Time, WireStruct, to_struct
from vcp.timestamps import format_timestamp

VERSION: Final = "1.1"
_UUID4: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
).fullmatch

_OptionalId = Annotated[str, Meta(max_length=MAX_ID_LENGTH)] | None


class Envelope(WireStruct, frozen=True, kw_only=True):
    """A message as received: its envelope read, its payload not yet.

    `message_id` is the sender's unique id (the deduplication key), `site_id` the plant's UUID or
    externalPlantId, `correlation_id` the message this one answers or the sender's own reference.
    """

    RAW: ClassVar[str | None] = "raw"

    version: str = field(name="version")
    message_id: Id = field(name="messageId")
    timestamp: Time = field(name="timestamp")
    source: Id = field(name="source")
    site_id: Id = field(name="siteId")
    payload: dict[str, Any] = field(name="payload")
    correlation_id: _OptionalId = field(name="correlationId", default=None)
    signature_algo: str | None = field(name="signatureAlgo", default=None)
    signature: str | None = field(name="signature", default=None)
    signature_kid: _OptionalId = field(name="signatureKid", default=None)
    raw: dict[str, Any]
    """The whole object as received, members outside this list included."""


def parse_envelope(body: bytes, *, unique_keys: bool = False) -> Envelope:
    """Read a message's bytes; `parse_payload` checks the payload once the routing key tells its family.

    `unique_keys` refuses a key named twice: ask for it wherever the signature is verified. Raises
    ProtocolError only. Interpretation: any id of 1 to 128 characters is taken, so that a peer's new id
    form loses no message.
    """
    return _checked(decode_object(body, unique_keys=unique_keys))


def _checked(raw: dict[str, Any]) -> Envelope:
    version = raw.get("version", VERSION)
    if version != VERSION:
        raise UnsupportedVersion(
            said("expected %(limit)s, got %(version)s", limit=repr(VERSION), version=f"{version!r:.40}"),
            path="version",
        )
    envelope = to_struct(raw, Envelope)
    if envelope.signature_algo not in (None, SIGNATURE_ALGO):
        raise InvalidSignatureAlgo(said("expected %(limit)s", limit=SIGNATURE_ALGO), path="signatureAlgo")
    return envelope


def new_envelope(
    *,
    message_id: str,
    timestamp: datetime,
    source: str,
    site_id: str,
    payload: dict[str, Any] | Payload,
    correlation_id: str | None = None,
    signature_algo: str | None = None,
    signature_kid: str | None = None,
) -> dict[str, Any]:
    """An envelope as a plain dict in wire names, unsigned, checked as its receiver will check it.

    A payload struct is checked against its family, a dict only for being JSON. Raises ProtocolError.
    """
    envelope = _assembled(
        message_id=message_id,
        timestamp=timestamp,
        source=source,
        site_id=site_id,
        payload=payload,
        correlation_id=correlation_id,
        signature_algo=signature_algo,
        signature_kid=signature_kid,
    )
    _refuse_unfit(envelope, canonical_json(envelope))
    if not isinstance(payload, dict):
        parse_payload(family_of(payload), envelope["payload"])
    return envelope


def new_body(
    *,
    message_id: str,
    timestamp: datetime,
    source: str,
    site_id: str,
    payload: dict[str, Any],
    correlation_id: str | None = None,
    signature_kid: str | None = None,
    signing_key: str | None = None,
    decoding: KeyDecoding = KeyDecoding.HEX,
) -> bytes:
    """The bytes on the wire of a new message: `new_envelope`, `signed_envelope` and `encode_envelope` in one walk.

    Signed where a key is given, and then it names the algorithm and the key id. Raises ProtocolError.
    """
    signs = signing_key is not None
    envelope = _assembled(
        message_id=message_id,
        timestamp=timestamp,
        source=source,
        site_id=site_id,
        payload=payload,
        correlation_id=correlation_id,
        signature_algo=SIGNATURE_ALGO if signs else None,
        signature_kid=signature_kid if signs else None,
    )
    if signing_key is None:
        body = canonical_json(envelope)
    else:
        body = signed_body(envelope, signing_key, decoding=decoding)
    _refuse_unfit(envelope, body)
    return body


def _assembled(
    *,
    message_id: str,
    timestamp: datetime,
    source: str,
    site_id: str,
    payload: dict[str, Any] | Payload,
    correlation_id: str | None,
    signature_algo: str | None,
    signature_kid: str | None,
) -> dict[str, Any]:
    check_message_id(message_id)
    try:
        sent_at = format_timestamp(timestamp)
    except ProtocolError as error:
        raise error.under("timestamp") from error
    envelope: dict[str, Any] = {
        "version": VERSION,
        "messageId": message_id,
        "timestamp": sent_at,
        "source": source,
        "siteId": site_id,
        "payload": payload if isinstance(payload, dict) else to_wire(payload),
    }
    if correlation_id is not None:
        envelope["correlationId"] = correlation_id
    if signature_algo is not None:
        envelope["signatureAlgo"] = signature_algo
    if signature_kid is not None:
        envelope["signatureKid"] = signature_kid
    return envelope


def _refuse_unfit(envelope: dict[str, Any], text: bytes) -> None:
    """Refuse what its receiver would; `text` is the envelope's canonical text."""
    if b"\\u0000" in text:
        refuse_nul(envelope)
    _checked(envelope)


def check_message_id(message_id: str) -> None:
    """Refuse a messageId that is no UUIDv4, which Voke's validator asks of us [pub vcp-data-model]."""
    if not isinstance(message_id, str) or _UUID4(message_id) is None:
        raise InvalidValue(said("expected a UUIDv4"), path="messageId")


def encode_envelope(envelope: dict[str, Any]) -> bytes:
    """The bytes that go on the wire: the canonical text, signature included."""
    return canonical_json(envelope)


def signed_envelope(
    envelope: dict[str, Any], signing_key: str, *, decoding: KeyDecoding = KeyDecoding.HEX
) -> dict[str, Any]:
    """A copy of the envelope with its `signature`."""
    return {**envelope, "signature": sign(envelope, signing_key, decoding=decoding)}
