"""The sheet of a day's slots: what is typed is what is planned, and what is wrong is said in its row."""

from datetime import date

import pytest

from schedules.admin.sheet import Row, Sheet
from schedules.slots import grid_of_day
from tests.schedules.plans import DAY, ZONE, slot
from vcp import Priority, SetpointType


def sheet(*slots, day=DAY, minutes=60):
    made = Sheet(grid_of_day(day, zone=ZONE, minutes=minutes), zone=ZONE)
    made.take_slots(slots)
    return made


def posted(made):
    """What a browser would send back."""
    data = {}
    for row in made.rows:
        data |= {f"d{row.index}": row.direction, f"v{row.index}": row.value, f"u{row.index}": row.unit}
        data |= {f"w{row.index}": "on"} if row.without else {}
        data |= {f"h{row.index}": "on"} if row.high else {}
    return data


def test_what_is_shown_and_sent_back_unchanged_is_the_same_plan():
    planned = [
        slot("10:00", 20.5, minutes=60),
        slot("11:00", 3, "EXPORT", minutes=60, type=SetpointType.ENERGY, include_consumption=False),
        slot("12:00", 0, minutes=60, priority=Priority.HIGH),
    ]
    again = sheet()
    again.take_fields(posted(sheet(*planned)))

    assert again.slots() == planned


@pytest.mark.parametrize(
    ("day", "rows"), [(date(2026, 3, 29), 23), (DAY, 24), (date(2026, 10, 25), 25)], ids=["23", "24", "25"]
)
def test_a_day_has_as_many_rows_as_it_has_slots(day, rows):
    made = sheet(day=day)

    assert len(made.rows) == rows
    assert len({row.label for row in made.rows}) == rows


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"v0": "5"}, "Say whether this is import or export"),
        ({"d0": "IMPORT"}, "Say how much"),
        ({"d0": "IMPORT", "v0": "much"}, "Write a number"),
        ({"d0": "IMPORT", "v0": "-5"}, "Must lie within 0 and 10,000,000; the direction stands beside it"),
        ({"d0": "IMPORT", "v0": "nan"}, "Must lie within 0 and 10,000,000; the direction stands beside it"),
        ({"d0": "IMPORT", "v0": "inf"}, "Must lie within 0 and 10,000,000; the direction stands beside it"),
        ({"d0": "BOTH", "v0": "5"}, "Choose from the lists"),
        ({"d0": "IMPORT", "v0": "5", "u0": "MW"}, "Choose from the lists"),
    ],
)
def test_what_is_wrong_is_said_in_its_row_and_keeps_what_was_typed(typed, error):
    made = sheet()
    made.take_fields(typed)

    assert made.slots() is None
    assert [row.error for row in made.rows if row.error] == [error]
    assert (made.rows[0].direction, made.rows[0].value) == (typed.get("d0", ""), typed.get("v0", ""))


def test_a_decimal_comma_is_taken():
    made = sheet()
    made.take_fields({"d3": "EXPORT", "v3": "12,5", "u3": "kWh"})

    (found,) = made.slots()
    assert (found.value, found.type) == (12.5, SetpointType.ENERGY)


def test_a_span_is_filled_with_the_same():
    made = sheet()
    like = Row(index=0, span=made.rows[0].span, label="", direction="EXPORT", value="7", high=True)

    assert made.fill(6, 9, like) == 4

    assert [one.start_at for one in made.slots()] == [row.span.start_at for row in made.rows[6:10]]
    assert {(one.value, one.priority) for one in made.slots()} == {(7.0, Priority.HIGH)}


def test_a_slot_of_another_length_is_left_out_and_told():
    made = sheet(slot("10:00", 5, minutes=15))

    assert made.slots() == []
    assert len(made.left_out) == 1


def test_ends_and_starts_name_each_row():
    made = sheet()

    assert made.starts()[0] == (0, "00:00")
    assert made.ends()[-1] == (23, "24:00")


def test_a_value_is_shown_as_exactly_as_it_was_planned():
    planned = [slot("10:00", 1234.5678, minutes=60), slot("11:00", 1_234_567.5, minutes=60)]
    again = sheet()
    again.take_fields(posted(sheet(*planned)))

    assert [row.value for row in sheet(*planned).rows[10:12]] == ["1234.5678", "1234567.5"]
    assert again.slots() == planned
