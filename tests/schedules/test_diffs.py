"""Two versions of a day, slot by slot."""

from schedules.diffs import Change, diff
from tests.schedules.plans import ZONE, slot


def test_equal_plans_have_no_difference():
    assert diff([slot("10:00", 5)], [slot("10:00", 5)]) == []


def test_what_came_went_and_changed_is_told_in_the_order_of_time():
    before = [slot("10:00", 5), slot("10:15", 5), slot("10:30", 7)]
    after = [slot("09:45", 1, "EXPORT"), slot("10:00", 5), slot("10:15", 6, include_consumption=False)]

    found = diff(before, after)

    assert [one.change for one in found] == [Change.ADDED, Change.CHANGED, Change.REMOVED]
    assert [one.text(zone=ZONE) for one in found] == [
        "09:45-10:00 added: export 1 kW",
        "10:15-10:30 changed: import 5 kW -> import 6 kW without consumption",
        "10:30-10:45 removed: import 7 kW",
    ]


def test_a_slot_of_another_length_is_another_slot():
    found = diff([slot("10:00", 5)], [slot("10:00", 5, minutes=30)])

    assert [one.change for one in found] == [Change.REMOVED, Change.ADDED]


def test_a_large_or_fine_value_is_told_in_full():
    (found,) = diff([slot("10:00", 1234.56)], [slot("10:00", 1_234_567.5)])

    assert found.text(zone=ZONE) == "10:00-10:15 changed: import 1234.56 kW -> import 1234567.5 kW"
