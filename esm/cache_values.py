"""What the shared cache holds: counters and times, as plain text.

Django's own form is pickle, and reading a pickle runs whatever its writer wanted: who can write to Redis could run code
in every process that reads from it. These values can only be wrong.
"""

from datetime import datetime


class PlainValues:
    """The `serializer` of Django's Redis cache."""

    def dumps(self, value: object) -> int | bytes:
        """A counter as it is (Redis counts with it), a time as ISO 8601 text; TypeError for anything else."""
        if type(value) is int:
            return value
        if isinstance(value, datetime):
            return value.isoformat().encode()
        raise TypeError(f"the cache holds counters and times, no {type(value).__name__}")

    def loads(self, data: bytes) -> int | datetime | None:
        """The value; None, as if there were none, for bytes that are neither of the two."""
        try:
            return int(data)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(data.decode())
        except ValueError:
            return None
