"""Until an old connection is drained: why it can't retire yet, and its end.

It retires when nothing is pending there, what it sent has been answered or the time for that is over, TAKEOVER_DRAIN_S
have passed, and its queues are proven to be read to the end after all of that (`plants.selectors.draining`). Then
`retired_at` is the proven moment: what Voke's broker had confirmed before is stored. TAKEOVER_GRACE_S bounds it: the
connection retires all the same, and an alarm says what was not read.

Edge cases (the concurrency policy):
- A plant that reaches an old connection meanwhile is moved on first; one that can't be holds up its connection alone.
- What is pending bounds itself, by the replay margin of each message; it is the one thing that outlasts the grace.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max, Q

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.services.takeover import follow
from dispatch.states import State
from plants.errors import Conflict
from plants.models import Connection
from plants.selectors.alarms import open_platform_alarm_ids
from plants.selectors.draining import DrainingConnection, Reading, draining_connections, reading_of
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from plants.services.draining import note_draining
from plants.services.succession import move_plants, retire
from vcp.said import Said, said

log = structlog.get_logger(__name__)
UNREAD = "TAKEOVER_UNREAD"
_ALARM_PREFIX = "drain:"
_ALARM_STANDS = timedelta(days=1)
_MOST_ALARMS = 1000
_UNANSWERED = (State.SENT, State.UNCONFIRMED)
_UNDER_WAY = (State.ACCEPTED, State.PARTIAL, State.EXECUTING, State.QUEUED_BY_VOKE)


@dataclass(frozen=True, kw_only=True)
class DrainRules:
    """How long a connection drains at least and at most, and after what silence a consumer counts as gone."""

    least: timedelta
    grace: timedelta
    gone_after: timedelta


@dataclass(frozen=True, kw_only=True)
class _Hold:
    """Why it can't retire yet: a code of `plants.advice` and what there is to say beside its words."""

    code: str
    note: str = ""


def retire_drained(*, at: datetime, rules: DrainRules, policy: Policy) -> int:
    """Tick: retire connections that were taken over and are drained; answers how many."""
    retired = sum(_look_at(one, at=at, rules=rules, policy=policy) for one in draining_connections())
    _clear_old_alarms(at)
    return retired


def _look_at(one: DrainingConnection, *, at: datetime, rules: DrainRules, policy: Policy) -> bool:
    try:
        with transaction.atomic():
            strays = move_plants(old_id=one.connection_id, new_id=one.successor_id)
            follow(plant_ids=strays, at=at, policy=policy)
    except Conflict as error:  # a person must put the plant right; other connections go on
        log.error(
            "stray plants not moved",
            action="connection.stray",
            connection_id=one.connection_id,
            code=error.code,
        )
        note_draining(connection_id=one.connection_id, code="DRAINING_STRAY", note=error.message)
        return False
    # Read before the database is asked for what is open: what is found ended by then was not ended after the proof.
    reading = reading_of(connection_id=one.connection_id, at=at, gone_after=rules.gone_after)
    found = _drained_at(one, reading, at=at, rules=rules)
    if isinstance(found, datetime):
        return _retire(one, at=found)
    if found.code == "DRAINING_PENDING" or at < one.since + rules.grace:
        note_draining(connection_id=one.connection_id, code=found.code, note=found.note)
        return False
    return _retire_at_last(one, reading, found, at=at)


def _drained_at(
    one: DrainingConnection, reading: Reading, *, at: datetime, rules: DrainRules
) -> datetime | _Hold:
    """What was confirmed before that moment is stored, and nothing more is due; else what it waits for."""
    pending = OutboundMessage.objects.filter(connection_id=one.connection_id, outcome=Outcome.PENDING).count()
    if pending:
        return _Hold(code="DRAINING_PENDING", note=f"{pending} waiting or on their way")
    if not reading.readers:
        return _Hold(code="DRAINING_NOT_READ")
    words = _words_until(one)
    if words is not None and words > at:
        return _Hold(code="DRAINING_AWAITS_WORDS", note=f"at the latest until {words:%Y-%m-%d %H:%M:%S} UTC")
    least = one.since + rules.least
    if at < least:
        return _Hold(code="DRAINING_MINIMUM", note=f"until {least:%Y-%m-%d %H:%M:%S} UTC")
    return _read_until(one, reading, ended_at=max(least, words or least))


def _read_until(one: DrainingConnection, reading: Reading, *, ended_at: datetime) -> datetime | _Hold:
    """The moment until which the queues are proven to be read, after everything else had ended, and for long enough."""
    if reading.since is None or reading.until is None:
        known = "how many messages wait is not known"
        note = known if reading.unread is None else f"{reading.unread} at the last look"
        return _Hold(code="DRAINING_UNREAD", note=note)
    proven_for = reading.until - max(reading.since, one.since)
    if reading.until < ended_at or proven_for < timedelta(seconds=one.period_s):
        return _Hold(code="DRAINING_LAST_LOOK")
    return reading.until


def _words_until(one: DrainingConnection) -> datetime | None:
    """Until when Voke may say, or might have said, something in time about what was sent there; None = long over."""
    sent = Command.objects.filter(connection_id=one.connection_id)
    # A presumption of ours ends no deadline: its answer may stand in the queue.
    ends = sent.filter(
        Q(state__in=_UNANSWERED, ack_due_at__gt=one.since)
        | Q(state__in=_UNDER_WAY, execution_due_at__gt=one.since)
    ).aggregate(
        ack=Max("ack_due_at", filter=Q(state__in=_UNANSWERED)),
        execution=Max("execution_due_at", filter=Q(state__in=_UNDER_WAY)),
    )
    return max((end for end in ends.values() if end is not None), default=None)


def _retire(one: DrainingConnection, *, at: datetime) -> bool:
    if not retire(connection_id=one.connection_id, at=at):
        return False
    log.info("connection retired", action="connection.retired", connection_id=one.connection_id)
    return True


def _retire_at_last(one: DrainingConnection, reading: Reading, hold: _Hold, *, at: datetime) -> bool:
    """The grace is over. Read to the end: only words were awaited. Otherwise people are told what stays behind."""
    read_until = _read_until(one, reading, ended_at=one.since)
    if isinstance(read_until, datetime):
        log.warning(
            "connection retired before its commands ended",
            action="connection.retired",
            connection_id=one.connection_id,
            reason=hold.code,
        )
        return retire(connection_id=one.connection_id, at=read_until)
    with transaction.atomic():
        if not retire(connection_id=one.connection_id, at=at, code=UNREAD, note=_left(reading)):
            return False
        raise_platform_alarm(
            connection_id=one.connection_id,
            alarm_id=f"{_ALARM_PREFIX}{one.connection_id}",
            severity="ERROR",
            code=UNREAD,
            message=said(
                "The old connection retired, and its queues are not read to the end: %(reading)s.",
                reading=_left(reading),
            ),
            at=at,
        )
    log.error(
        "connection retired unread",
        action="connection.retired",
        connection_id=one.connection_id,
        reason=hold.code,
        unread=reading.unread,
    )
    return True


def _left(reading: Reading) -> Said:
    if not reading.readers:
        return said("no consumer read them, how many messages wait is not known")
    if reading.unread is None:
        return said("how many messages wait is not known")
    return said("%(count)s messages at the last look", count=reading.unread)


def _clear_old_alarms(at: datetime) -> None:
    """Nobody can mend what was left behind: the alarm stands for a day and stays in the history."""
    for alarm_id in open_platform_alarm_ids(code=UNREAD, limit=_MOST_ALARMS):
        connection_id = int(alarm_id.removeprefix(_ALARM_PREFIX))
        old = Connection.objects.filter(pk=connection_id, retired_at__lte=at - _ALARM_STANDS)
        if old.exists():
            clear_platform_alarm(connection_id=connection_id, alarm_id=alarm_id, at=at)
