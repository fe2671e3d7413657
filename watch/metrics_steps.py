"""How long commands lately took from step to step, read from their events: bounded to the newest ones.

asked_to_signed   from asked (or due, when that is later) until the message was signed and stored
signed_to_sent    until the broker confirmed it
sent_to_ack       from the broker's confirm until Voke's first answer was committed
ack_to_execution  from that answer until the first word on the execution was committed
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Max

from dispatch.models import CommandEvent
from dispatch.states import State

NEWEST_EVENTS = 2000
LATELY = timedelta(minutes=10)
_ACK = frozenset({State.ACCEPTED, State.QUEUED_BY_VOKE, State.PARTIAL, State.REJECTED})
_EXECUTION = frozenset({State.EXECUTING, State.COMPLETED, State.DEVIATED, State.FAILED})
_QUANTILES: Mapping[str, float] = {"0.5": 0.5, "0.9": 0.9, "0.99": 0.99, "1": 1.0}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: of how many commands, and seconds by quantile ("0.5", "0.9", "0.99", "1"); empty without commands."""

    name: str
    count: int
    quantiles: Mapping[str, float]


@dataclass(kw_only=True)
class _Seen:
    """What was found of one command."""

    sent_at: datetime | None = None
    acked_at: datetime | None = None
    executing: bool = False


@dataclass(kw_only=True)
class _Durations:
    """Seconds by step."""

    by_step: dict[str, list[float]] = field(
        default_factory=lambda: {
            "asked_to_signed": [],
            "signed_to_sent": [],
            "sent_to_ack": [],
            "ack_to_execution": [],
        }
    )

    def add(self, step: str, start: datetime | None, end: datetime | None) -> None:
        if start is not None and end is not None:
            self.by_step[step].append(max(0.0, (end - start).total_seconds()))


def step_seconds(*, at: datetime) -> list[Step]:
    """Every step of the last 10 minutes' commands; two queries, at most the newest 2000 events."""
    newest = CommandEvent.objects.aggregate(newest=Max("pk"))["newest"] or 0
    rows = CommandEvent.objects.filter(
        pk__gt=newest - NEWEST_EVENTS, at__gte=at - LATELY, verdict="APPLIED"
    ).order_by("pk")
    durations = _Durations()
    seen: dict[int, _Seen] = {}
    for command_id, word, told, requested, due, made, settled in rows.values_list(
        "command_id",
        "word",
        "at",
        "command__requested_at",
        "command__due_at",
        "outbound__made_at",
        "outbound__outcome_at",
    ):
        one = seen.setdefault(command_id, _Seen())
        if word == State.SENT:
            one.sent_at = told
            durations.add("asked_to_signed", max(requested, due), made)
            durations.add("signed_to_sent", made, told)
        elif word in _ACK and one.acked_at is None:
            # The confirm may lie before the window, or may come after the answer: then nothing is known of the step.
            durations.add("sent_to_ack", one.sent_at or _before(settled, told), told)
            one.acked_at = told
        elif word in _EXECUTION and not one.executing:
            durations.add("ack_to_execution", one.acked_at, told)
            one.executing = True
    return [
        Step(name=name, count=len(values), quantiles=_quantiles(sorted(values)))
        for name, values in durations.by_step.items()
    ]


def _before(settled: datetime | None, told: datetime) -> datetime | None:
    return settled if settled is not None and settled < told else None


def _quantiles(ordered: Sequence[float]) -> dict[str, float]:
    """By nearest rank."""
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {name: ordered[min(last, round(share * last))] for name, share in _QUANTILES.items()}
