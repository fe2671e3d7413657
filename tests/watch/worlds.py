"""Facts and limits for the tests of the watch."""

import dataclasses
from datetime import timedelta
from typing import Any

from tests.factories import AT
from watch.facts import AckFact, LinkFact, MeterFact, SilentMeter, TickFact
from watch.limits import Limits

LIMITS = Limits(
    no_ack_count=3,
    no_ack_within=timedelta(minutes=15),
    ack_timeout=timedelta(seconds=60),
    no_pull_for=timedelta(minutes=120),
    first_pull_within=timedelta(minutes=1440),
    no_meter_for=timedelta(minutes=15),
    link_grace=timedelta(seconds=120),
    dead_letters_max=10,
    dead_letters_within=timedelta(minutes=10),
    clock_skew=timedelta(seconds=30),
    outbox_age=timedelta(seconds=60),
    clear_after=timedelta(seconds=60),
)


def with_limits(**changes: Any) -> Limits:
    return dataclasses.replace(LIMITS, **changes)


def link(state: str, **changes: Any) -> LinkFact:
    facts: dict[str, Any] = {
        "connection_id": 7,
        "name": "key 7",
        "state": state,
        "code": "REFUSED_CREDENTIALS",
        "title": "User name or API key refused",
        "action": "Ask Voke.",
        "since": None,
        "skew_ms": None,
    }
    return LinkFact(**(facts | changes))


def ack(**changes: Any) -> AckFact:
    facts: dict[str, Any] = {
        "connection_id": 7,
        "name": "key 7",
        "unanswered": 0,
        "answered": 0,
        "last_unanswered_at": AT - timedelta(minutes=2),
        "last_answered_at": None,
    }
    return AckFact(**(facts | changes))


def meters(*, known: int, silent: int) -> MeterFact:
    stopped = tuple(
        SilentMeter(plant_id=n, name=f"Depot {n}", last_at=AT - timedelta(minutes=20))
        for n in range(1, silent + 1)
    )
    return MeterFact(connection_id=7, name="key 7", known=known, silent_count=silent, silent=stopped[:5])


def tick(
    name: str, *, period_s: float, finished_s_ago: float | None, since_s_ago: float = 9999, error: str = ""
) -> TickFact:
    return TickFact(
        name=name,
        period_s=period_s,
        since=AT - timedelta(seconds=since_s_ago),
        finished_at=None if finished_s_ago is None else AT - timedelta(seconds=finished_s_ago),
        ok=not error,
        error_code=error,
    )
