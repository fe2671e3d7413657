"""Are the bytes that were sent what they should be? Verified again from the store, as their receiver would. Pure.

Three findings: the bytes (canonical form, the ids of their row and the payload that was asked for, the signature over
exactly these bytes with the key that the connection has now), the signature where one is required, and the envelope
(readable, the site's and the partner's own, young enough when it was sent).

A signature that differs may also mean that the key was changed since, and a missing one that only our own setting asks
for it: both are told by codes of their own, because then Voke's log may know better.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dispatch.diagnosis import NOTHING, Check, Finding, Result
from vcp import (
    DEFAULT_SIGNED_FAMILIES,
    Envelope,
    Family,
    KeyDecoding,
    ProtocolError,
    canonical_json,
    decode_object,
    must_be_signed,
    parse_envelope,
    parse_payload,
    verify,
)
from vcp.said import Said, said, told_by

TOLERATED_AGE = timedelta(seconds=300)
"""Interpretation: Voke publishes no number; the stand-in refuses what is further off."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One message as it is stored. `sent_at`: when its bytes were last known to be on their way."""

    body: bytes = field(repr=False)
    family: str
    routing_key: str
    message_id: str
    correlation_id: str
    sent_at: datetime


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the bytes must agree with: the command's payload, the site's names, the connection's facts.

    `key_problem`: why there is no `key` to verify with, '' = there is one.
    """

    payload: dict[str, Any]
    site_ids: frozenset[str]
    source: str
    routing_prefix: str
    signed_families: frozenset[str]
    decoding: str
    key: str = field(repr=False, default="")
    key_problem: Said = NOTHING


def verify_again(sent: Sent, expected: Expected) -> list[Finding]:
    """The findings on bytes, signature and envelope."""
    try:
        raw = decode_object(sent.body, unique_keys=True)
        envelope = parse_envelope(sent.body)
        parse_payload(Family(sent.family), envelope.payload)
    except ProtocolError as error:
        return [
            _finding(
                Check.ENVELOPE,
                Result.WRONG,
                error.code,
                said("Voke could not read it: %(error)s", error=told_by(error)),
            )
        ]
    return [
        _bytes(raw, sent, expected),
        _signature(raw, sent, expected),
        _envelope(envelope, sent, expected),
    ]


def _bytes(raw: dict[str, Any], sent: Sent, expected: Expected) -> Finding:
    if canonical_json(raw) != sent.body:
        return _finding(
            Check.BYTES, Result.WRONG, "NOT_CANONICAL", said("the bytes are not in canonical form")
        )
    differs = [
        name
        for name, value in (("messageId", sent.message_id), ("correlationId", sent.correlation_id))
        if str(raw.get(name)).casefold() != value.casefold()
    ]
    digest, asked = digest_of(raw["payload"]), digest_of(expected.payload)
    differs += ["payload"] if digest != asked else []
    if differs:
        words = said(
            "not what was asked for: %(names)s (payload %(digest)s, asked %(asked)s)",
            names=", ".join(differs),
            digest=digest[:12],
            asked=asked[:12],
        )
        return _finding(Check.BYTES, Result.WRONG, "DIGEST_DIFFERS", words)
    told = said(
        "%(count)s bytes in canonical form, payload %(digest)s as asked for",
        count=len(sent.body),
        digest=digest[:12],
    )
    if "signature" not in raw:
        return _finding(Check.BYTES, Result.FINE, "UNSIGNED", said("%(told)s, unsigned", told=told))
    if expected.key_problem:
        return _finding(
            Check.BYTES,
            Result.OPEN,
            "KEY_UNUSABLE",
            said(
                "%(told)s; signature not checked: %(key_problem)s",
                told=told,
                key_problem=expected.key_problem,
            ),
        )
    try:
        matches = verify(raw, expected.key, decoding=KeyDecoding(expected.decoding))
    except (ProtocolError, ValueError) as error:
        return _finding(
            Check.BYTES,
            Result.OPEN,
            "KEY_UNUSABLE",
            said("%(told)s; signature not checked: %(error)s", told=told, error=told_by(error)),
        )
    if not matches:
        return _finding(
            Check.BYTES,
            Result.WRONG,
            "SIGNATURE_DIFFERS",
            said("the signature is not that of the key stored now"),
        )
    return _finding(Check.BYTES, Result.FINE, "VERIFIED", said("%(told)s, signature verified", told=told))


def digest_of(payload: dict[str, Any]) -> str:
    """SHA-256 of a payload's canonical text, in hex."""
    return hashlib.sha256(canonical_json(payload)).hexdigest()


def _signature(raw: dict[str, Any], sent: Sent, expected: Expected) -> Finding:
    by_sheet = must_be_signed(sent.family, DEFAULT_SIGNED_FAMILIES)
    by_setting = must_be_signed(sent.family, expected.signed_families)
    if "signature" in raw:
        return _finding(
            Check.SIGNATURE, Result.FINE, "SIGNED", said("%(family)s is signed", family=sent.family)
        )
    if by_sheet:
        return _finding(
            Check.SIGNATURE,
            Result.WRONG,
            "ABSENT",
            said("%(family)s must be signed, and was sent without", family=sent.family),
        )
    if by_setting:
        words = said("the connection is set to sign %(family)s, and it was sent without", family=sent.family)
        return _finding(Check.SIGNATURE, Result.WRONG, "ABSENT_BY_SETTING", words)
    return _finding(
        Check.SIGNATURE,
        Result.FINE,
        "NOT_REQUIRED",
        said("%(family)s needs no signature", family=sent.family),
    )


def _envelope(envelope: Envelope, sent: Sent, expected: Expected) -> Finding:
    age = sent.sent_at - envelope.timestamp
    key = f"{expected.routing_prefix}.{sent.family}"
    wrongs: Iterable[tuple[bool, str, Said]] = (
        (
            envelope.site_id not in expected.site_ids,
            "WRONG_SITE",
            said("its siteId is not that of the plant"),
        ),
        (
            envelope.source != expected.source,
            "WRONG_SOURCE",
            said("its source is not that of the connection"),
        ),
        (
            sent.routing_key != key and not sent.routing_key.startswith(f"{key}."),
            "WRONG_PARTNER",
            said("its routing key does not begin with %(key)s", key=key),
        ),
        (
            age > TOLERATED_AGE,
            "EXPIRED",
            said("it was %(age)s s old when it was sent", age=f"{age.total_seconds():.0f}"),
        ),
    )
    for is_wrong, code, words in wrongs:
        if is_wrong:
            return _finding(Check.ENVELOPE, Result.WRONG, code, words)
    return _finding(
        Check.ENVELOPE, Result.FINE, "VALID", said("readable, for this site, by this partner, in time")
    )


def _finding(check: Check, result: Result, code: str, saw: Said) -> Finding:
    return Finding(check=check, result=result, code=code, saw=saw)
