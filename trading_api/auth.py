"""Secrets and tokens of the reverse channel, pure but for settings: nothing here reads the database or the clock.

A machine's secret has 256 random bits, so a keyed hash is as good as a slow one and costs microseconds: a slow hash
would let strangers burn our processor at the token endpoint.
"""

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings

from plants.encryption import Secret
from trading_api.errors import TokenExpired, TokenInvalid, TokenMissing

SECRET_PREFIX = "esmsec_"  # noqa: S105 - lets scanners and our own redaction find a secret that strayed
_MAX_TOKEN_CHARS = 4096
_CLOCK_LEEWAY = timedelta(seconds=60)
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti", "rev"]
_NOBODYS_HASH = "0" * 64


def new_secret() -> Secret:
    """A client secret: shown once, never stored."""
    return Secret(SECRET_PREFIX + secrets.token_urlsafe(32))


def current_pepper() -> str:
    """The pepper version that new hashes are made with."""
    return next(iter(settings.SECRET_PEPPERS))


def hash_secret(secret: str, pepper_version: str) -> str:
    """HMAC-SHA256 of the secret under one pepper, hex."""
    return hmac.new(settings.SECRET_PEPPERS[pepper_version], secret.encode(), hashlib.sha256).hexdigest()


def secret_matches(secret: str, *, stored_hash: str | None, pepper_version: str | None) -> bool:
    """Compare in constant time; None = no such credential, which costs the same work as a wrong secret."""
    known = stored_hash is not None and pepper_version in settings.SECRET_PEPPERS
    version = pepper_version if known and pepper_version is not None else current_pepper()
    expected = stored_hash if known and stored_hash is not None else _NOBODYS_HASH
    return hmac.compare_digest(hash_secret(secret, version), expected) and known


class _Verified:
    """Claims of tokens whose signature was right, by digest of the token and by what was trusted then.

    Bounded: the oldest goes. Expiry, revision and the credential's state are looked at with every request all the same.
    Safe between threads.
    """

    def __init__(self, *, most: int) -> None:
        self._guard = threading.Lock()
        self._most = most
        self._claims: dict[bytes, tuple[object, dict[str, Any]]] = {}

    def get(self, token: str, trust: object) -> dict[str, Any] | None:
        """None = not known under these keys, this audience and this issuer."""
        trusted, claims = self._claims.get(_digest(token), (None, {}))
        return claims if trusted == trust else None

    def put(self, token: str, trust: object, claims: dict[str, Any]) -> None:
        """Remember."""
        with self._guard:
            self._claims[_digest(token)] = trust, claims
            if len(self._claims) > self._most:
                del self._claims[next(iter(self._claims))]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_VERIFIED = _Verified(most=1_000)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a token of ours says: whose it is, and the credential's revision when it was issued."""

    client_id: str
    revision: int
    expires_at: datetime


def issue_token(*, client_id: str, revision: int, at: datetime) -> str:
    """A signed JWT for one credential, valid for TRADING_TOKEN_TTL_S."""
    key = settings.JWT_KEYS[0]
    signing: Any = key.signing
    issued = int(at.timestamp())
    claims = {
        "iss": settings.TRADING_TOKEN_ISSUER,
        "aud": settings.TRADING_TOKEN_AUDIENCE,
        "sub": client_id,
        "iat": issued,
        "exp": issued + settings.TRADING_TOKEN_TTL_S,
        "jti": secrets.token_urlsafe(16),
        "rev": revision,
    }
    return jwt.encode(claims, signing, algorithm=key.algorithm, headers={"kid": key.kid})


def bearer_token(header: str) -> str:
    """The token of an `Authorization` header; raises TokenMissing, TokenInvalid."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenMissing("a bearer token is required")
    if len(token) > _MAX_TOKEN_CHARS:
        raise TokenInvalid("the token is too long")
    return token.strip()


def read_token(token: str, *, at: datetime) -> Claims:
    """Verify a token; raises TokenInvalid, TokenExpired. Whether its credential still stands is the database's word.

    The key id decides the one algorithm that is accepted: a token can't choose how it is checked.
    """
    claims = _verified_claims(token)
    client_id, revision, issued, expires = claims["sub"], claims["rev"], claims["iat"], claims["exp"]
    if not (isinstance(revision, int) and isinstance(issued, int) and isinstance(expires, int)):
        raise TokenInvalid("the token's claims have the wrong type")
    if at.timestamp() >= expires:
        raise TokenExpired("the token has expired", client_id=client_id)
    if issued > (at + _CLOCK_LEEWAY).timestamp():
        raise TokenExpired("the token was issued in the future", client_id=client_id)
    return Claims(client_id=client_id, revision=revision, expires_at=datetime.fromtimestamp(expires, UTC))


def _verified_claims(token: str) -> dict[str, Any]:
    """The claims of a token of ours: what its signature was made over does not change, so it is checked once."""
    trust = (settings.JWT_KEYS, settings.TRADING_TOKEN_AUDIENCE, settings.TRADING_TOKEN_ISSUER)
    known = _VERIFIED.get(token, trust)
    if known is None:
        known = _verify(token)
        _VERIFIED.put(token, trust, known)
    return known


def _verify(token: str) -> dict[str, Any]:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in settings.JWT_KEYS if key.kid == kid), None)
        if key is None:
            raise TokenInvalid("the token names no key of ours")
        verifying: Any = key.verifying
        return jwt.decode(
            token,
            verifying,
            algorithms=[key.algorithm],
            audience=settings.TRADING_TOKEN_AUDIENCE,
            issuer=settings.TRADING_TOKEN_ISSUER,
            # Times are checked against the caller's clock, not against PyJWT's own.
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (
        jwt.InvalidTokenError,
        RecursionError,
    ) as error:  # RecursionError: a header of nothing but brackets
        raise TokenInvalid("the token is not valid here") from error
