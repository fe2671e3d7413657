"""The slots of a day as a sheet of rows to type into: one row for each slot of the plant's grid, empty = not planned.

Read from plain fields instead of a formset: a day has up to 300 rows, and what was typed must come back as it was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from schedules.slots import PlannedSlot, Span, exact_text, local_text, span_text
from vcp import Direction, Priority, SetpointType

UNITS: Mapping[str, SetpointType] = {"kW": SetpointType.POWER, "kWh": SetpointType.ENERGY}
DIRECTIONS: Mapping[str, str] = {"": "Nothing planned", "IMPORT": "Import", "EXPORT": "Export"}
_UNIT_OF = {kind: unit for unit, kind in UNITS.items()}
_MOST_VALUE = 10_000_000.0


@dataclass(kw_only=True)
class Row:
    """One slot as typed; `error` says what is wrong with it, `notes` what the last check found."""

    index: int
    span: Span
    label: str
    direction: str = ""
    value: str = ""
    unit: str = "kW"
    without: bool = False
    high: bool = False
    error: str = ""
    notes: Sequence[Mapping[str, object]] = ()


class Sheet:
    """All rows of a day. `left_out`: slots that are not on the grid and have no row."""

    def __init__(self, grid: Sequence[Span], *, zone: str) -> None:
        self.zone = zone
        self.rows = [
            Row(index=index, span=span, label=span_text(span, zone=zone)) for index, span in enumerate(grid)
        ]
        self.left_out: list[PlannedSlot] = []

    def take_slots(self, slots: Iterable[PlannedSlot]) -> None:
        """Put planned slots into their rows."""
        rows = {(row.span.start_at, row.span.end_at): row for row in self.rows}
        for slot in slots:
            row = rows.get((slot.start_at, slot.end_at))
            if row is None:
                self.left_out.append(slot)
                continue
            row.direction, row.value = slot.direction.value, exact_text(slot.value)
            row.unit = _UNIT_OF[slot.type]
            row.without = not slot.include_consumption
            row.high = slot.priority is Priority.HIGH

    def take_fields(self, data: Mapping[str, str]) -> None:
        """Put what was posted into the rows; a field that is missing stays empty."""
        for row in self.rows:
            row.direction = data.get(f"d{row.index}", "")
            row.value = data.get(f"v{row.index}", "").strip()
            row.unit = data.get(f"u{row.index}", "kW")
            row.without = f"w{row.index}" in data
            row.high = f"h{row.index}" in data

    def fill(self, first: int, last: int, like: Row) -> int:
        """Type the same into the rows from `first` to `last`, both included; how many that were."""
        chosen = self.rows[max(0, first) : last + 1]
        for row in chosen:
            row.direction, row.value, row.unit = like.direction, like.value, like.unit
            row.without, row.high = like.without, like.high
        return len(chosen)

    def slots(self) -> list[PlannedSlot] | None:
        """The planned slots; None when a row is wrong, which then says why."""
        found = [slot for row in self.rows for slot in self._read(row)]
        return None if any(row.error for row in self.rows) else found

    def starts(self) -> list[tuple[int, str]]:
        """(index, when it begins) of each row, for choosing one."""
        return [(row.index, local_text(row.span.start_at, zone=self.zone)) for row in self.rows]

    def ends(self) -> list[tuple[int, str]]:
        """(index, when it ends) of each row."""
        return [(row.index, row.label.partition("-")[2]) for row in self.rows]

    @staticmethod
    def _read(row: Row) -> Iterator[PlannedSlot]:
        row.error = ""
        if not row.direction:
            row.error = "Say whether this is import or export" if row.value else ""
            return
        try:
            value = float(row.value.replace(",", "."))
        except ValueError:
            row.error = "Write a number" if row.value else "Say how much"
            return
        if row.direction not in DIRECTIONS or row.unit not in UNITS:
            row.error = "Choose from the lists"
        elif not isfinite(value) or not 0 <= value <= _MOST_VALUE:
            row.error = "Must lie within 0 and 10,000,000; the direction stands beside it"
        else:
            yield PlannedSlot(
                start_at=row.span.start_at,
                end_at=row.span.end_at,
                type=UNITS[row.unit],
                value=value + 0.0,
                direction=Direction(row.direction),
                include_consumption=not row.without,
                priority=Priority.HIGH if row.high else Priority.NORMAL,
            )
