"""What an alarm measured and expected: with a unit where something says it, and never alike where it differs."""

import pytest

from console.alarms.values import compared, unit_of
from plants.models import Alarm


@pytest.mark.parametrize(
    ("field", "metadata", "unit"),
    [
        ("maxExportKw", None, "kW"),
        ("socMinPercent", {}, "%"),
        ("batteryTemperatureCelsius", {"slot": 3}, "\u00b0C"),
        ("energyKwh", None, "kWh"),
        ("gridFrequency", {"unit": "Hz"}, "Hz"),
        ("gridFrequency", {"unit": 7}, ""),
        ("gridFrequency", ["Hz"], ""),
        ("", None, ""),
        ("percent of nothing", {"unit": "x" * 17}, ""),
    ],
)
def test_the_unit_is_that_of_the_breached_limit_or_what_the_metadata_names(field, metadata, unit):
    assert unit_of(Alarm(breached_field=field, metadata=metadata)) == unit


@pytest.mark.parametrize(
    ("actual", "expected", "texts"),
    [
        (312.0, 300, ["312\u202fkW", "300\u202fkW"]),
        (50.333333333, 50.0, ["50.33\u202fkW", "50\u202fkW"]),
        (50.0004, 50.0, ["50.0004\u202fkW", "50\u202fkW"]),
        (-0.001, None, ["-0.001\u202fkW", None]),
        ("61.50", "<= 50", ["61.50\u202fkW", "<= 50"]),
        (10**400, 2.0**60, [str(10**400)[:200], "1.152921504606847e+18"]),
        (True, {"a": 1}, ["true", '{"a": 1}']),
    ],
)
def test_what_differs_looks_different_and_words_stay_as_they_came(actual, expected, texts):
    assert compared(actual, expected, unit="kW") == texts


def test_without_a_unit_none_is_claimed():
    assert compared(312.0, "45", unit="") == ["312", "45"]
