"""Typed structs from decoded JSON and back.

A struct's field carries its wire name; numbers, texts and times carry their constraints in their types.
msgspec converts and checks; here its findings become protocol errors with our field path, and times go
through `vcp.timestamps` (msgspec's own rule is laxer than the protocol's).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_args

import msgspec
from msgspec import Meta

from vcp.errors import (
    InvalidNumber,
    InvalidText,
    InvalidTimestamp,
    InvalidValue,
    MissingField,
    ProtocolError,
    WrongType,
    join_path,
)
from vcp.limits import MAX_ID_LENGTH, MAX_SAFE_INTEGER
from vcp.said import Said, said
from vcp.timestamps import format_timestamp, parse_timestamp

# JavaScript has one kind of number, so the bound of whole numbers holds for every number in a typed field.
_SAFE: Final = float(MAX_SAFE_INTEGER)
Number = Annotated[float, Meta(ge=-_SAFE, le=_SAFE)]
NonNegative = Annotated[float, Meta(ge=0, le=_SAFE)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Word = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]
"""A word of an open vocabulary: Voke may add to it at any time."""
ExternalId = Annotated[str, Meta(pattern=r"^[A-Z0-9_-]{1,32}\Z")]
"""A sub-device's externalId [pub concepts/sub-devices]."""
Time = Annotated[datetime, Meta(tz=True)]


class WireStruct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all payloads: frozen, keyword-only; a member that is None is absent on the wire."""

    RAW: ClassVar[str | None] = None
    """Attribute that keeps the object as received, unknown keys included."""


StructT = TypeVar("StructT", bound=WireStruct)


class _Step(msgspec.Struct, frozen=True):
    """What must happen to one wire member before msgspec sees it."""

    wire_name: str
    item_type: type[WireStruct] | None
    """Struct type of an array's items; None for a time."""
    nullable_array: bool


def to_struct(raw: Any, struct_type: type[StructT], *, path: str = "") -> StructT:
    """Check a decoded JSON object against a struct type and build it.

    Unknown members are ignored (the caller keeps `raw`), null stands for an absent optional member.
    Raises a ProtocolError whose path begins with `path`.
    """
    try:
        return msgspec.convert(_prepared(raw, struct_type), struct_type)
    except msgspec.ValidationError as error:
        raise _translated(error, path) from error
    except UnicodeEncodeError as error:
        raise InvalidText(said("a lone surrogate"), path=path) from error
    except ProtocolError as error:
        raise error.under(path) from error


def _prepared(raw: Any, struct_type: type[WireStruct]) -> Any:
    """The members that msgspec would read otherwise than the protocol, read by our rules."""
    steps = _steps(struct_type)
    keep_raw_as = struct_type.RAW
    if not isinstance(raw, dict) or not (steps or keep_raw_as):
        return raw
    ready = dict(raw)
    for step in steps:
        value = ready.get(step.wire_name)
        if value is None:
            if step.nullable_array:
                ready.pop(step.wire_name, None)
        elif step.item_type is not None:
            if isinstance(value, list):
                ready[step.wire_name] = _prepared_items(value, step.item_type, step.wire_name)
        elif isinstance(value, str):
            try:
                ready[step.wire_name] = parse_timestamp(value)
            except ProtocolError as error:
                raise error.under(step.wire_name) from error
    if keep_raw_as:
        ready[keep_raw_as] = raw
    return ready


def _prepared_items(items: list[Any], item_type: type[WireStruct], wire_name: str) -> list[Any]:
    ready: list[Any] = []
    try:
        for item in items:
            ready.append(_prepared(item, item_type))  # noqa: PERF401 - its length is the index in the error
    except ProtocolError as error:
        raise error.under(f"{wire_name}[{len(ready)}]") from error
    return ready


@cache
def _steps(struct_type: type[WireStruct]) -> tuple[_Step, ...]:
    steps = []
    for field in msgspec.structs.fields(struct_type):
        parts = _type_parts(field.type)
        items = [part for part in parts if isinstance(part, type) and issubclass(part, WireStruct)]
        if items:
            nullable = field.default == ()
            if nullable or _steps(items[0]) or items[0].RAW:
                steps.append(_Step(field.encode_name, items[0], nullable))
        elif datetime in parts:
            steps.append(_Step(field.encode_name, None, False))
    return tuple(steps)


def _type_parts(annotation: Any) -> list[Any]:
    """An annotation's innermost types: tuple[X, ...] | None -> [X, ..., None]."""
    args = get_args(annotation)
    return [part for arg in args for part in _type_parts(arg)] if args else [annotation]


def _translated(error: msgspec.ValidationError, path: str) -> ProtocolError:
    # msgspec tells the place only as text behind the reason: "Expected ... - at `$.commands[2].deviceId`".
    reason, mark, place = str(error).rpartition(" - at `$")
    if not mark or not place.endswith("`"):
        reason, place = str(error), "`"
    where = join_path(path, place[:-1])
    if isinstance(error.__cause__, ProtocolError):
        return error.__cause__.under(where)
    if reason.startswith("Object missing required field `"):
        name = reason.split("`")[1]
        return MissingField(said("%(name)s is required", name=name), path=join_path(where, name))
    if reason.startswith("Invalid enum value"):  # first, since it quotes the peer's own text
        return InvalidValue(_words(reason), path=where)
    if "out of range" in reason or str(MAX_SAFE_INTEGER) in reason:
        return InvalidNumber(said("a number beyond +/-(2^53-1)"), path=where)
    if reason.startswith("Expected `") and "`, got `" in reason:
        return WrongType(_words(reason), path=where)
    if "timezone" in reason:
        return InvalidTimestamp(_words(reason), path=where)
    return InvalidValue(_words(reason), path=where)


def _words(reason: str) -> Said:
    """The decoder's sentence, taken apart into one that pages can translate; as it is where it is another one."""
    for form, word in _REASONS:
        if found := form.fullmatch(reason):
            return word(**found.groupdict())
    return Said(reason)


_REASONS: tuple[tuple[re.Pattern[str], Callable[..., Said]], ...] = (
    (
        re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<found>[^`]*)`"),
        lambda **facts: said("Expected `%(wanted)s`, got `%(found)s`", **facts),
    ),
    (
        re.compile(r"Expected `(?P<wanted>[^`]*)` of length <= (?P<limit>\d+)"),
        lambda **facts: said("Expected `%(wanted)s` of length <= %(limit)s", **facts),
    ),
    (
        re.compile(r"Expected `(?P<wanted>[^`]*)` of length >= (?P<limit>\d+)"),
        lambda **facts: said("Expected `%(wanted)s` of length >= %(limit)s", **facts),
    ),
    (
        re.compile(r"Expected `(?P<wanted>[^`]*)` (?P<bound>[<>]=?) (?P<limit>\S+)"),
        lambda **facts: said("Expected `%(wanted)s` %(bound)s %(limit)s", **facts),
    ),
    (
        re.compile(r"Expected `(?P<wanted>[^`]*)` matching regex (?P<form>.*)", re.DOTALL),
        lambda **facts: said("Expected `%(wanted)s` matching regex %(form)s", **facts),
    ),
    (
        re.compile(r"Invalid enum value (?P<found>.*)", re.DOTALL),
        lambda **facts: said("Invalid enum value %(found)s", **facts),
    ),
)


class _Member(msgspec.Struct, frozen=True):
    attribute: str
    wire_name: str
    default: Any


@cache
def _members(struct_type: type[WireStruct]) -> tuple[_Member, ...]:
    return tuple(
        _Member(field.name, field.encode_name, field.default)
        for field in msgspec.structs.fields(struct_type)
        if field.name != struct_type.RAW
    )


def to_members(struct: WireStruct) -> dict[str, Any]:
    """The struct as a plain JSON object in wire names: absent members dropped, times as wire text."""
    kept_raw: Mapping[str, Any] = getattr(struct, struct.RAW) if struct.RAW else {}
    wire: dict[str, Any] = dict(kept_raw)
    for member in _members(type(struct)):
        value = getattr(struct, member.attribute)
        if value is None or (value == () and member.default == ()):
            continue
        try:
            wire[member.wire_name] = _wire_value(value)
        except ProtocolError as error:
            raise error.under(member.wire_name) from error
    return wire


def _wire_value(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return format_timestamp(value)
    if isinstance(value, WireStruct):
        return to_members(value)
    if isinstance(value, (tuple, list)):
        return [_wire_value(item) for item in value]
    return value
