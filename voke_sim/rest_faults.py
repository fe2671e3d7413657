"""Refusals of the REST side on request: which read is answered with which status, how often.

Kept apart from the faults of messages: a partner that reads is another party than a site that is commanded. The
controls under `/sim` are never refused, so that a fault can be taken away again.
"""

import threading
from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta


class RestPart(StrEnum):
    """What is read."""

    SITES = "sites"
    CONFIG = "config"
    COMMANDS = "commands"


_CODES = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "SITE_NOT_FOUND",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}


class RestFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One refusal and the reads it meets; an absent selector meets all."""

    status: int
    part: RestPart | None = None
    site: str | None = None
    """The site's UUID; lists of sites have none."""
    count: Annotated[int, Meta(ge=1)] | None = None
    """Used up after so many refusals; None = never."""
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    """Sent as `Retry-After`."""

    def __post_init__(self) -> None:
        if self.status not in _CODES:
            raise ValueError(f"status: must be one of {', '.join(str(one) for one in _CODES)}")
        if self.site is not None and self.part is RestPart.SITES:
            raise ValueError("site: has no meaning for the list of sites")

    @property
    def code(self) -> str:
        """The stable code of Voke's error envelope."""
        return _CODES[self.status]

    @property
    def message(self) -> str:
        """What it says to people."""
        return f"{HTTPStatus(self.status).phrase}, as was asked for"


class RestFaults:
    """The refusals in force. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[tuple[RestFault, int | None]] = []

    def replace(self, faults: Sequence[RestFault]) -> None:
        """Put exactly these in force."""
        with self._lock:
            self._rows = [(fault, fault.count) for fault in faults]

    def rows(self) -> list[RestFault]:
        """Those in force."""
        with self._lock:
            return [fault for fault, _ in self._rows]

    def met_by(self, part: RestPart, site_id: str | None) -> RestFault | None:
        """The first refusal that meets this read; uses up one of its hits."""
        with self._lock:
            for index, (fault, left) in enumerate(self._rows):
                if fault.part not in (None, part) or not _names(fault, site_id):
                    continue
                if left == 1:
                    del self._rows[index]
                elif left is not None:
                    self._rows[index] = (fault, left - 1)
                return fault
            return None


def _names(fault: RestFault, site_id: str | None) -> bool:
    return fault.site is None or (site_id is not None and fault.site.lower() == site_id.lower())
