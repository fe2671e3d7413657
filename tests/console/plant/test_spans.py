"""Which time a chart shows: days of 23, 24 and 25 hours, spans, and the ticks of their axis. Pure."""

from datetime import UTC, datetime, timedelta

import pytest

from console.plant.spans import day_span, free_span, ticks_of
from metering.tiers import to_ms
from plants.errors import Invalid

PRAGUE = "Europe/Prague"
AT = datetime(2026, 7, 14, 11, 42, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_without_a_day_it_is_today_on_the_plants_clock():
    late = datetime(2026, 7, 14, 22, 30, tzinfo=UTC)

    span = day_span("", zone=PRAGUE, at=late)

    assert (span.day.isoformat(), span.from_at, span.to_at) == (
        "2026-07-15",
        datetime(2026, 7, 14, 22, tzinfo=UTC),
        datetime(2026, 7, 15, 22, tzinfo=UTC),
    )


def test_a_day_of_summer_has_25_ticks_from_midnight_to_midnight():
    ticks = ticks_of(day_span("2026-07-14", zone=PRAGUE, at=AT))

    assert (ticks.texts[0], ticks.texts[1], ticks.texts[-1], len(ticks.texts)) == (
        "00:00",
        "01:00",
        "24:00",
        25,
    )
    assert (ticks.numbers, ticks.fold_ms) == (list(range(25)), None)


def test_the_hour_that_comes_twice_is_told_as_b():
    span = day_span("2026-10-25", zone=PRAGUE, at=AT)

    ticks = ticks_of(span)

    assert span.to_at - span.from_at == 25 * HOUR
    assert ticks.texts[:5] == ["00:00", "01:00", "02:00", "02:00 B", "03:00"]
    assert ticks.numbers[:5] == [0, 1, 2, -1, 3]
    begin = span.from_at + 3 * HOUR
    assert ticks.fold_ms == [to_ms(begin), to_ms(begin + HOUR)]


def test_the_hour_that_is_left_out_has_no_tick():
    span = day_span("2026-03-29", zone=PRAGUE, at=AT)

    ticks = ticks_of(span)

    assert span.to_at - span.from_at == 23 * HOUR
    assert (ticks.texts[:4], ticks.numbers[:4]) == (["00:00", "01:00", "03:00", "04:00"], [0, 1, 3, 4])


def test_a_zone_that_is_offset_by_45_minutes_has_ticks_on_its_own_hours():
    ticks = ticks_of(day_span("2026-07-14", zone="Asia/Kathmandu", at=AT))

    assert (ticks.texts[0], ticks.texts[-1], len(ticks.texts)) == ("00:00", "24:00", 25)


@pytest.mark.parametrize(
    ("hours", "first", "second"), [(7, "10:00", "10:30"), (2, "10:00", "10:15"), (1, "10:00", "10:05")]
)
def test_a_shorter_span_has_nearer_ticks(hours, first, second):
    begin = datetime(2026, 7, 14, 8, 0, tzinfo=UTC)

    span = free_span(str(to_ms(begin)), str(to_ms(begin + hours * HOUR)), zone=PRAGUE)

    assert ticks_of(span).texts[:2] == [first, second]


def test_a_span_over_midnight_touches_two_days():
    begin = datetime(2026, 7, 14, 21, 30, tzinfo=UTC)

    span = free_span(str(to_ms(begin)), str(to_ms(begin + HOUR)), zone=PRAGUE)

    assert [day.day.isoformat() for day in span.days] == ["2026-07-14", "2026-07-15"]


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "0001-01-01", "2026-07-14T00:00"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(Invalid) as refused:
        day_span(text, zone=PRAGUE, at=AT)

    assert refused.value.path == "day"


@pytest.mark.parametrize(
    ("from_text", "to_text"),
    [
        ("", ""),
        ("x", "1"),
        ("1784030000000", "1784030000000"),
        ("1784030000000", "1784330000000"),
        ("9" * 15, "1"),
    ],
)
def test_what_is_no_span_is_refused(from_text, to_text):
    with pytest.raises(Invalid):
        free_span(from_text, to_text, zone=PRAGUE)
