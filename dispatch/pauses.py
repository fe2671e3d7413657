"""The pause before something that came to nothing is made again. Pure."""

from datetime import timedelta

_MOST_DOUBLINGS = 20


def pause_after(attempts: int, *, first: timedelta, longest: timedelta, chance: float) -> timedelta:
    """After so many attempts in vain, 1 at least: doubled with each up to `longest`; half of it, the rest by chance.

    `chance` lies within [0, 1).
    """
    whole = min(first * (1 << min(attempts - 1, _MOST_DOUBLINGS)), longest)
    return whole * (0.5 + 0.5 * chance)
