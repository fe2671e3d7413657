"""The checks: pure functions from evidence to violations, each counted as lost, doubled or late.

Interpretation of the three words: lost = something that was promised is not there; doubled = something happened twice,
or with other bytes; late = something reached the broker that should not have been sent any more (past its time, after a
STOP, or after it was said that it was not sent).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tests.faults.evidence import Arrival, CommandFact, Evidence, MessageFact, Told
from vcp import parse_timestamp

# From the relay's last look at the clock to the broker's queue, on a machine with more work than it has time for.
TRAVEL = timedelta(seconds=1)
NEVER_SENT_STATES = frozenset({"CANCELLED", "SUPERSEDED", "EXPIRED"})
NEVER_SENT_OUTCOMES = frozenset({"REPLACED", "WITHDRAWN"})
UNANSWERED = frozenset({"SCHEDULED", "QUEUED", "SENT", "UNCONFIRMED"})
ACK = "event.command.ack"
REALTIME = "event.telemetry.realtime"
METER = "event.telemetry.meter"


class Count(StrEnum):
    """What a violation counts as."""

    LOST = "lost"
    DOUBLED = "doubled"
    LATE = "late"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One broken promise, with the ids to look it up by."""

    count: Count
    text: str


def judge(evidence: Evidence) -> list[Violation]:
    """Every violation that the evidence shows."""
    return [violation for check in CHECKS for violation in check(evidence)]


def summary(violations: list[Violation]) -> str:
    """The last line of a run."""
    counts = Counter(violation.count for violation in violations)
    return ", ".join(f"{count.value} {counts[count]}" for count in Count)


def demanded(told: Sequence[Told], *, retired_at: datetime | None) -> list[Told]:
    """Of what was said on one key: what the broker had taken before the key was retired (None: it is not).

    Nobody listens there afterwards, as documented. What it had taken before is promised, however late it is read.
    """
    return [one for one in told if retired_at is None or parse_timestamp(one.confirmed_at) < retired_at]


def asked_and_kept(evidence: Evidence) -> Iterator[Violation]:
    """What a service call answered is in the database."""
    known = {command.command_id for command in evidence.commands}
    for command_id in evidence.asked:
        if command_id not in known:
            yield Violation(
                count=Count.LOST, text=f"command {command_id}: its commit was answered, it is gone"
            )


def ended_with_evidence(evidence: Evidence) -> Iterator[Violation]:
    """The last applied event of a command names its state and why, and Voke's words name Voke's message."""
    for command in evidence.commands:
        if command.word != command.state or not command.cause:
            event = f"{command.word!r} ({command.cause!r})"
            text = f"command {command.command_id}: {command.state}, its last event is {event}"
            yield Violation(count=Count.LOST, text=text)
        elif command.from_voke and not command.has_inbound:
            text = f"command {command.command_id}: {command.state} by Voke's word, and no message of Voke's proves it"
            yield Violation(count=Count.LOST, text=text)


def settled(evidence: Evidence) -> Iterator[Violation]:
    """Nothing waits to be sent any more; call when it had time to."""
    for command in evidence.commands:
        if command.state in ("SCHEDULED", "QUEUED"):
            yield Violation(count=Count.LOST, text=f"command {command.command_id}: still {command.state}")


def sent_as_said(evidence: Evidence) -> Iterator[Violation]:
    """Confirmed messages reached the broker; what is said to have never been sent did not."""
    arrived = {arrival.message_id for arrival in evidence.arrivals}
    states = {command.command_id: command.state for command in evidence.commands}
    for message in evidence.messages:
        state = states.get(message.command_id or 0, "")
        if message.outcome == "CONFIRMED" and message.message_id not in arrived:
            yield Violation(count=Count.LOST, text=f"{_of(message)}: confirmed, and not at the broker")
        elif message.message_id not in arrived:
            continue
        elif message.outcome == "REPLACED":
            yield Violation(
                count=Count.DOUBLED, text=f"{_of(message)}: replaced as never sent, and it was sent"
            )
        elif message.outcome == "WITHDRAWN" or state in NEVER_SENT_STATES:
            text = f"{_of(message)}: {message.outcome} of a command {state}, and it was sent"
            yield Violation(count=Count.LATE, text=text)


def answers_arrived(evidence: Evidence) -> Iterator[Violation]:
    """A command whose acknowledgement the broker took from the stand-in is not left without an answer."""
    states = {command.command_id: command.state for command in evidence.commands}
    by_correlation = {message.correlation_id: message for message in evidence.messages}
    for told in evidence.told:
        message = by_correlation.get(told.correlation_id)
        if told.family != ACK or told.message_id in evidence.letters or message is None:
            continue
        if states.get(message.command_id or 0) in UNANSWERED:
            state = states[message.command_id or 0]
            text = f"command {message.command_id}: {state}, though ACK {told.message_id} was published"
            yield Violation(count=Count.LOST, text=text)


def same_bytes(evidence: Evidence) -> Iterator[Violation]:
    """Every attempt of a message carried the bytes that are stored, and nothing was sent that is not stored."""
    stored = {message.message_id: message.sha256 for message in evidence.messages}
    for message_id, sha256 in sorted({(one.message_id, one.sha256) for one in evidence.arrivals}):
        if message_id not in stored:
            yield Violation(count=Count.LOST, text=f"message {message_id}: sent, and not in the outbox")
        elif stored[message_id] != sha256:
            yield Violation(
                count=Count.DOUBLED, text=f"message {message_id}: sent with other bytes than stored"
            )


def one_effect_each(evidence: Evidence) -> Iterator[Violation]:
    """One effect per message id, and one message with an effect per command, re-issued emergencies apart."""
    for message_id, count in sorted(evidence.effects.items()):
        if count > 1:
            yield Violation(count=Count.DOUBLED, text=f"message {message_id}: {count} effects")
    emergencies = {command.command_id for command in evidence.commands if command.emergency}
    effective: dict[int, list[str]] = defaultdict(list)
    for message in evidence.messages:
        if message.command_id is not None and message.message_id in evidence.effects:
            effective[message.command_id].append(message.message_id)
    for command_id, message_ids in sorted(effective.items()):
        if len(message_ids) > 1 and command_id not in emergencies:
            text = f"command {command_id}: messages {', '.join(message_ids)} each had an effect"
            yield Violation(count=Count.DOUBLED, text=text)


def in_time(evidence: Evidence) -> Iterator[Violation]:
    """Nothing reached the broker certainly after its deliver-by or its replay margin."""
    messages = {message.message_id: message for message in evidence.messages}
    for arrival in evidence.arrivals:
        message = messages.get(arrival.message_id)
        if message is None:
            continue
        limits = {"replay margin": message.made_at + evidence.replay_margin}
        if message.deliver_by_at is not None:
            limits["deliver-by"] = message.deliver_by_at
        for name, limit in limits.items():
            if arrival.not_before > limit + TRAVEL:
                late_s = (arrival.not_before - limit).total_seconds()
                text = f"{_of(message)}: at the broker {late_s:.1f} s or more after its {name}"
                yield Violation(count=Count.LATE, text=text)


def nothing_after_a_stop(evidence: Evidence) -> Iterator[Violation]:
    """No command that was asked before a STOP's (or HOLD's) release reached the broker after it.

    What was asked after the release must not come before the release's own mode message, nor the emergency itself for
    the first time after that one.
    """
    first = _first_arrivals(evidence)
    by_plant: dict[str, list[CommandFact]] = defaultdict(list)
    for command in evidence.commands:
        by_plant[command.plant].append(command)
    for commands in by_plant.values():
        for emergency in (command for command in commands if command.emergency):
            yield from _followers(emergency, commands, first)


def _followers(
    emergency: CommandFact, commands: list[CommandFact], first: dict[int, list[Arrival]]
) -> Iterator[Violation]:
    stops = first.get(emergency.command_id, [])
    releases = first.get(emergency.released_by or 0, [])
    for command in commands:
        is_asked_before = emergency.released_by is None or command.command_id < emergency.released_by
        for arrival in first.get(command.command_id, []):
            what = f"command {command.command_id}, message {arrival.message_id}"
            whose = f"{emergency.emergency} {emergency.command_id}"
            if command is emergency:
                if any(_is_after(arrival, release) for release in releases):
                    yield Violation(count=Count.LATE, text=f"{what}: came first after its release")
            elif command.emergency:
                continue
            elif is_asked_before and any(_is_after(arrival, stop) for stop in stops):
                yield Violation(count=Count.LATE, text=f"{what}: followed {whose} of its plant")
            elif not is_asked_before and any(_is_after(release, arrival) for release in releases):
                yield Violation(count=Count.LATE, text=f"{what}: came before the release of {whose}")


def _first_arrivals(evidence: Evidence) -> dict[int, list[Arrival]]:
    """The first arrival of each message, by command."""
    commands = {message.message_id: message.command_id for message in evidence.messages}
    first: dict[str, Arrival] = {}
    for arrival in sorted(evidence.arrivals, key=lambda one: (one.vhost, one.place)):
        first.setdefault(arrival.message_id, arrival)
    found: dict[int, list[Arrival]] = defaultdict(list)
    for message_id, arrival in first.items():
        command_id = commands.get(message_id)
        if command_id is not None:
            found[command_id].append(arrival)
    return found


def _is_after(one: Arrival, other: Arrival) -> bool:
    """Whether it certainly came later: by the queue's order, or by the clock when they are in two vhosts."""
    if one.vhost == other.vhost:
        return one.place > other.place
    return one.not_before > other.by


def events_kept(evidence: Evidence) -> Iterator[Violation]:
    """Every event that the broker took from the stand-in is stored once, or is a dead letter."""
    for told in evidence.told:
        rows = _rows_of(told, evidence)
        if rows > 1:
            yield Violation(count=Count.DOUBLED, text=f"event {told.message_id} ({told.family}): {rows} rows")
        elif rows == 0 and told.message_id not in evidence.letters:
            yield Violation(
                count=Count.LOST, text=f"event {told.message_id} ({told.family}) of {told.created_at}"
            )


def missing_events(evidence: Evidence) -> list[Told]:
    """Events that are not stored yet."""
    return [
        told
        for told in evidence.told
        if not _rows_of(told, evidence) and told.message_id not in evidence.letters
    ]


def _rows_of(told: Told, evidence: Evidence) -> int:
    readings = {REALTIME: evidence.realtime, METER: evidence.meters}.get(told.family)
    if readings is not None:
        return int((told.plant, told.created_at) in readings)
    return evidence.inbound[told.message_id]


def heard_by_voke(evidence: Evidence) -> Iterator[Violation]:
    """What reached the broker reached the stand-in."""
    for message_id in sorted({arrival.message_id for arrival in evidence.arrivals} - evidence.heard):
        yield Violation(count=Count.LOST, text=f"message {message_id}: at the broker, and not in the journal")


def _of(message: MessageFact) -> str:
    return f"message {message.message_id} of command {message.command_id}"


CHECKS: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    asked_and_kept,
    ended_with_evidence,
    settled,
    sent_as_said,
    answers_arrived,
    same_bytes,
    one_effect_each,
    in_time,
    nothing_after_a_stop,
    events_kept,
    heard_by_voke,
)
