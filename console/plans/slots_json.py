"""Slots between the page's editor and the domain: one entry for each slot of the day's grid, None = nothing planned.

`{"type": "POWER", "value": 120, "direction": "EXPORT", "withConsumption": true, "priority": "NORMAL"}`; `value` is in
kW, for ENERGY in kWh over the slot, and never negative.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from django.http import HttpRequest
from django.http.request import RawPostDataException

from plants.errors import Invalid
from schedules.slots import PlannedSlot, Span
from vcp import Direction, Priority, SetpointType
from vcp.said import said

MOST_BYTES = 256 * 1024
"""A day of 300 slots takes some 30 kB."""
MOST_VALUE = 10_000_000.0
_PRIORITIES = (Priority.NORMAL, Priority.HIGH)


def slot_json(slot: PlannedSlot | None) -> dict[str, object] | None:
    """One slot for the editor."""
    if slot is None:
        return None
    return {
        "type": slot.type.value,
        "value": slot.value,
        "direction": slot.direction.value,
        "withConsumption": slot.include_consumption,
        "priority": slot.priority.value,
    }


def rows_json(rows: Sequence[PlannedSlot | None]) -> list[dict[str, object] | None]:
    """A day for the editor."""
    return [slot_json(row) for row in rows]


def read_body(request: HttpRequest) -> Mapping[str, Any]:
    """What the editor posted, as an object; `Invalid` (TOO_LARGE, NOT_JSON)."""
    try:
        body = request.body
    except RawPostDataException:  # a form with files, which was read as one already
        raise Invalid(said("this is not JSON"), code="NOT_JSON") from None
    if len(body) > MOST_BYTES:
        raise Invalid(said("the day is too large to be read"), code="TOO_LARGE")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid(said("this is not JSON"), code="NOT_JSON") from None
    if not isinstance(found, dict):
        raise Invalid(said("this is not an object"), code="NOT_JSON")
    return found


def read_rows(found: object, *, grid: Sequence[Span]) -> list[PlannedSlot | None]:
    """A day as the editor has it, by the grid; `Invalid` with the slot's place in the path."""
    if not isinstance(found, list) or len(found) != len(grid):
        raise Invalid(said("the day has %(count)s slots", count=len(grid)), path="slots", code="OTHER_GRID")
    return [
        _read(one, span, f"slots[{index}]") for index, (one, span) in enumerate(zip(found, grid, strict=True))
    ]


def _read(found: object, span: Span, path: str) -> PlannedSlot | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise Invalid(said("is no slot"), path=path, code="NOT_A_SLOT")
    value = found.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(said("write a number"), path=path, code="NOT_A_NUMBER")
    if not 0 <= value <= MOST_VALUE or not isfinite(value):
        raise Invalid(said("must lie within 0 and 10,000,000"), path=path, code="OUT_OF_RANGE")
    try:
        kind, direction = SetpointType(str(found.get("type"))), Direction(str(found.get("direction")))
        priority = Priority(str(found.get("priority", Priority.NORMAL.value)))
    except ValueError:
        raise Invalid(said("holds a word that is not known"), path=path, code="UNKNOWN_WORD") from None
    if priority not in _PRIORITIES:
        raise Invalid(said("holds a word that is not known"), path=path, code="UNKNOWN_WORD")
    return PlannedSlot(
        start_at=span.start_at,
        end_at=span.end_at,
        type=kind,
        value=float(value),
        direction=direction,
        include_consumption=found.get("withConsumption") is not False,
        priority=priority,
    )
