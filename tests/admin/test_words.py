"""Numbers, ages, states and causes in words: pure."""

from datetime import timedelta

import pytest

from dispatch.admin.looks import STATE_LOOKS
from dispatch.states import State
from dispatch.words import cause_text, command_title, deviation_text, lateness_text, state_word
from plants.admin.looks import plain_error
from plants.words import (
    Freshness,
    age_text,
    battery_text,
    energy_text,
    freshness,
    freshness_text,
    grid_text,
    label_text,
    limit_text,
    offset_text,
    percent_text,
    power_text,
    span_text,
)
from tests.factories import AT


def ascii_spaces(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("kw", "text"),
    [
        (0.0, "0.0 kW"), (8.24, "8.2 kW"), (9.96, "10 kW"), (-275.4, "275 kW"), (999.4, "999 kW"),
        (999.6, "1.00 MW"), (3420.0, "3.42 MW"),
    ],
)  # fmt: skip
def test_a_power_keeps_one_decimal_below_ten_and_becomes_mw_above_a_thousand(kw, text):
    assert ascii_spaces(power_text(kw)) == text


@pytest.mark.parametrize(
    ("kw", "text"),
    [
        (275.0, "Importing 275 kW"),
        (-275.0, "Exporting 275 kW"),
        (0.4, "Idle"),
        (-0.4, "Idle"),
        (None, "No data"),
    ],
)
def test_the_grid_has_direction_words_and_never_a_sign(kw, text):
    assert ascii_spaces(grid_text(kw)) == text


def test_the_battery_charges_with_plus_and_discharges_with_minus():
    words = [ascii_spaces(battery_text(power_kw)) for power_kw in (5.0, -5.0)]

    assert words == ["Charging 5.0 kW", "Discharging 5.0 kW"]


def test_missing_is_no_data_and_unlimited_is_no_limit():
    assert (percent_text(None), limit_text(None), ascii_spaces(limit_text(300.0))) == (
        "No data",
        "no limit",
        "300 kW",
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (7500, "2 h 5 min"),
        (172_800, "2 d"), (190_000, "2 d 4 h"), (20 * 86_400 + 3600, "20 d"),
    ],
)  # fmt: skip
def test_an_age_is_said_in_whole_units(seconds, text):
    assert ascii_spaces(age_text(timedelta(seconds=seconds))) == text


def test_spans_and_offsets_are_finer_than_ages():
    spans = [ascii_spaces(span_text(timedelta(seconds=seconds))) for seconds in (0.412, 8.42, 240)]
    assert spans == ["412 ms", "8.4 s", "4 min"]
    assert ascii_spaces(offset_text(timedelta(milliseconds=-4))) == "\u2212 4 ms"
    assert ascii_spaces(energy_text(12.0)) == "12 kWh"


@pytest.mark.parametrize(
    ("age_s", "step", "text"),
    [
        (9.9, Freshness.LIVE, "live, 9 s"), (10, Freshness.RECENT, "10 s ago"), (59.9, Freshness.RECENT, "59 s ago"),
        (60, Freshness.OLD, "no data for 1 min"),
    ],
)  # fmt: skip
def test_a_measurement_is_live_recent_or_gone(age_s, step, text):
    measured_at = AT - timedelta(seconds=age_s)

    assert freshness(measured_at, at=AT) is step
    assert ascii_spaces(freshness_text(measured_at, at=AT)) == text


def test_a_plant_that_never_sent_has_no_data():
    assert (freshness(None, at=AT), freshness_text(None, at=AT)) == (Freshness.NEVER, "No data")


@pytest.mark.parametrize(
    ("kind", "payload", "title"),
    [
        ("site-setpoint", {"type": "POWER", "targetValueKw": 275, "direction": "EXPORT"}, "Export 275 kW"),
        (
            "site-setpoint",
            {"type": "ENERGY", "targetValueKwh": 10, "intervalMinutes": 15, "direction": "IMPORT"},
            "Import 10 kWh in 15 min",
        ),
        ("mode", {"mode": "PEAK_SHAVING"}, "Mode: peak shaving"),
        ("emergency", {"type": "STOP"}, "Emergency stop"),
        (
            "device",
            {"commands": [{"deviceId": "B1", "command": "BESS_CHARGE", "params": {"powerKw": 40}}]},
            "B1: charge 40 kW",
        ),
        (
            "device",
            {"commands": [{"deviceId": "S1", "command": "FVE_REDUCE_PERCENT", "params": {"percent": 37.5}}]},
            "S1: reduce percent 37.5 %",
        ),
        ("device", {"commands": [{"deviceId": f"B{n}"} for n in range(6)]}, "6 devices: B0, B1, B2, B3, …"),
        (
            "device",
            {"commands": [{"deviceId": f"BATTERY-{n}-OF-THE-NORTHERN-HALL"} for n in range(3)]},
            "3 devices: BATTERY-0-OF-THE-NORTHERN-HALL, …",
        ),
        (
            "device",
            {
                "commands": [
                    {"deviceId": one, "command": "BESS_CHARGE", "params": {"powerKw": 40}} for one in "AB"
                ]
            },
            "2 devices: charge 40 kW each",
        ),
        (
            "device",
            {"commands": [{"deviceId": one, "command": "BESS_STOP"} for one in "AB"]},
            "2 devices: stop",
        ),
        ("schedule-create", {"slots": [{}] * 96}, "Schedule of 96 slots"),
        ("schedule-create", {"slots": [{}]}, "Schedule of 1 slot"),
        ("schedule-create", {"slots": None}, "Schedule"),
        ("schedule-cancel", {"scheduleId": "b7"}, "Cancel a schedule"),
    ],
)
def test_a_command_is_called_by_what_it_asks_for(kind, payload, title):
    assert ascii_spaces(command_title(kind, payload)) == title


def test_every_state_has_a_word_an_icon_and_a_family_of_its_own():
    words = {look.word for look in STATE_LOOKS.values()}
    icons = {look.icon for look in STATE_LOOKS.values()}

    assert set(STATE_LOOKS) == set(State)
    assert len(words) == len(icons) == len(State)


def test_words_and_causes_that_are_not_known_are_shown_as_they_are():
    assert state_word("REISSUED") == "Issued again"
    assert state_word("SOMETHING_NEW") == "Something new"
    assert cause_text("ACK_OVERDUE") == "No answer from Voke in time"
    assert cause_text("VOKES_OWN_CODE") == "Vokes own code"
    assert label_text("mixedCase") == "mixedCase"


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ({"actualKw": 118.0, "targetKw": 159.0, "deviationKw": 41.0}, "41 kW short"),
        ({"actualKw": 171.0, "targetKw": 159.0}, "12 kW over"),
        ({"actualKw": 159.2, "targetKw": 159.0}, "on target"),
        ({"deviationKw": -41.0}, "off by 41 kW"),
        ({"deviationKw": "many"}, ""),
        ({}, ""),
    ],
)
def test_a_deviation_is_short_or_over_only_where_actual_and_target_say_so(detail, text):
    assert ascii_spaces(deviation_text(detail)) == text


def test_lateness_and_link_errors_are_said_plainly():
    assert ascii_spaces(lateness_text(timedelta(seconds=41))) == "arrived 41 s after it was said"
    assert plain_error("ACCESS_REFUSED: login was refused") == "Login was refused"
    assert plain_error("no answer: gone") == "No answer: gone"
