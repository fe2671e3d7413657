"""The numbers that decide when silence is an alarm, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

# An age beyond which old traffic says nothing about the present any more.
LOOK_BACK = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the dead-man rules; a span of nothing switches its rule off.

    Interpretation: Voke publishes neither how often it pulls nor its replay tolerance; the defaults leave room.
    """

    no_ack_count: int
    no_ack_within: timedelta
    ack_timeout: timedelta
    no_pull_for: timedelta
    first_pull_within: timedelta
    no_meter_for: timedelta
    link_grace: timedelta
    dead_letters_max: int
    dead_letters_within: timedelta
    clock_skew: timedelta
    outbox_age: timedelta
    clear_after: timedelta


def current_limits() -> Limits:
    """The limits of this installation's settings."""
    return Limits(
        no_ack_count=settings.WATCH_NO_ACK_COUNT,
        no_ack_within=timedelta(minutes=settings.WATCH_NO_ACK_MIN),
        # A command of the most patient class is not silent before its own deadline.
        ack_timeout=timedelta(seconds=max(settings.ACK_TIMEOUT_S, *settings.ACK_TIMEOUTS_S.values())),
        no_pull_for=timedelta(minutes=settings.WATCH_NO_PULL_MIN),
        first_pull_within=timedelta(minutes=settings.WATCH_FIRST_PULL_MIN),
        no_meter_for=timedelta(minutes=settings.WATCH_NO_METER_MIN),
        link_grace=timedelta(seconds=settings.WATCH_LINK_GRACE_S),
        dead_letters_max=settings.WATCH_DEAD_LETTERS_MAX,
        dead_letters_within=timedelta(minutes=settings.WATCH_DEAD_LETTERS_MIN),
        clock_skew=timedelta(seconds=settings.WATCH_CLOCK_SKEW_S),
        outbox_age=timedelta(seconds=settings.WATCH_OUTBOX_AGE_S),
        clear_after=timedelta(seconds=settings.WATCH_CLEAR_AFTER_S),
    )
