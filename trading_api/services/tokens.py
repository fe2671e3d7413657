"""The token endpoint's work: check a secret, count failures, issue a token.

A secret that gets here is looked at first: whoever knows it gets a token, however often others failed from the same
address. `trading_api.gate` stands before it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from trading_api.auth import current_pepper, hash_secret, issue_token, secret_matches
from trading_api.errors import CredentialsWrong, TooManyAttempts
from trading_api.gate import GATE
from trading_api.journal import single_write
from trading_api.limits import count_in_minute
from trading_api.models import Credential
from trading_api.selectors import StoredSecret


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """`accessToken` and `expiresIn` of the answer."""

    access_token: str
    expires_in_s: int


def exchange_secret(
    *, stored: StoredSecret | None, client_id: str, client_secret: str, address: str | None, at: datetime
) -> IssuedToken:
    """A token for a right secret of an enabled credential (`stored`; None = unknown client id).

    What came of it is told to the gate, which turns further guesses away before they get here. Raises CredentialsWrong,
    and TooManyAttempts once this address has failed more often than a minute allows.
    """
    matches = secret_matches(
        client_secret,
        stored_hash=None if stored is None else stored.secret_hash,
        pepper_version=None if stored is None else stored.pepper_version,
    )
    if stored is None or not matches or not stored.enabled:
        GATE.note_failure(address=address, client_id=client_id, client_secret=client_secret, at=at)
        raise _failure(address, at)
    GATE.note_right(client_id=client_id, client_secret=client_secret)
    _renew_hash(stored, client_secret)
    return IssuedToken(
        access_token=issue_token(client_id=stored.client_id, revision=stored.revision, at=at),
        expires_in_s=settings.TRADING_TOKEN_TTL_S,
    )


def _failure(address: str | None, at: datetime) -> CredentialsWrong | TooManyAttempts:
    count = count_in_minute("failed", address=address, at=at)
    if count is not None and count.times > settings.TRADING_FAILED_ATTEMPTS_PER_MINUTE:
        return TooManyAttempts("too many failed attempts from this address", retry_after_s=count.seconds_left)
    return CredentialsWrong("unknown client id or wrong secret", path="clientSecret")


def _renew_hash(stored: StoredSecret, client_secret: str) -> None:
    """A hash under the current pepper where the stored one is older. When it was used the journal notes."""
    pepper = current_pepper()
    if stored.pepper_version == pepper:
        return
    # The old hash in the condition: a secret renewed at this moment must not be overwritten by the one it replaced.
    with single_write():
        Credential.objects.filter(pk=stored.credential_id, secret_hash=stored.secret_hash).update(
            secret_hash=hash_secret(client_secret, pepper), pepper_version=pepper
        )
