"""What an alarm measured and what it expected: Voke sends numbers or words, without a unit of their own.

The unit is that of the limit that was breached, which has it in its name (`maxExportKw`), or the one that the metadata
names. Where neither tells it, none is shown.
"""

import json
import re
from typing import Any, Final

from console.figures import told_apart
from console.words import NARROW
from plants.models import Alarm

_LONGEST = 200
_LONGEST_UNIT = 16
_PLACES = 2
_UNITS: Final = (
    ("Kwh", "kWh"),
    ("Kw", "kW"),
    ("Percent", "%"),
    ("Celsius", "\u00b0C"),
    ("Seconds", "s"),
    ("Minutes", "min"),
    ("Hz", "Hz"),
)
_A_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")
_EXACT_BELOW = 2**53


def unit_of(alarm: Alarm) -> str:
    """The unit of the values of an alarm, '' where nothing says it."""
    named = alarm.metadata.get("unit") if isinstance(alarm.metadata, dict) else None
    if isinstance(named, str) and 0 < len(named.strip()) <= _LONGEST_UNIT:
        return named.strip()
    return next((unit for ending, unit in _UNITS if alarm.breached_field.endswith(ending)), "")


def compared(*values: Any, unit: str) -> list[str | None]:
    """Values of Voke's in words, None for one that was not told.

    Numbers are never alike where they differ. Words stay as they came, a number sent as text with its unit; anything
    else is shown as JSON. Each is cut to a line.
    """
    numbers = [float(value) for value in values if _is_number(value)]
    texts = dict(zip(numbers, told_apart(*numbers, places=_PLACES), strict=True))
    return [_told(value, texts, unit) for value in values]


def _told(value: Any, texts: dict[float, str], unit: str) -> str | None:
    if value is None:
        return None
    if _is_number(value):
        return _with(texts[value], unit)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _with(text, unit) if _A_NUMBER.fullmatch(text) else text[:_LONGEST]


def _with(text: str, unit: str) -> str:
    return f"{text}{NARROW}{unit}" if unit else text


def _is_number(value: Any) -> bool:
    """One that a float holds to its last digit; a longer one is shown as it was written."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EXACT_BELOW
