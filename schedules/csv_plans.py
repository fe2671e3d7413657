"""Day plans as CSV: read with an error per row and column, written so that no spreadsheet takes a cell for a formula.

Columns (any order, any case): plant, start, type, value, direction; optional: end, include_consumption, priority.
`start` and `end` are local wall clock (`2026-10-25 02:15`) or an instant with its offset (`2026-10-25T02:15+02:00`,
`...Z`). A wall clock time that comes twice needs its offset, one that the clock leaps over does not exist. Without
`end` a slot ends with the grid's. Separator: comma, semicolon or tab; with a semicolon a decimal comma is taken too.

Edge cases: a byte order mark, CRLF and empty lines are taken; a NUL, another encoding than UTF-8, more than MAX_ROWS
rows or MAX_BYTES bytes are refused as a whole.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from math import isfinite
from typing import TypeVar
from zoneinfo import ZoneInfo

from plants.errors import Invalid
from schedules.slots import FIRST_DAY, LAST_DAY, PlannedSlot, Span, exact_text, grid_of_day
from vcp import Direction, Priority, SetpointType
from vcp.said import said

MAX_ROWS = 5_000
MAX_BYTES = 2 * 1024 * 1024
_REQUIRED = ("plant", "start", "type", "value", "direction")
_OPTIONAL = ("end", "include_consumption", "priority")
COLUMNS = ("plant", "start", "end", "type", "value", "direction", "include_consumption", "priority")
_YES = frozenset({"1", "true", "yes", "y"})
_NO = frozenset({"0", "false", "no", "n"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_VALUE = 10_000_000.0
_SHOWN = 80
_WordT = TypeVar("_WordT", SetpointType, Direction)


@dataclass(frozen=True, kw_only=True)
class PlantClock:
    """What reading needs of a plant: its IANA zone and the length of its slots."""

    zone: str
    slot_minutes: int


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """What is wrong in a row. `row`: its line in the file, the header is line 1; `column` '' = the row as a whole."""

    row: int
    column: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The plans of a file by (external plant id, local day), and what is wrong; with problems nothing is imported."""

    plans: Mapping[tuple[str, date], Sequence[PlannedSlot]] = field(default_factory=dict)
    problems: Sequence[RowProblem] = ()
    rows: int = 0


def plants_named(content: bytes) -> set[str]:
    """The plants that a file speaks of, for looking them up before it is read; raises `Invalid` as `read_plans`."""
    return {cells["plant"] for _, cells in _bounded_lines(content)}


def read_plans(content: bytes, *, plants: Mapping[str, PlantClock]) -> Preview:
    """Read a file against the plants of the organisation; raises `Invalid` when it can't be read at all."""
    problems: list[RowProblem] = []
    plans: dict[tuple[str, date], list[tuple[int, PlannedSlot]]] = {}
    count = 0
    for number, cells in _bounded_lines(content):
        count += 1
        try:
            plant, slot = _slot(cells, plants)
        except _Bad as bad:
            problems += [RowProblem(row=number, column=bad.column, code=bad.code, text=bad.text)]
            continue
        day = slot.start_at.astimezone(ZoneInfo(plants[plant].zone)).date()
        plans.setdefault((plant, day), []).append((number, slot))
    found: dict[tuple[str, date], Sequence[PlannedSlot]] = {}
    for key, numbered in plans.items():
        numbered.sort(key=lambda one: one[1].start_at)
        problems += _overlaps(numbered)
        found[key] = [slot for _, slot in numbered]
    return Preview(plans=found, problems=sorted(problems, key=lambda one: one.row), rows=count)


class _Bad(Exception):
    """A row that can't be taken."""

    def __init__(self, column: str, code: str, text: str) -> None:
        super().__init__(text)
        self.column, self.code, self.text = column, code, text


def _bounded_lines(content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    for count, line in enumerate(_lines(content), start=1):
        if count > MAX_ROWS:
            raise Invalid(said("more than %(limit)s rows", limit=MAX_ROWS), path="file", code="TOO_MANY_ROWS")
        yield line


def _lines(content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    if len(content) > MAX_BYTES:
        raise Invalid(
            said("larger than %(limit)s MB", limit=MAX_BYTES // 1024 // 1024), path="file", code="TOO_LARGE"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(said("is not UTF-8 text"), path="file", code="NOT_UTF8") from error
    if "\0" in text:
        raise Invalid(said("holds U+0000"), path="file", code="NOT_TEXT")
    first = text.partition("\n")[0]
    separator = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    raise Invalid(
                        said(
                            "line %(line_num)s has %(count)s cells, the header has %(count2)s",
                            line_num=reader.line_num,
                            count=len(cells),
                            count2=len(header),
                        ),
                        path="file",
                        code="WRONG_CELLS",
                    )
                row = {name: _unescaped(cell.strip()) for name, cell in zip(header, cells, strict=True)}
                if separator == ";":
                    row["value"] = row["value"].replace(",", ".")
                yield reader.line_num, row
    except csv.Error as error:
        raise Invalid(
            said("line %(line_num)s: %(error)s", line_num=reader.line_num, error=str(error)),
            path="file",
            code="NOT_CSV",
        ) from error


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in (*_REQUIRED, *_OPTIONAL)]
    if missing:
        raise Invalid(
            said("lacks the columns %(names)s", names=", ".join(missing)), path="file", code="COLUMN_MISSING"
        )
    if unknown or len(set(header)) != len(header):
        text = said(
            "has columns that are unknown or twice: %(names)s", names=", ".join(unknown or header)[:_SHOWN]
        )
        raise Invalid(text, path="file", code="COLUMN_UNKNOWN")


def _slot(row: Mapping[str, str], plants: Mapping[str, PlantClock]) -> tuple[str, PlannedSlot]:
    plant = row["plant"]
    clock = plants.get(plant)
    if clock is None:
        raise _Bad("plant", "PLANT_NOT_FOUND", said("no plant %(plant)s", plant=repr(plant[:_SHOWN])))
    start_at = _moment(row["start"], clock.zone, "start")
    if not FIRST_DAY <= start_at.date() <= LAST_DAY:
        raise _Bad(
            "start",
            "DAY_OUT_OF_RANGE",
            said("lies outside of %(limit)s to %(limit2)s", limit=f"{FIRST_DAY:%Y}", limit2=f"{LAST_DAY:%Y}"),
        )
    day = start_at.astimezone(ZoneInfo(clock.zone)).date()
    spans = {span.start_at: span for span in grid_of_day(day, zone=clock.zone, minutes=clock.slot_minutes)}
    span = spans.get(start_at)
    if span is None:
        raise _Bad(
            "start",
            "NOT_ON_GRID",
            said("no slot of %(slot_minutes)s minutes begins then", slot_minutes=clock.slot_minutes),
        )
    if row.get("end"):
        end_at = _moment(row["end"], clock.zone, "end")
        if end_at != span.end_at:
            raise _Bad(
                "end",
                "NOT_ON_GRID",
                said(
                    "the slot that begins then ends after %(slot_minutes)s minutes",
                    slot_minutes=clock.slot_minutes,
                ),
            )
    return plant, _asks(row, span)


def _asks(row: Mapping[str, str], span: Span) -> PlannedSlot:
    return PlannedSlot(
        start_at=span.start_at,
        end_at=span.end_at,
        type=_choice(row["type"], SetpointType, "type"),
        value=_value(row["value"]),
        direction=_choice(row["direction"], Direction, "direction"),
        include_consumption=_flag(row.get("include_consumption", "")),
        priority=_priority(row.get("priority", "")),
    )


def _moment(text: str, zone: str, column: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Bad(
            column, "NOT_A_TIME", said("%(text)s is no time like 2026-10-25 02:15", text=repr(text[:_SHOWN]))
        ) from None
    if moment.tzinfo is not None:
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise _Bad(column, "NOT_A_TIME", said("is beyond the calendar")) from None
    wall = ZoneInfo(zone)
    try:
        first, second = moment.replace(tzinfo=wall, fold=0), moment.replace(tzinfo=wall, fold=1)
        at = first.astimezone(UTC)
        if at.astimezone(wall).replace(tzinfo=None) != moment:
            raise _Bad(column, "NO_SUCH_TIME", said("does not exist on that day: the clock leaps over it"))
    except OverflowError:
        raise _Bad(column, "NOT_A_TIME", said("is beyond the calendar")) from None
    if first.utcoffset() != second.utcoffset():
        text = said(
            "comes twice on that day: write %(first)s or the later offset",
            first=first.isoformat(timespec="minutes"),
        )
        raise _Bad(column, "AMBIGUOUS_TIME", text)
    return at


def _choice(text: str, kind: type[_WordT], column: str) -> _WordT:
    try:
        return kind(text.upper())
    except ValueError:
        names = ", ".join(one.value for one in kind)
        raise _Bad(
            column,
            "UNKNOWN_WORD",
            said("%(text)s is none of %(names)s", text=repr(text[:_SHOWN]), names=names),
        ) from None


def _priority(text: str) -> Priority:
    word = text.upper() or Priority.NORMAL.value
    if word not in (Priority.NORMAL.value, Priority.HIGH.value):
        raise _Bad(
            "priority", "UNKNOWN_WORD", said("%(text)s is none of NORMAL, HIGH", text=repr(text[:_SHOWN]))
        )
    return Priority(word)


def _flag(text: str) -> bool:
    word = text.lower()
    if word in _YES or not word:
        return True
    if word in _NO:
        return False
    raise _Bad(
        "include_consumption",
        "UNKNOWN_WORD",
        said("%(text)s is neither yes nor no", text=repr(text[:_SHOWN])),
    )


def _value(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _Bad("value", "NOT_A_NUMBER", said("%(text)s is no number", text=repr(text[:_SHOWN]))) from None
    if not isfinite(value) or not 0 <= value <= _MOST_VALUE:
        raise _Bad(
            "value",
            "OUT_OF_RANGE",
            said("must lie within 0 and 10,000,000; the direction is a column of its own"),
        )
    return value + 0.0


def _overlaps(numbered: Sequence[tuple[int, PlannedSlot]]) -> Iterator[RowProblem]:
    seen: dict[datetime, int] = {}
    for number, slot in numbered:
        if slot.start_at in seen:
            text = f"line {seen[slot.start_at]} has the same slot"
            yield RowProblem(row=number, column="start", code="TWICE", text=text)
        seen.setdefault(slot.start_at, number)


def write_plans(plans: Iterable[tuple[str, str, Sequence[PlannedSlot]]]) -> str:
    """(external plant id, zone, slots) as CSV that `read_plans` takes back; times carry their offset."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for plant, zone, slots in plans:
        wall = ZoneInfo(zone)
        for slot in slots:
            writer.writerow(
                [
                    _escaped(plant),
                    slot.start_at.astimezone(wall).isoformat(timespec="minutes"),
                    slot.end_at.astimezone(wall).isoformat(timespec="minutes"),
                    slot.type.value,
                    exact_text(slot.value),
                    slot.direction.value,
                    "yes" if slot.include_consumption else "no",
                    slot.priority.value,
                ]
            )
    return out.getvalue()


def _escaped(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _unescaped(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text
