"""Times: exactly what Zod 4's default `.datetime()` takes, and one form only on the way out.

The two lists were checked against zod 4.3.6 itself, entry by entry.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import vcp

TAKEN = {
    "2026-01-02T03:04:05.678Z": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
    "2026-01-02T03:04:05Z": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2026-01-02T03:04Z": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "2026-01-02T03:04:05.6Z": datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC),
    "2026-01-02T03:04:05.123456Z": datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC),
    "2026-01-02T03:04:05.1234569Z": datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC),
    "2026-01-02T03:04:05." + "9" * 400 + "Z": datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
    "1970-01-01T00:00:00.000Z": datetime(1970, 1, 1, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
    "9999-12-31T23:59:59.999Z": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
    "2000-02-29T00:00:00Z": datetime(2000, 2, 29, tzinfo=UTC),
}
REFUSED = [
    "",
    "foo",
    "2026-01-02",
    "T18:45:12.123Z",
    "2026-01-02T03:04:05",
    "2026-01-02T03:04:05+00:00",
    "2026-01-02T03:04:05-00:00",
    "2026-01-02T03:04:05+0000",
    "2026-01-02T03:04:05+01:00",
    "2026-01-02T03:04:05z",
    "2026-01-02t03:04:05Z",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:05 Z",
    " 2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05Z\n",
    "2026-01-02T03:04:05Z ",
    "2026-01-02T03Z",
    "2026-01-02T03:04:Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05,678Z",
    "2026-01-02T03:04.5Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T03:60:00Z",
    "2026-01-02T03:04:60Z",
    "2016-12-31T23:59:60Z",
    "2026-00-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-1-2T03:04:05Z",
    "26-01-02T03:04:05Z",
    "12026-01-02T03:04:05Z",
    "+002026-01-02T03:04:05Z",
    "20260102T030405Z",
    "2026-W01-5T03:04:05Z",
    "2026-01-02T3:04:05Z",
    "\u0662026-01-02T03:04:05Z",
    "2026-01-02T03:04:0\uff15Z",
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_zod_takes_is_read_as_utc(text: str) -> None:
    at = vcp.parse_timestamp(text)

    assert at == TAKEN[text]
    assert at.tzinfo is UTC


@pytest.mark.parametrize("text", REFUSED)
def test_what_zod_refuses_is_refused(text: str) -> None:
    with pytest.raises(vcp.InvalidTimestamp):
        vcp.parse_timestamp(text)


def test_the_year_zero_is_refused_since_python_has_none() -> None:
    with pytest.raises(vcp.InvalidTimestamp):
        vcp.parse_timestamp("0000-01-01T00:00:00Z")


@pytest.mark.parametrize("value", [None, 5, 1767323045.678, b"2026-01-02T03:04:05Z", datetime(2026, 1, 2)])
def test_a_time_is_a_text(value: Any) -> None:
    with pytest.raises(vcp.WrongType):
        vcp.parse_timestamp(value)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-12-31T23:59:59.999Z"),
        (datetime(2026, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2026-01-01T23:30:00.000Z"),
        (datetime(7, 1, 2, tzinfo=UTC), "0007-01-02T00:00:00.000Z"),
    ],
)
def test_times_go_out_in_utc_cut_to_milliseconds(at: datetime, expected: str) -> None:
    assert vcp.format_timestamp(at) == expected


def test_a_time_without_zone_is_refused_on_the_way_out() -> None:
    with pytest.raises(vcp.InvalidTimestamp):
        vcp.format_timestamp(datetime(2026, 1, 2))


def test_a_time_that_utc_cannot_hold_is_refused_on_the_way_out() -> None:
    with pytest.raises(vcp.InvalidTimestamp):
        vcp.format_timestamp(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))))


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678Z", "1970-01-01T00:00:00.000Z"])
def test_our_own_form_survives_the_way_in_and_out(text: str) -> None:
    assert vcp.format_timestamp(vcp.parse_timestamp(text)) == text
