"""Plans as CSV: every row's mistake is told, what is written is read back, and no cell is a formula."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plants.errors import Invalid
from schedules.csv_plans import MAX_BYTES, MAX_ROWS, PlantClock, read_plans, write_plans
from schedules.slots import PlannedSlot, grid_of_day
from tests.schedules.plans import DAY, ZONE, slot
from vcp import Direction, Priority, SetpointType

PLANTS = {"DEPOT": PlantClock(zone=ZONE, slot_minutes=15), "-DASH": PlantClock(zone="UTC", slot_minutes=60)}
HEAD = "plant,start,type,value,direction"


def read(*lines, head=HEAD):
    return read_plans("\n".join([head, *lines]).encode(), plants=PLANTS)


def only_problem(*lines, head=HEAD):
    (problem,) = read(*lines, head=head).problems
    return (problem.row, problem.column, problem.code)


def test_a_row_becomes_a_slot_of_its_plants_day():
    preview = read("DEPOT,2026-01-02 10:00,power,20.5,import")

    assert not preview.problems
    assert preview.plans == {("DEPOT", DAY): [slot("10:00", 20.5)]}
    assert preview.rows == 1


def test_all_columns_in_any_order_with_semicolons_and_a_decimal_comma():
    preview = read(
        "high;no;EXPORT;2,5;ENERGY;2026-01-02T10:15+01:00;2026-01-02T09:00Z;DEPOT",
        head="Priority;include_consumption;direction;value;type;end;start;plant",
    )

    (found,) = preview.plans["DEPOT", DAY]
    assert found == slot(
        "10:00", 2.5, "EXPORT", type=SetpointType.ENERGY, include_consumption=False, priority=Priority.HIGH
    )


def test_rows_may_come_in_any_order_and_of_many_plants_and_days():
    preview = read(
        "DEPOT,2026-01-03 10:15,POWER,1,IMPORT",
        "DEPOT,2026-01-03 10:00,POWER,2,IMPORT",
        "-DASH,2026-01-02 10:00,POWER,3,IMPORT",
        "DEPOT,2026-01-02 10:00,POWER,4,IMPORT",
    )

    assert {key: [one.value for one in slots] for key, slots in preview.plans.items()} == {
        ("DEPOT", date(2026, 1, 3)): [2, 1],
        ("-DASH", DAY): [3],
        ("DEPOT", DAY): [4],
    }


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("NOBODY,2026-01-02 10:00,POWER,1,IMPORT", "plant", "PLANT_NOT_FOUND"),
        ("DEPOT,tomorrow,POWER,1,IMPORT", "start", "NOT_A_TIME"),
        ("DEPOT,2026-01-02 10:05,POWER,1,IMPORT", "start", "NOT_ON_GRID"),
        ("DEPOT,2026-03-29 02:15,POWER,1,IMPORT", "start", "NO_SUCH_TIME"),
        ("DEPOT,2026-10-25 02:15,POWER,1,IMPORT", "start", "AMBIGUOUS_TIME"),
        ("DEPOT,0001-01-01T00:00+23:00,POWER,1,IMPORT", "start", "NOT_A_TIME"),
        ("DEPOT,2026-01-02 10:00,WORK,1,IMPORT", "type", "UNKNOWN_WORD"),
        ("DEPOT,2026-01-02 10:00,POWER,much,IMPORT", "value", "NOT_A_NUMBER"),
        ("DEPOT,2026-01-02 10:00,POWER,nan,IMPORT", "value", "OUT_OF_RANGE"),
        ("DEPOT,2026-01-02 10:00,POWER,-1,IMPORT", "value", "OUT_OF_RANGE"),
        ("DEPOT,2026-01-02 10:00,POWER,1,UP", "direction", "UNKNOWN_WORD"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(row, column, code):
    assert only_problem("DEPOT,2026-01-02 09:00,POWER,1,IMPORT", row) == (3, column, code)


def test_optional_columns_are_checked_too():
    head = f"{HEAD},end,include_consumption,priority"
    good = "DEPOT,2026-01-02 10:00,POWER,1,IMPORT"

    assert only_problem(f"{good},2026-01-02 10:30,,", head=head) == (2, "end", "NOT_ON_GRID")
    assert only_problem(f"{good},,perhaps,", head=head) == (2, "include_consumption", "UNKNOWN_WORD")
    assert only_problem(f"{good},,,EMERGENCY", head=head) == (2, "priority", "UNKNOWN_WORD")
    assert not read(f"{good},,,", head=head).problems


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset():
    preview = read(
        "DEPOT,2026-10-25T02:15+02:00,POWER,1,IMPORT", "DEPOT,2026-10-25T02:15+01:00,POWER,2,IMPORT"
    )

    assert [one.value for one in preview.plans["DEPOT", date(2026, 10, 25)]] == [1, 2]
    assert not preview.problems


def test_the_same_slot_twice_is_told_with_the_other_line():
    row = "DEPOT,2026-01-02 10:00,POWER,1,IMPORT"

    (problem,) = read(row, row).problems

    assert (problem.row, problem.code, problem.text) == (3, "TWICE", "line 2 has the same slot")


def refused(content):
    with pytest.raises(Invalid) as caught:
        read_plans(content, plants=PLANTS)
    return caught.value.code


def test_a_file_that_can_not_be_read_is_refused_as_a_whole():
    row = b"DEPOT,2026-01-02 10:00,POWER,1,IMPORT\n"

    assert refused(b"") == "COLUMN_MISSING"
    assert refused(b"plant,start,type,value\n") == "COLUMN_MISSING"
    assert refused(HEAD.encode() + b",colour\n") == "COLUMN_UNKNOWN"
    assert refused(HEAD.encode() + b",plant\n") == "COLUMN_UNKNOWN"
    assert refused(HEAD.encode() + b"\n\xff\xfe") == "NOT_UTF8"
    assert refused(HEAD.encode() + b"\nA\0B,,,,") == "NOT_TEXT"
    assert refused(HEAD.encode() + b"\nDEPOT,1") == "WRONG_CELLS"
    assert refused(HEAD.encode() + b'\n"DEPOT,1') == "NOT_CSV"
    assert refused(b" " * (MAX_BYTES + 1)) == "TOO_LARGE"
    assert refused(HEAD.encode() + b"\n" + row * (MAX_ROWS + 1)) == "TOO_MANY_ROWS"


def test_a_byte_order_mark_carriage_returns_and_empty_lines_are_taken():
    content = "\ufeff" + HEAD + "\r\n\r\nDEPOT,2026-01-02 10:00,POWER,1,IMPORT\r\n,,,,\r\n"

    assert read_plans(content.encode(), plants=PLANTS).rows == 1


def test_a_cell_that_a_spreadsheet_would_take_for_a_formula_is_escaped_and_read_back():
    planned = [slot("11:00", 3)]
    text = write_plans([("-DASH", "UTC", [planned[0]])])

    assert "'-DASH," in text
    hourly = read_plans(text.replace("10:15", "11:00").encode(), plants=PLANTS)
    assert not hourly.problems and list(hourly.plans) == [("-DASH", DAY)]


SPANS = [*grid_of_day(DAY, zone=ZONE, minutes=15), *grid_of_day(date(2026, 10, 25), zone=ZONE, minutes=15)]


@given(
    st.dictionaries(
        st.integers(0, len(SPANS) - 1),
        st.tuples(
            st.sampled_from(SetpointType),
            st.integers(0, 10**9).map(lambda number: number / 1000),
            st.sampled_from(Direction),
            st.booleans(),
            st.sampled_from([Priority.NORMAL, Priority.HIGH]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_what_is_written_is_read_back(asked):
    slots = [
        PlannedSlot(
            start_at=SPANS[index].start_at,
            end_at=SPANS[index].end_at,
            type=kind,
            value=value,
            direction=direction,
            include_consumption=consumption,
            priority=priority,
        )
        for index, (kind, value, direction, consumption, priority) in sorted(asked.items())
    ]

    preview = read_plans(write_plans([("DEPOT", ZONE, slots)]).encode(), plants=PLANTS)

    assert not preview.problems
    assert sorted(
        (one for found in preview.plans.values() for one in found), key=lambda one: one.start_at
    ) == sorted(slots, key=lambda one: one.start_at)


@pytest.mark.parametrize(
    "start", ["9999-12-31T23:00Z", "9999-12-31 10:00", "0001-01-01T12:00Z", "1999-12-31 10:00"]
)
def test_a_day_at_an_end_of_the_calendar_is_told_as_a_row_that_is_wrong(start):
    assert only_problem(f"DEPOT,{start},POWER,1,IMPORT") == (2, "start", "DAY_OUT_OF_RANGE")
