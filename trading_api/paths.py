"""Which paths belong to the reverse channel: `trading` as a path segment, under any prefix.

Voke appends `/trading/...` to a base URL that may itself have a path, so the prefix is not ours to know. Pure: the
ASGI shell and the error pages ask here too.
"""

import re
from enum import StrEnum

_SEGMENT = re.compile(r"(?:^|/)trading(?:/|$)")
# The admin has its own pages; nothing below it is ever a pull of Voke.
_ADMIN = re.compile(r"^/?admin(?:/|$)")


class Endpoint(StrEnum):
    """What was asked for, as the pull journal names it."""

    TOKEN = "token"  # noqa: S105 - a word, no secret
    LIST = "list"
    CONFIG = "config"
    UPDATE = "update"
    OTHER = "other"


_BY_TAIL = {
    "trading/token": Endpoint.TOKEN,
    "trading/plant/list": Endpoint.LIST,
    "trading/plant/config": Endpoint.CONFIG,
    "trading/plant/config/update": Endpoint.UPDATE,
}


def is_reverse_channel(path: str) -> bool:
    """Whether the path has the segment `trading`: then it is answered in Voke's terms and journaled."""
    return _SEGMENT.search(path) is not None and not is_admin(path)


def is_admin(path: str) -> bool:
    """Whether the path is the admin's."""
    return _ADMIN.match(path) is not None


def endpoint_of(path: str) -> Endpoint:
    """The endpoint that the path names, with or without a slash at its end."""
    trimmed = path[:-1] if path.endswith("/") else path
    for tail, endpoint in _BY_TAIL.items():
        if trimmed == tail or trimmed.endswith(f"/{tail}"):
            return endpoint
    return Endpoint.OTHER
