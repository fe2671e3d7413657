"""How plans, slots and what stands against them are told on the console's pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from console.dates import day_text
from console.words import Look, look_of, missed_text
from dispatch.models import Proof
from dispatch.states import State
from dispatch.words import cause_text
from plants.models import ScheduleCarrier
from plants.words import label_text, local_number
from schedules.conflicts import Code
from schedules.models import PlanVersion, RunState
from schedules.selectors.plans import SlotOutcome
from schedules.slots import PlannedSlot, Span, number_text
from vcp import Direction, Priority, SetpointType

NARROW: Final = "\u202f"
_RUNS: Final[Mapping[str, Look]] = {
    RunState.WAITING: Look(family="wait", icon="clock", word=gettext_lazy("Waiting")),
    RunState.COMMANDED: Look(family="move", icon="send", word=gettext_lazy("Commanded")),
    RunState.PREEMPTED: Look(family="doubt", icon="hand", word=gettext_lazy("Pre-empted")),
    RunState.MISSED: Look(family="fail", icon="octagon-x", word=gettext_lazy("Missed")),
    RunState.WITHDRAWN: Look(family="wait", icon="ban", word=gettext_lazy("Withdrawn")),
}
_NOT_IN_FORCE: Final = Look(family="wait", icon="ban", word=gettext_lazy("Not in force"))
_OFF: Final = Look(family="doubt", icon="equal-not", word=gettext_lazy("Off target"))
_AT_VOKE: Final = Look(family="move", icon="check", word=gettext_lazy("With Voke"))
_PASSED: Final = Look(family="wait", icon="history", word=gettext_lazy("Passed"))
_SAYS_WHY: Final = frozenset(
    {
        State.REJECTED,
        State.FAILED,
        State.RETURNED,
        State.REFUSED,
        State.CANCELLED,
        State.SUPERSEDED,
        State.EXPIRED,
    }
)
_GIVEN_UP: Final = frozenset({RunState.PREEMPTED, RunState.MISSED, RunState.WITHDRAWN})
_CONFLICTS: Final[Mapping[str, "str | Promise"]] = {
    Code.OUTSIDE_DAY: gettext_lazy("Outside the day"),
    Code.NOT_ON_GRID: gettext_lazy("Not one of the day's slots"),
    Code.OVERLAP: gettext_lazy("Overlaps another slot"),
    Code.PAST: gettext_lazy("Over already"),
    Code.SITE_LIMIT: gettext_lazy("Over the grid limit"),
    Code.TIME_CONFIG: gettext_lazy("Over the time config's battery limit"),
    Code.PLANT_LIMIT: gettext_lazy("Over the plant's battery limit"),
    Code.ASSET_RATING: gettext_lazy("Over the batteries' rating"),
    Code.SOC_WINDOW: gettext_lazy("Beyond the charge window"),
    Code.OTHER_PLAN: gettext_lazy("Another day's plan is there"),
    Code.OVERRIDE: gettext_lazy("An override is in force"),
    Code.LATCH: gettext_lazy("Emergency in force"),
}
_EVENTS: Final[Mapping[str, Look]] = {
    "MADE": Look(family="wait", icon="plus", word=gettext_lazy("Draft made")),
    "CHANGED": Look(family="wait", icon="pencil", word=gettext_lazy("Draft changed")),
    "CHECKED": Look(family="wait", icon="list-checks", word=gettext_lazy("Checked")),
    "NOT_PASSED": Look(
        family="fail", icon="octagon-alert", word=gettext_lazy("Checked: can't be published as it is")
    ),
    "DISCARDED": Look(family="wait", icon="trash-2", word=gettext_lazy("Draft discarded")),
    "PUBLISHED": Look(family="ok", icon="calendar-check", word=gettext_lazy("Published")),
    "REPLACED": Look(family="wait", icon="history", word=gettext_lazy("Replaced")),
    "CANCELLED": Look(family="wait", icon="ban", word=gettext_lazy("Cancelled")),
    "DONE": Look(family="ok", icon="check-check", word=gettext_lazy("Its day is over")),
    "RECONCILED": Look(family="doubt", icon="refresh-cw", word=gettext_lazy("Made anew at Voke")),
}


def conflict_title(code: str) -> str:
    """What kind of thing stands against a slot."""
    return str(_CONFLICTS.get(code, code))


def event_look(word: str) -> Look:
    """Something that happened to a plan."""
    return _EVENTS.get(word) or Look(family="wait", icon="circle", word=label_text(word))


def day_words(day: date) -> str:
    """`Wed 15 July`."""
    return day_text(day)


def wall_text(at: datetime, *, zone: str) -> str:
    """`14:15` on the plant's clock; the second of two equal times of a day is `02:15 B`."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%H:%M} B" if local.fold else f"{local:%H:%M}"


def span_words(span: Span, *, zone: str) -> str:
    """`14:00–14:15`; a span that ends with the day ends at 24:00."""
    end = wall_text(span.end_at, zone=zone)
    return f"{wall_text(span.start_at, zone=zone)}–{'24:00' if end == '00:00' else end}"


def direction_word(direction: Direction) -> str:
    """Import or export."""
    return gettext("Import") if direction is Direction.IMPORT else gettext("Export")


def ask_words(slot: PlannedSlot | None) -> str:
    """`Export 120 kW`, `Import 5 kWh, without consumption, high priority`, `Nothing planned`."""
    if slot is None:
        return gettext("Nothing planned")
    unit = "kW" if slot.type is SetpointType.POWER else "kWh"
    parts = [f"{direction_word(slot.direction)} {local_number(number_text(slot.value))}{NARROW}{unit}"]
    if not slot.include_consumption:
        parts.append(gettext("without consumption"))
    if slot.priority is Priority.HIGH:
        parts.append(gettext("high priority"))
    return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of a slot: its look, its word, and one sentence more where there is something to say."""

    look: Look
    word: str
    more: str = ""


def outcome_told(one: SlotOutcome, *, at: datetime, version: PlanVersion) -> Told | None:
    """The strongest thing that is known of a slot; None = nothing was ever done about it."""
    if one.verdict and not (one.verdict == Proof.NOT_IN_FORCE and _says_why(one)):
        return _verdict_told(one)
    match one.run_state:
        case "":
            return _without_run(one, at, version)
        case RunState.COMMANDED if one.command_state:
            look = look_of(one.command_state)
            return Told(look=look, word=str(look.word), more=cause_text(one.cause) if one.cause else "")
        case RunState.PREEMPTED:
            more = gettext("In force instead: %(winner)s") % {"winner": one.winner} if one.winner else ""
            return Told(look=_RUNS[RunState.PREEMPTED], word=str(_RUNS[RunState.PREEMPTED].word), more=more)
        case _:
            look = _RUNS[RunState(one.run_state)]
            return Told(look=look, word=str(look.word), more=cause_text(one.cause) if one.cause else "")


def _says_why(one: SlotOutcome) -> bool:
    """Whether what became of its run or command tells why it was not in force."""
    return one.run_state in _GIVEN_UP or one.command_state in _SAYS_WHY


def _verdict_told(one: SlotOutcome) -> Told:
    if one.verdict == Proof.NOT_IN_FORCE:
        return Told(look=_NOT_IN_FORCE, word=str(_NOT_IN_FORCE.word))
    look = look_of(one.verdict)
    if one.verdict != Proof.OFF_TARGET or one.off_by is None:
        return Told(look=look, word=str(look.word))
    sign = 1 if one.slot.direction is Direction.IMPORT else -1
    word = missed_text(off_by=one.off_by, target=sign * one.slot.value, unit=one.unit)
    return Told(look=_OFF, word=word)


def _without_run(one: SlotOutcome, at: datetime, version: PlanVersion) -> Told | None:
    """A slot that Voke's own schedule carries has no run of ours; nor has one that was over when we published."""
    if one.slot.start_at > at:
        return None
    by_voke = version.carrier == ScheduleCarrier.VOKE
    if not by_voke or (version.published_at is not None and one.slot.end_at <= version.published_at):
        more = gettext("Nothing was sent: it had begun before this version was published")
        return Told(look=_PASSED, word=str(_PASSED.word), more=more)
    return Told(look=_AT_VOKE, word=str(_AT_VOKE.word))


def slots_words(count: int) -> str:
    """`1 slot`, `12 slots`."""
    return ngettext("%(count)d slot", "%(count)d slots", count) % {"count": count}
