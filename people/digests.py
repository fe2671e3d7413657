"""Keyed hashes of what people hold and we only compare: links, recovery codes, what attempts count for."""

import hashlib
import hmac

from django.conf import settings


def current_pepper() -> str:
    """The version of SECRET_PEPPERS that new hashes are made with."""
    return next(iter(settings.SECRET_PEPPERS))


def digest(*, purpose: str, text: str, version: str) -> str:
    """HMAC-SHA256 in hex. `purpose` keeps equal texts of different uses apart; KeyError: the version is gone."""
    key = settings.SECRET_PEPPERS[version]
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def digests(*, purpose: str, text: str) -> list[str]:
    """The hash under every known version, the current one first: what a stored one is looked up by."""
    return [digest(purpose=purpose, text=text, version=version) for version in settings.SECRET_PEPPERS]
