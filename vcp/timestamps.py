"""Times on the wire: ISO 8601, UTC, suffix `Z`.

Voke checks times with Zod's `.datetime()`. Its default (Zod 4) takes `YYYY-MM-DDTHH:MM[:SS[.fraction]]Z`
with a real calendar date and a fraction of any length; it refuses offsets, `+00:00` too, so Python's
`isoformat()` of an aware time would be refused. Interpretation: year 0000, which Zod takes, is refused
because Python has no such year.
"""

import re
from datetime import UTC, datetime

from vcp.errors import InvalidTimestamp, WrongType
from vcp.said import said

_FORM = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?Z"
).fullmatch


def parse_timestamp(text: str) -> datetime:
    """Read a wire time as an aware UTC time; digits beyond microseconds are cut off.

    Raises InvalidTimestamp for any other form, WrongType for anything but text.
    """
    if not isinstance(text, str):
        raise WrongType(said("expected a time as text, got %(name)s", name=type(text).__name__))
    if _FORM(text) is None:
        raise InvalidTimestamp(said("expected YYYY-MM-DDTHH:MM:SS.mmmZ, got %(text)s", text=repr(text[:40])))
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidTimestamp(said("no such date: %(text)s", text=repr(text[:40]))) from error


def format_timestamp(at: datetime) -> str:
    """Write an aware time as `YYYY-MM-DDTHH:MM:SS.mmmZ`, cut (not rounded) to milliseconds.

    Raises InvalidTimestamp for a time without zone.
    """
    if at.tzinfo is not UTC:
        at = in_utc(at)
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def in_utc(at: datetime) -> datetime:
    """The same instant in UTC; raises InvalidTimestamp for a time without zone or out of range."""
    if at.utcoffset() is None:
        raise InvalidTimestamp(said("a time without zone has no place on the wire"))
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise InvalidTimestamp(said("the time is outside the years 1 to 9999 in UTC")) from error
