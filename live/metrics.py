"""What a process counts of its announcements, for Prometheus; `esm.metrics` shows it.

`outcome`: `written` to the log, `replaced` by a newer value of the same kind before it was due, `dropped` (the log was
away, too many waited, or it was no JSON): screens are told that they missed something and read their pages again.
"""

from collections.abc import Callable

from prometheus_client import Counter, Gauge

ANNOUNCEMENTS = Counter(
    "esm_live_announcements_total",
    "What this process told screens after its commits, by what became of it: written, replaced by a newer value before"
    " it was due, dropped.",
    ("outcome",),
)
WRITTEN = ANNOUNCEMENTS.labels("written")
REPLACED = ANNOUNCEMENTS.labels("replaced")
DROPPED = ANNOUNCEMENTS.labels("dropped")
_NEWEST_AGE_S = Gauge(
    "esm_live_newest_entry_age_seconds",
    "Since this process last read an entry of the log that its streams are served from; since its start when there was"
    " none. Grows while nothing happens; while others write it tells of a reader that hangs.",
)
_AWAY = Gauge(
    "esm_live_log_away",
    "1 while the log can't be read, and screens are told that news can't come at present.",
)


def watch_log(*, newest_age_s: Callable[[], float], away: Callable[[], float]) -> None:
    """Ask the history of this process at each scrape."""
    _NEWEST_AGE_S.set_function(newest_age_s)
    _AWAY.set_function(away)
