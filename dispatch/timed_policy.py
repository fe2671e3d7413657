"""The numbers of device commands with an end, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from dispatch.pauses import pause_after

_LONGEST_PAUSE = timedelta(seconds=60)


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
        return pause_after(attempts, first=self.first_pause, longest=_LONGEST_PAUSE, chance=chance)


def current_timed_policy() -> TimedPolicy:
    """The policy of this installation's settings."""
    return TimedPolicy(
        longest=timedelta(hours=settings.TIMED_MAX_H),
        first_pause=timedelta(seconds=settings.TIMED_STOP_RETRY_S),
        most_attempts=settings.TIMED_STOP_ATTEMPTS,
    )
