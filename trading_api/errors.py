"""What the reverse channel refuses, one class each; `esm.errors` turns them into Voke's error envelope.

`code` is Voke's own (clients branch on it), `reason` tells the case apart in `details`, the log and the journal.
"""

from plants.errors import Conflict, DomainError


class Unauthorized(DomainError):
    """The caller is not who it has to be (401)."""

    code = "UNAUTHORIZED"
    reason = "UNAUTHORIZED"
    challenge = 'Bearer realm="trading"'

    def __init__(self, message: str, *, path: str = "Authorization", client_id: str = "") -> None:
        super().__init__(message, path=path)
        self.client_id = client_id  # whom the token names, where its signature was ours: for the journal


class TokenMissing(Unauthorized):
    """No `Authorization: Bearer` header."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthorized):
    """Not a token of ours: form, key, algorithm, signature, issuer or audience."""

    reason = "TOKEN_INVALID"
    challenge = 'Bearer realm="trading", error="invalid_token"'


class TokenExpired(TokenInvalid):
    """Its time has passed (or has not come)."""

    reason = "TOKEN_EXPIRED"


class TokenRevoked(TokenInvalid):
    """Its credential was disabled, renewed or removed after it had been issued."""

    reason = "TOKEN_REVOKED"


class CredentialsWrong(Unauthorized):
    """Unknown client id, wrong secret or disabled credential: the caller is not told which."""

    reason = "CREDENTIALS_WRONG"


class TooManyAttempts(DomainError):
    """Too many failed attempts from this address within a minute (429)."""

    code = "TOO_MANY_REQUESTS"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnsupportedMedia(DomainError):
    """A body that does not call itself JSON (415)."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class UpdateNotOpen(Conflict):
    """A config update was decided, or replaced by a newer one, before this decision."""

    code = "UPDATE_NOT_OPEN"


class ClientIdTaken(Conflict):
    """Another credential has this client id."""

    code = "CLIENT_ID_TAKEN"
