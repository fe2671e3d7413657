"""Texts without the secrets that they may quote: for log lines, support bundles, whatever leaves the platform. Pure.

Taken out: user and password of addresses, bearer tokens and tokens of three parts, and the values of rows in a database
error's DETAIL.
"""

import re

_CREDENTIALS = re.compile(r"://[^/\s]*@")  # up to the last @: a password may hold one
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# "Failing row contains (...)", "Key (...)=(...)": a row's values, of any length, up to the error's next part.
_ROW = re.compile(
    r"(DETAIL:\s+).*?(?=\n(?:HINT|CONTEXT|QUERY|LINE \d+|Traceback|The above|During handling)|\Z)", re.DOTALL
)


def scrub(text: str) -> str:
    """The text without what errors of libraries quote of what they were given."""
    text = _CREDENTIALS.sub("://***@", text)
    text = _JWT.sub("***", _BEARER.sub(r"\1 ***", text))
    return _ROW.sub(r"\1***", text)
