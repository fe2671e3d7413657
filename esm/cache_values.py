"""What the shared cache holds: counters, times and texts, as plain text.

Django's own form is pickle, and reading a pickle runs whatever its writer wanted: who can write to Redis could run code
in every process that reads from it. These values can only be wrong.
"""

from datetime import datetime

_TEXT = b"text:"


class PlainValues:
    """The `serializer` of Django's Redis cache."""

    def dumps(self, value: object) -> int | bytes:
        """A counter as it is (Redis counts with it), a time as ISO 8601, a text marked as such; else TypeError."""
        if type(value) is int:
            return value
        if isinstance(value, str):
            return _TEXT + value.encode()
        if isinstance(value, datetime):
            return value.isoformat().encode()
        raise TypeError(f"the cache holds counters, times and texts, no {type(value).__name__}")

    def loads(self, data: bytes) -> int | datetime | str | None:
        """The value; None, as if there were none, for bytes that are none of the three."""
        if data.startswith(_TEXT):
            return data.removeprefix(_TEXT).decode(errors="replace")
        try:
            return int(data)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(data.decode())
        except ValueError:
            return None
