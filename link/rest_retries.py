"""How often, and after which pause, a REST request is tried again. Pure.

Only what may be better a moment later is tried again: no connection, no answer in time, 429, 5xx. A pause grows, is
jittered so that many who failed together do not come back together, and has an end. Where Voke names a pause it is kept
in full; one that is longer than we may wait ends the trying instead of being cut short.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from link.rest_errors import RestError


@dataclass(frozen=True, kw_only=True)
class Retries:
    """`attempts` in all; pauses from `first_s`, doubling, at most `most_s`; no try begins later than `within_s`."""

    attempts: int = 3
    first_s: float = 0.5
    most_s: float = 10.0
    within_s: float = 30.0

    def pause_s(self, error: RestError, *, attempt: int, spent_s: float, rng: random.Random) -> float | None:
        """How long to wait after that failed attempt (1, 2 …); None = it is the answer."""
        if error.permanent or attempt >= self.attempts:
            return None
        asked_s = error.retry_after_s or 0.0
        if asked_s > self.most_s:
            return None
        grown_s = min(self.most_s, self.first_s * 2 ** (attempt - 1))
        pause_s = max(asked_s, grown_s * rng.uniform(0.5, 1.0)) + asked_s * rng.uniform(0.0, 0.1)
        return pause_s if spent_s + pause_s <= self.within_s else None


NO_RETRIES = Retries(attempts=1)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`; a date is counted from the host's own clock (`Date`). None = none that is read."""
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdecimal():
        return float(told[:9])
    until, now = _date(told), _date(headers.get("Date", ""))
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def told_at(headers: Mapping[str, str]) -> datetime | None:
    """The host's own clock when it answered (`Date`, whole seconds); None = none that is read."""
    return _date(headers.get("Date", ""))


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
