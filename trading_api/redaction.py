"""Makes texts from outside fit for the pull journal: no secret, nothing a database refuses, bounded."""

import re
from typing import Any

import msgspec

_REDACTED = "[redacted]"
_SECRET_WORDS = r"secret|password|passwd|token|authorization|api[_-]?key|signing[_-]?key"  # noqa: S105 - words
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
# The value after a key that names a secret, where the text is no JSON that could be walked. Every repetition is
# bounded or can't give back what it took: a hostile text costs linear time.
_NAMED = re.compile(
    rf"""(?ix)
    ( ["']? [a-z_-]{{0,24}} (?: {_SECRET_WORDS} ) [a-z_-]{{0,24}} ["']? \s{{0,8}} [:=] \s{{0,8}} )
    ( "(?:[^"\\]|\\.)*"? | '[^']*'? | \[[^\]]*\]? | \{{[^}}]*\}}? | [^\s,}}\]&]+ (?:\s{{1,8}}[^\s,}}\]&"]+)? )
    """
)
# What looks like a secret wherever it stands: our own client secrets, JWTs, bearer headers.
_SHAPED = re.compile(
    r"esmsec_[A-Za-z0-9_-]*|eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,2}|(?i:bearer)\s+[^\s\"',}]+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MAX_DEPTH = 64


def redact(text: str) -> str:
    """The text without values that are, or are called like, secrets."""
    return _SHAPED.sub(_REDACTED, _NAMED.sub(lambda match: f'{match[1]}"{_REDACTED}"', text))


def storable(text: str, limit: int) -> str:
    """The redacted text without control characters (PostgreSQL refuses U+0000), at most `limit` characters."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", redact(text[: 4 * limit]))[:limit]


def storable_body(body: bytes, limit: int) -> str:
    """The same for a body, at most `limit` bytes of UTF-8; what is no JSON is taken as text."""
    try:
        document = _walk(msgspec.json.decode(body), _MAX_DEPTH)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[: 4 * limit].decode("utf-8", "replace")
    else:
        text = msgspec.json.encode(document).decode()
    return storable(text, limit).encode()[:limit].decode("utf-8", "ignore")


def _walk(value: Any, depth: int) -> Any:
    """The document with every value under a secret's name replaced; what lies too deep is cut off."""
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {
            key: _REDACTED if _SECRET_NAME.search(key) else _walk(inner, depth - 1)
            for key, inner in value.items()
        }
    return [_walk(inner, depth - 1) for inner in value] if isinstance(value, list) else value
