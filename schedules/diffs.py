"""What differs between two versions of a day plan, slot by slot, readable and for machines. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from schedules.slots import PlannedSlot, Span, number_text, span_text
from vcp import SetpointType


class Change(StrEnum):
    """What became of a span."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"


@dataclass(frozen=True, kw_only=True)
class SlotChange:
    """One span that differs; `before` None = it was not planned, `after` None = it is planned no more."""

    change: Change
    span: Span
    before: PlannedSlot | None
    after: PlannedSlot | None

    def text(self, *, zone: str) -> str:
        """`14:00-14:15 changed: import 20 kW -> export 5 kW`."""
        when = span_text(self.span, zone=zone)
        match self.before, self.after:
            case None, PlannedSlot() as after:
                return f"{when} added: {ask_text(after)}"
            case PlannedSlot() as before, None:
                return f"{when} removed: {ask_text(before)}"
            case PlannedSlot() as before, PlannedSlot() as after:
                return f"{when} changed: {ask_text(before)} -> {ask_text(after)}"
        raise ValueError("a change has a side")


def diff(before: Sequence[PlannedSlot], after: Sequence[PlannedSlot]) -> list[SlotChange]:
    """The changes in the order of time; slots that keep their span and what they ask for are not in it."""
    old = {(slot.start_at, slot.end_at): slot for slot in before}
    new = {(slot.start_at, slot.end_at): slot for slot in after}
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None:
            if was.asks == now.asks:
                continue
            change = Change.CHANGED
        else:
            change = Change.ADDED if was is None else Change.REMOVED
        found.append(
            SlotChange(change=change, span=Span(start_at=key[0], end_at=key[1]), before=was, after=now)
        )
    return found


def slot_text(slot: PlannedSlot, *, zone: str) -> str:
    """`import 20 kW, 14:00-14:15`."""
    return f"{ask_text(slot)}, {span_text(slot, zone=zone)}"


def ask_text(slot: PlannedSlot) -> str:
    """`import 20 kW`, `export 5 kWh without consumption, HIGH`."""
    unit = "kW" if slot.type is SetpointType.POWER else "kWh"
    text = f"{slot.direction.value.lower()} {number_text(slot.value)} {unit}"
    if not slot.include_consumption:
        text += " without consumption"
    return text if slot.priority.value == "NORMAL" else f"{text}, {slot.priority.value}"
