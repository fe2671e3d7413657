"""Bytes to a JSON object: the one door for text that comes from outside.

msgspec decodes; what it lets through and the protocol doesn't (NUL, duplicate keys, whole numbers no
double can hold, extreme depth) is caught here by checks that cost next to nothing while there is nothing
to catch.
"""

import json
import re
from collections import Counter
from typing import Any, Final, NoReturn

import msgspec

from vcp.errors import (
    DuplicateKey,
    InvalidNumber,
    InvalidText,
    MalformedJson,
    NotAnObject,
    ProtocolError,
    TooDeep,
    WrongType,
)
from vcp.limits import MAX_DEPTH
from vcp.said import said
from vcp.walk import children, leaves

_HUGE_DIGITS: Final = 309  # 2^1024, the first whole number beyond a double, has 309 digits
_HUGE: Final = b"0" * _HUGE_DIGITS
_ONLY_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_DIGIT: Final = re.compile(rb"[0-9]").search


def decode_object(body: bytes, *, unique_keys: bool = False) -> dict[str, Any]:
    """Decode a JSON object from UTF-8 bytes.

    `unique_keys` also refuses an object that names a key twice (costs a second pass). Raises MalformedJson,
    NotAnObject, TooDeep, DuplicateKey, InvalidNumber, InvalidText, WrongType (body is no bytes).
    """
    if not isinstance(body, bytes):
        raise WrongType(said("expected bytes, got %(name)s", name=type(body).__name__))
    document = _decode(body)
    if not isinstance(document, dict):
        raise NotAnObject(said("expected an object, got %(name)s", name=type(document).__name__))
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _refuse_depth(document)
    if b"\\" in body and b"\\u0000" in body:
        refuse_nul(document)
    if may_hold_huge(body):
        _refuse_huge(document)
    if unique_keys:
        json.loads(body, object_pairs_hook=_refuse_duplicates)
    return document


def may_hold_huge(body: bytes) -> bool:
    """Whether there are so many digits in a row that a whole number could be beyond the range of a double."""
    # They cover one of every 309 bytes: most messages are cleared by one byte.
    return bool(_DIGIT(body[_HUGE_DIGITS - 1 :: _HUGE_DIGITS])) and _HUGE in body.translate(_ONLY_ZEROS)


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise TooDeep(said("nested deeper than %(limit)s levels", limit=MAX_DEPTH)) from error
    except UnicodeDecodeError as error:
        raise InvalidText(said("the text is not UTF-8")) from error
    except msgspec.ValidationError as error:
        raise InvalidNumber(said("a number beyond the range of a double")) from error
    except msgspec.DecodeError as error:
        raise _explained(body, error) from error


def _explained(body: bytes, error: msgspec.DecodeError) -> ProtocolError:
    """Tell the failures that have a class of their own from plain bad syntax."""
    detail = str(error)
    if "surrogate" in detail:
        return InvalidText(detail)
    try:
        json.loads(body.decode(), parse_constant=_refuse_constant)
    except InvalidNumber as constant:
        return constant
    except (ValueError, RecursionError):
        reason, mark, why = detail.partition(": ")
        return MalformedJson(
            said("JSON is malformed: %(why)s", why=why) if mark and reason == "JSON is malformed" else detail
        )
    # The two decoders differ in one rule only: the standard library takes the escape of a lone surrogate.
    return InvalidText(said("a lone surrogate"))


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidNumber(said("JSON has no %(name)s", name=name))


def _refuse_duplicates(members: list[tuple[str, Any]]) -> None:
    if len(dict(members)) != len(members):
        counts = Counter(key for key, _ in members)
        raise DuplicateKey(said("the key %(value)s is named twice", value=repr(counts.most_common(1)[0][0])))


def _refuse_depth(document: Any) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in children(value) if isinstance(item, (dict, list, tuple))]
        if not level:
            return
    raise TooDeep(said("nested deeper than %(limit)s levels", limit=MAX_DEPTH))


def refuse_nul(document: Any) -> None:
    """Raise InvalidText, with its path, where a text or a key holds U+0000 (databases refuse it)."""
    for path, leaf in leaves(document):
        if isinstance(leaf, str) and "\x00" in leaf:
            raise InvalidText(said("text must not hold U+0000"), path=path)


def _refuse_huge(document: Any) -> None:
    for path, leaf in leaves(document):
        if isinstance(leaf, int):
            try:
                float(leaf)
            except OverflowError as error:
                raise InvalidNumber(said("a whole number beyond the range of a double"), path=path) from error
