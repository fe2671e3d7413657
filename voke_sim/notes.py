"""One-line happenings for people who watch: what was pulled, received, decided, done and published."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Action(StrEnum):
    """What a note tells of."""

    PULLED = "pulled"
    """A request of the reverse channel was answered (or failed)."""
    RECEIVED = "received"
    """A message got its verdict; `status` is the verdict."""
    EXECUTION = "execution"
    """A command moved; `status` is EXECUTING, COMPLETED, DEVIATED or FAILED."""
    ALARM = "alarm"
    """`status` is `raised` or `cleared`."""
    MODE = "mode"
    """A site's mode changed; `status` is the new mode."""
    SCHEDULE = "schedule"
    """`status` is the schedule's status."""
    REPORTED = "reported"
    """Telemetry or meter values were handed over for publishing."""
    TRANSPORT = "transport"
    """`status` is `connected` or `disconnected`."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One happening; `text` is readable on its own and holds no secret."""

    at: datetime
    action: Action
    status: str
    text: str
    site: str | None = None
    """The site's externalPlantId."""
    family: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    values: dict[str, Any] = {}
