"""The numbers of device commands with an end, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class TimedPolicy:
    """`longest`: how long after its start the stop may be. `first_pause`: before a stop that came to nothing is made
    again; it doubles. `most_attempts`: how many stops are made before it is left to people.
    """

    longest: timedelta
    first_pause: timedelta
    most_attempts: int

    def pause_after(self, attempts: int, chance: float) -> timedelta:
        """The pause after so many stops that came to nothing: at least half of it, the rest by chance."""
        whole_s = min(self.first_pause.total_seconds() * 2 ** min(attempts - 1, 20), _LONGEST_PAUSE_S)
        return timedelta(seconds=whole_s * (0.5 + 0.5 * chance))


def current_timed_policy() -> TimedPolicy:
    """The policy of this installation's settings."""
    return TimedPolicy(
        longest=timedelta(hours=settings.TIMED_MAX_H),
        first_pause=timedelta(seconds=settings.TIMED_STOP_RETRY_S),
        most_attempts=settings.TIMED_STOP_ATTEMPTS,
    )
