"""The end of a timed device command on its pages: when its stop is due, the stop itself, and how it ended."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.admin.looks import state_chip
from dispatch.models import Command, CommandEvent, Kind, TimedCommand
from dispatch.states import State
from dispatch.words import cause_text, command_title
from plants.admin.marks import ago, link, moment

Facts = list[tuple[str, object]]


def timed_of(command: Command) -> TimedCommand | None:
    """The end that a command was sent with; None where it has none."""
    if command.kind != Kind.DEVICE:
        return None
    return TimedCommand.objects.select_related("stop").filter(pk=command.pk).first()


def timed_facts(
    command: Command, timed: TimedCommand | None, events: Iterable[CommandEvent], *, at: datetime
) -> Facts:
    """Of a start its stop and its end; of a stop the command that it ends."""
    if timed is not None:
        return _facts_of_start(timed, zone=command.plant.time_zone, at=at)
    started = _started_by(command, events)
    if started is None:
        return []
    title = f"#{started.pk} {command_title(started.kind, started.payload)}"
    return [("Stops", format_html("{} {}", link(started, title), state_chip(started)))]


def _facts_of_start(timed: TimedCommand, *, zone: str, at: datetime) -> Facts:
    facts: Facts = [("Its stop is due", _due_text(timed, zone=zone, at=at))]
    if timed.stop is not None:
        title = f"#{timed.stop.pk} {command_title(timed.stop.kind, timed.stop.payload)}"
        facts.append(("Its stop", format_html("{} {}", link(timed.stop, title), state_chip(timed.stop))))
    elif timed.ended_at is None:
        facts.append(("Its stop", f"{command_title(Kind.DEVICE, timed.stop_payload)}, not made yet"))
    if timed.ended_at is not None:
        ended = moment(timed.ended_at, zone=zone)
        facts.append(("Its end", format_html("{}, {}", cause_text(f"TIMED_{timed.end_cause}"), ended)))
    elif timed.attempts:
        count = "1 stop" if timed.attempts == 1 else f"{timed.attempts} stops"
        facts.append(("Its end", format_html("{} came to nothing{}", count, _again_text(timed, zone=zone))))
    elif timed.stop is None and timed.retry_at is not None:
        facts.append(("Its end", "Waits for the release of the plant's emergency"))
    return facts


def _due_text(timed: TimedCommand, *, zone: str, at: datetime) -> SafeString:
    due = moment(timed.stop_at, zone=zone)
    if timed.ended_at is not None or timed.stop_id is not None:
        return due
    return format_html("{} <small class='muted'>{}</small>", due, ago(timed.stop_at, now=at, zone=zone))


def _again_text(timed: TimedCommand, *, zone: str) -> SafeString | str:
    """What follows on stops that came to nothing; one that is on its way is told by its own state."""
    if timed.stop is not None:
        left = timed.retry_at is not None and timed.stop.state != State.UNCONFIRMED
        return "; none is made again, it is left to people" if left else ""
    if timed.retry_at is None:
        return "; the next is made at once"
    return format_html("; the next is made at {}", moment(timed.retry_at, zone=zone))


def _started_by(command: Command, events: Iterable[CommandEvent]) -> Command | None:
    """Whose end the command is, by the note that was written when it was made."""
    if command.kind != Kind.DEVICE:
        return None
    numbers = [event.detail.get("stops") for event in events if event.word == "STOPS"]
    found = [number for number in numbers if isinstance(number, int)]
    return Command.objects.filter(pk__in=found[:1]).first()
