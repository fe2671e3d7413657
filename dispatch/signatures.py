"""Checks the signature of a stored message against the connection's key, on the server: the key never leaves it."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from dispatch.models import OutboundMessage
from plants.encryption import UndecryptableSecret
from plants.models import Connection
from vcp import KeyDecoding, ProtocolError, decode_object, must_be_signed, verify


class SignatureVerdict(StrEnum):
    """What a check of the stored bytes found."""

    MATCHES = "MATCHES"
    DIFFERS = "DIFFERS"
    ABSENT = "ABSENT"
    NOT_REQUIRED = "NOT_REQUIRED"
    NOT_CHECKED = "NOT_CHECKED"


@dataclass(frozen=True, kw_only=True)
class SignatureCheck:
    """A verdict; `key` is a fingerprint of the key it was checked with, `why` says why nothing could be checked."""

    verdict: SignatureVerdict
    key: str = ""
    why: str = ""


def key_fingerprint(signing_key: str) -> str:
    """Four hex digits of the key's SHA-256: enough to tell two keys apart, too little to find one."""
    return hashlib.sha256(signing_key.encode()).hexdigest()[:4]


def check_signature(*, message: OutboundMessage, connection: Connection) -> SignatureCheck:
    """Verify the exact bytes of a message with the key that its connection has now."""
    try:
        envelope = decode_object(bytes(message.body), unique_keys=True)
        signed = "signature" in envelope
        if not signed:
            required = must_be_signed(message.family, connection.signed_families)
            return SignatureCheck(
                verdict=SignatureVerdict.ABSENT if required else SignatureVerdict.NOT_REQUIRED
            )
        key = str(connection.signing_key)
        if not key:
            return SignatureCheck(
                verdict=SignatureVerdict.NOT_CHECKED, why="the connection has no signing key now"
            )
        matches = verify(envelope, key, decoding=KeyDecoding(connection.key_decoding))
    except UndecryptableSecret as error:
        return SignatureCheck(verdict=SignatureVerdict.NOT_CHECKED, why=f"the stored key {error}")
    except ProtocolError as error:
        return SignatureCheck(verdict=SignatureVerdict.NOT_CHECKED, why=error.detail)
    verdict = SignatureVerdict.MATCHES if matches else SignatureVerdict.DIFFERS
    return SignatureCheck(verdict=verdict, key=key_fingerprint(key))
