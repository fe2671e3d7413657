"""HMAC-SHA256 over the canonical JSON of an envelope without its `signature` [pub vcp-signing].

`signatureAlgo` and `signatureKid`, when present, are inside the signed text. The signature is base64url.
Interpretation: unpadded (Node's form), key text decoded from hex to 32 bytes; both sides of the second
choice are reachable by `KeyDecoding`. Verification takes padding too.
"""

import binascii
import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum
from typing import Any, Final

from vcp.canonical import canonical_json
from vcp.errors import InvalidSignatureAlgo, InvalidSigningKey
from vcp.jsontext import decode_object
from vcp.said import said

SIGNATURE_ALGO: Final = "HMAC-SHA256"
_KEY_BYTES: Final = 32


class KeyDecoding(StrEnum):
    """How the signing key's text becomes key bytes."""

    HEX = "HEX"
    UTF8 = "UTF8"


def sign(envelope: dict[str, Any], signing_key: str, *, decoding: KeyDecoding = KeyDecoding.HEX) -> str:
    """The envelope's signature, 43 characters of base64url; an existing `signature` member is left out.

    Raises InvalidSigningKey, InvalidSignatureAlgo (present and another), and what canonical_json raises.
    """
    if envelope.get("signatureAlgo", SIGNATURE_ALGO) != SIGNATURE_ALGO:
        raise InvalidSignatureAlgo(said("expected %(limit)s", limit=SIGNATURE_ALGO), path="signatureAlgo")
    signed = {key: value for key, value in envelope.items() if key != "signature"}
    mac = hmac.digest(_key_bytes(signing_key, decoding), canonical_json(signed), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode()


def signed_body(
    envelope: dict[str, Any], signing_key: str, *, decoding: KeyDecoding = KeyDecoding.HEX
) -> bytes:
    """The canonical bytes of an envelope without `signature`, with its signature put in: what goes on the wire.

    The same bytes as the canonical text of the envelope with `sign`'s answer in it, for one walk instead of two:
    `signature` stands between the members before it in the order of keys and those after it. Raises like `sign`.
    """
    if envelope.get("signatureAlgo", SIGNATURE_ALGO) != SIGNATURE_ALGO:
        raise InvalidSignatureAlgo(said("expected %(limit)s", limit=SIGNATURE_ALGO), path="signatureAlgo")
    # ASCII beside anything else: code points and UTF-16 units agree on the order.
    before = canonical_json({key: value for key, value in envelope.items() if key < "signature"})[1:-1]
    after = canonical_json({key: value for key, value in envelope.items() if key > "signature"})[1:-1]
    text = b"{" + b",".join(part for part in (before, after) if part) + b"}"
    mac = hmac.digest(_key_bytes(signing_key, decoding), text, "sha256")
    signature = b'"signature":"' + urlsafe_b64encode(mac).rstrip(b"=") + b'"'
    return b"{" + b",".join(part for part in (before, signature, after) if part) + b"}"


def verify(envelope: dict[str, Any], signing_key: str, *, decoding: KeyDecoding = KeyDecoding.HEX) -> bool:
    """Whether the envelope's `signature` is its own, compared in constant time.

    False for a missing, garbled or wrong signature and for another algorithm. Raises InvalidSigningKey for
    a bad key, and what canonical_json raises for an envelope that no peer could have sent.
    """
    key = _key_bytes(signing_key, decoding)
    signature = envelope.get("signature")
    if envelope.get("signatureAlgo", SIGNATURE_ALGO) != SIGNATURE_ALGO or not isinstance(signature, str):
        return False
    signed = {name: value for name, value in envelope.items() if name != "signature"}
    mac = hmac.digest(key, canonical_json(signed), "sha256")
    given = signature.removesuffix("=").encode(errors="replace")
    return hmac.compare_digest(given, urlsafe_b64encode(mac).rstrip(b"="))


def verify_body(body: bytes, signing_key: str, *, decoding: KeyDecoding = KeyDecoding.HEX) -> bool:
    """Verify a message as received.

    A key named twice is refused, since peers differ in which of the two counts. Raises DuplicateKey and
    every other error of reading JSON, InvalidSigningKey.
    """
    return verify(decode_object(body, unique_keys=True), signing_key, decoding=decoding)


def _key_bytes(signing_key: str, decoding: KeyDecoding) -> bytes:
    """The key's bytes; no error tells anything of the key."""
    if not isinstance(signing_key, str):
        raise InvalidSigningKey(said("a signing key is a text"))
    # Compared by value: a decoding read back from a database row is plain text.
    if decoding == KeyDecoding.HEX:
        try:
            key = binascii.unhexlify(signing_key)
        except ValueError:
            raise InvalidSigningKey(said("the signing key is no hex text")) from None
        if len(key) != _KEY_BYTES:
            raise InvalidSigningKey(said("a signing key has %(limit)s hex digits", limit=2 * _KEY_BYTES))
        return key
    if decoding != KeyDecoding.UTF8:
        raise InvalidSigningKey(said("unknown key decoding"))
    try:
        key = signing_key.encode()
    except ValueError:
        raise InvalidSigningKey(said("the signing key is no UTF-8 text")) from None
    if len(key) < _KEY_BYTES:
        raise InvalidSigningKey(said("a signing key has at least %(limit)s bytes", limit=_KEY_BYTES))
    return key
