"""Why a person is not let in, or not allowed to do something to another one: stable codes for pages and tests."""

from plants.errors import DomainError


class SignInRefused(DomainError):
    """User name and password, or the code, are not right; nothing tells which of them."""

    code = "SIGN_IN_REFUSED"


class TooManyAttempts(DomainError):
    """It failed too often: nothing is looked at for `wait_s` seconds, whether right or wrong."""

    code = "TOO_MANY_ATTEMPTS"

    def __init__(self, message: str, *, wait_s: int, path: str = "") -> None:
        super().__init__(message, path=path)
        self.wait_s = wait_s


class LinkDead(DomainError):
    """A one-time link was used, withdrawn, is too old, or never was one."""

    code = "LINK_DEAD"
