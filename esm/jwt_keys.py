"""JWT signing keys: a versioned list, the first signs, all of them verify, each with exactly one algorithm.

Written `KID:ALGORITHM:BASE64`, comma-separated. The material is a secret of at least 32 bytes for HS256 and a private
key in PEM for ES256 and EdDSA. One algorithm per key id closes the door on algorithm confusion.
"""

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from esm.env import SettingError, decode_key

ALGORITHMS = ("HS256", "ES256", "EdDSA")
_PRIVATE_KEY_KIND = {"ES256": EllipticCurvePrivateKey, "EdDSA": Ed25519PrivateKey}


@dataclass(frozen=True, kw_only=True)
class JwtKey:
    """One key: `kid` names it in the token's header, `algorithm` is the only one accepted with it."""

    kid: str
    algorithm: str
    signing: object = field(repr=False)
    verifying: object = field(repr=False)


def parse_jwt_keys(name: str, text: str) -> tuple[JwtKey, ...]:
    """The keys of a setting in their order; raises `SettingError` with the setting's name."""
    keys = tuple(_parse_one(name, word.strip()) for word in text.split(",") if word.strip())
    if not keys:
        raise SettingError(name, "is required: KID:ALGORITHM:BASE64, comma-separated, newest first")
    if len({key.kid for key in keys}) != len(keys):
        raise SettingError(name, "each key needs its own key id")
    return keys


def _parse_one(name: str, word: str) -> JwtKey:
    kid, _, rest = word.partition(":")
    algorithm, _, material = rest.partition(":")
    if not kid.isalnum() or algorithm not in ALGORITHMS:
        raise SettingError(
            name, f"each key is written KID:ALGORITHM:BASE64 with one of {', '.join(ALGORITHMS)}"
        )
    if algorithm == "HS256":
        secret = decode_key(name, material)
        return JwtKey(kid=kid, algorithm=algorithm, signing=secret, verifying=secret)
    try:
        private = load_pem_private_key(base64.b64decode(material, validate=True), password=None)
    except (binascii.Error, ValueError, TypeError) as error:
        raise SettingError(name, f"key {kid} is not a private key in PEM, base64-encoded") from error
    if not isinstance(private, _PRIVATE_KEY_KIND[algorithm]):
        raise SettingError(name, f"key {kid} does not fit {algorithm}")
    return JwtKey(kid=kid, algorithm=algorithm, signing=private, verifying=private.public_key())
