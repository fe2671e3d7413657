"""Canonical JSON: the exact text that a signature covers.

The text equals ECMAScript's `JSON.stringify` with every object's keys sorted by UTF-16 code units: no
white space, shortest round-trip numbers (`50.0` is `50`, `1e21` is `1e+21`, `-0.0` is `0`), characters
beyond ASCII left as they are. A whole number beyond 2^53-1 is taken as its nearest double, as `JSON.parse`
does. What JavaScript would turn into something else (NaN, infinities, lone surrogates) is an error here.

Interpretation: the helper's own text is not public; this is the rule of the fact sheet, section 4.
"""

from collections.abc import Iterable
from json.encoder import encode_basestring as quote
from typing import Any, Final

from vcp.errors import InvalidNumber, InvalidText, ProtocolError, TooDeep, WrongType
from vcp.limits import MAX_DEPTH, MAX_SAFE_INTEGER
from vcp.said import said
from vcp.walk import leaves

_Layout = tuple[tuple[str, str], ...]

# Messages repeat a few shapes: the sorted order and the quoted keys of each are kept. Bounded in entries
# and in size, because a peer chooses the keys; threads may race to fill an entry, with equal results.
_layouts: dict[tuple[str, ...], _Layout] = {}
_MAX_LAYOUTS: Final = 1024
_MAX_LAYOUT_KEYS: Final = 64
_MAX_LAYOUT_CHARS: Final = 2048


def canonical_json(value: Any) -> bytes:
    """Canonical UTF-8 text of a JSON value (dict, list or tuple, str, int, float, bool, None).

    Raises, with the member's path, InvalidNumber, InvalidText (lone surrogate), TooDeep, WrongType
    (foreign type, key that is no text).
    """
    try:
        return _text(value, MAX_DEPTH).encode()
    except UnicodeEncodeError as error:
        raise _lone_surrogate(value) from error


def _text(value: Any, depth_left: int) -> str:
    # The order of the tests is that of frequency in real messages; subclasses (enums, NumPy floats) come
    # last.
    kind = type(value)
    if kind is str:
        return quote(value)
    if kind is float:
        return _double(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, dict):
        return _object(value, depth_left)
    if isinstance(value, (list, tuple)):
        return _array(value, depth_left)
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float):
        return _double(value)
    raise WrongType(said("JSON can't carry a %(name)s", name=kind.__name__))


def _object(members: dict[Any, Any], depth_left: int) -> str:
    if depth_left == 0:
        raise TooDeep(said("nested deeper than %(limit)s levels", limit=MAX_DEPTH))
    layout = _layouts.get(tuple(members)) or _layout(members)
    parts: list[str] = []
    try:
        for key, name in layout:
            item = members[key]
            # Text first without a call of our own: half of all members are text, and this is the hot loop.
            parts.append(name + (quote(item) if type(item) is str else _text(item, depth_left - 1)))
    except ProtocolError as error:
        raise error.under(layout[len(parts)][0]) from None
    return "{" + ",".join(parts) + "}"


def _array(items: Iterable[Any], depth_left: int) -> str:
    if depth_left == 0:
        raise TooDeep(said("nested deeper than %(limit)s levels", limit=MAX_DEPTH))
    parts: list[str] = []
    try:
        for item in items:
            parts.append(_text(item, depth_left - 1))  # noqa: PERF401 - its length is the index in the error
    except ProtocolError as error:
        raise error.under(f"[{len(parts)}]") from None
    return "[" + ",".join(parts) + "]"


def _layout(members: dict[Any, Any]) -> _Layout:
    """The members' order: (key, quoted key and colon), sorted by UTF-16 code units."""
    keys = tuple(members)
    if not all(isinstance(key, str) for key in keys):
        raise WrongType(said("a JSON object's keys must be text"))
    try:
        # Code points and UTF-16 units differ in order only where surrogate pairs meet U+E000..U+FFFF.
        ordered = sorted(keys, key=lambda key: key.encode("utf-16-be"))
    except UnicodeEncodeError as error:
        raise InvalidText(said("a lone surrogate in an object's key")) from error
    layout = tuple((key, quote(key) + ":") for key in ordered)
    if len(keys) <= _MAX_LAYOUT_KEYS and sum(map(len, keys)) <= _MAX_LAYOUT_CHARS:
        if len(_layouts) >= _MAX_LAYOUTS:
            _layouts.clear()
        _layouts[keys] = layout
    return layout


def _whole(value: int) -> str:
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return int.__repr__(value)
    try:
        return _double(float(value))
    except OverflowError as error:
        raise InvalidNumber(said("a whole number beyond the range of a double")) from error


def _double(value: float) -> str:
    """ECMAScript's Number::toString."""
    text = float.__repr__(value)
    if text.endswith(".0"):
        return "0" if text == "-0.0" else text[:-2]
    if "e" in text:
        return _exponential(text)
    if "n" in text:
        raise InvalidNumber(said("JSON has no NaN and no infinity"))
    return text


def _exponential(text: str) -> str:
    """Lay Python's `-1.5e-07` out as ECMAScript does: plain digits from 1e-6 up to below 1e21."""
    mantissa, _, power = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction.rstrip("0") if fraction != "0" else whole
    exponent = int(power)
    if exponent >= 21 or exponent < -6:
        point = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    return f"{sign}{digits.ljust(exponent + 1, '0')}"


def _lone_surrogate(value: Any) -> InvalidText:
    path = next(path for path, leaf in leaves(value) if isinstance(leaf, str) and not _is_utf8(leaf))
    return InvalidText(said("a lone surrogate can't be written as UTF-8"), path=path)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
