"""The picture of a planned day: what stands where in it, on days of 23, 24 and 25 hours."""

from datetime import date, timedelta
from xml.etree import ElementTree

import pytest

from metering.days import local_day
from schedules.admin.chart import Drawn, day_chart, sentence
from schedules.slots import grid_of_day
from tests.schedules.plans import DAY, ZONE, at, slot


def picture(*slots, day=DAY, **changes):
    drawn = Drawn(day=local_day(day, zone=ZONE), zone=ZONE, slots=slots, **changes)
    return ElementTree.fromstring(day_chart(drawn)).find("svg")


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def test_an_empty_day_says_so():
    drawn = Drawn(day=local_day(DAY, zone=ZONE), zone=ZONE, slots=())

    assert sentence(drawn) == "Nothing is planned on this day."
    assert ElementTree.fromstring(day_chart(drawn)).find(".//rect") is None


def test_the_picture_is_told_in_a_sentence():
    shown = picture(slot("10:00", 20), slot("10:15", 20), slot("18:00", 40, "EXPORT"))

    assert shown.get("aria-label") == (
        "3 slots from 10:00 to 18:15: 10.0 kWh of import and 10.0 kWh of export are planned."
    )


def test_export_stands_above_zero_and_import_below_in_their_colours():
    shown = picture(slot("10:00", 20), slot("18:00", 20, "EXPORT"))

    zero = float(shown.find("line[@class='zero']").get("y1"))
    taken, given = shown.find("rect[@class='bar imp']"), shown.find("rect[@class='bar exp']")
    assert numbers(taken, "y") == [zero]
    assert sum(numbers(given, "y", "height")) == pytest.approx(zero, abs=0.2)
    assert numbers(taken, "height") == numbers(given, "height")


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (DAY, 24), (date(2026, 10, 25), 25)])
def test_a_slot_is_as_wide_as_its_share_of_the_day(day, hours):
    first = grid_of_day(day, zone=ZONE, minutes=60)[0]
    planned = slot("00:00", 5, start_at=first.start_at, end_at=first.end_at)

    width = float(picture(planned, day=day).find("rect").get("width"))

    assert width == pytest.approx(900 / hours, abs=0.7)


def test_a_limit_is_drawn_where_it_is_near_and_left_out_where_it_would_flatten_the_plan():
    near = picture(slot("10:00", 20), max_import_kw=25.0)
    far = picture(slot("10:00", 20), max_import_kw=500.0)

    assert near.find("line[@class='limit']") is not None
    assert far.find("line[@class='limit']") is None


def test_the_charge_is_drawn_along_its_slots_within_its_window():
    shown = picture(
        slot("10:00", 20), slot("10:15", 20), soc=(55.0, 60.0), soc_start_pct=50.0, soc_window=(10.0, 90.0)
    )

    places = [tuple(map(float, one.split(","))) for one in shown.find("polyline").get("points").split()]
    top, height = numbers(shown.find("rect[@class='soc-window']"), "y", "height")
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert all(top <= y <= top + height for _, y in places)
    assert places[0][1] > places[-1][1]  # fuller is higher


@pytest.mark.parametrize(("hours", "drawn"), [(-1, False), (10, True), (25, False)])
def test_now_is_a_line_only_while_the_day_runs(hours, drawn):
    shown = picture(slot("10:00", 20), now=at("00:00") + timedelta(hours=hours))

    assert (shown.find("line[@class='now']") is not None) is drawn


def test_a_verdict_stands_above_its_slot():
    shown = picture(slot("10:00", 20), slot("12:00", 20), marks=((1, "ok"),))

    bars, mark = shown.findall("rect"), shown.find("circle")
    left, width = numbers(bars[1], "x", "width")
    assert mark.get("class") == "mark mark-ok"
    assert left < float(mark.get("cx")) < left + width


@pytest.mark.parametrize("day", [date(2026, 3, 29), DAY, date(2026, 10, 25)])
def test_the_hours_below_are_those_of_the_clock(day):
    hours = [one.text for one in picture(slot("10:00", 20), day=day).findall("text[@class='hour']")]

    assert hours == ["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]


def test_the_charge_of_a_day_that_runs_is_drawn_from_now_on():
    shown = picture(
        slot("08:00", 20), slot("10:00", 20), soc=(50.0, 55.0), soc_start_pct=50.0, soc_from=at("10:05")
    )

    places = [tuple(map(float, one.split(","))) for one in shown.find("polyline").get("points").split()]
    assert len(places) == 2
    assert places[0][0] > float(shown.findall("rect[@class='bar imp']")[1].get("x"))
