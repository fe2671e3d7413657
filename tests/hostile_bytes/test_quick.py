"""The short way for readings tells what the careful way tells, or nothing: whatever is sent, in whatever spelling."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vcp
from link import parsing
from link.broker import Delivery
from link.parsing import Parsed, parse, parse_carefully
from tests.hostile_bytes.events import EVENTS, json_values, numbers, percents, texts, words
from tests.hostile_bytes.wide import examples
from tests.link.helpers import delivery
from tests.vcp.samples import ENVELOPE, PAYLOADS
from vcp import Family, ProtocolError

READINGS = (Family.EVENT_TELEMETRY_REALTIME, Family.EVENT_TELEMETRY_METER)
TAILS = ("", ".7a1d2c3b", ".a.b.c", ".", "ly", ".\ud800", ".\0", ".žár")


def told(way: Callable[..., Parsed], one: Delivery) -> tuple[Any, ...]:
    """What a way makes of a delivery, or its error; by `repr`, so that 1 is not 1.0 and 0.0 is not -0.0."""
    try:
        parsed = way(one, routing_prefix="acme")
    except ProtocolError as error:
        return type(error), error.path, error.detail
    payload = parsed.payload
    values: dict[str, Any] = {} if payload is None else msgspec.structs.asdict(payload)
    values.pop("devices", None)
    if isinstance(payload, vcp.MeterTelemetry):
        values["meters"] = [msgspec.structs.asdict(meter) for meter in payload.meters]
    known = [getattr(parsed, name) for name in parsed.__struct_fields__ if name not in ("payload", "devices")]
    devices = parsed.raw_devices() if isinstance(payload, vcp.RealtimeValues) else None
    return repr(known), repr(values), repr(devices)


def require_same(one: Delivery) -> None:
    """Both ways: the same values, or the same error."""
    assert told(parse, one) == told(parse_carefully, one)


def is_quick(one: Delivery) -> bool:
    """Whether the short way takes it."""
    return parsing._parse_quickly(one, parsing._quick_ways("acme")) is not None


# --- documents in any spelling ----------------------------------------------------------------------------------------


class Members(list[tuple[str, Any]]):
    """A JSON object whose members may repeat."""


class Token(str):
    """A value, as its characters."""


NASTY = [
    *("-0", "-0.0", "0e5", "1e400", "1E+2", "61.50", "9007199254740991", "9007199254740992", "9007199254740993"),
    *("9" * 309, "9" * 308, "0." + "3" * 400, "1e-400", "01", "+1", ".5", "NaN", "-Infinity", "true", "null"),
    *('"\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\u0041"', '"\\/"', '"\x01"', '"a\tb"', '"\udcff"', '""'),
    *("{}", "[]", "[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70, '{"deviceId":"B1"}', '[{"deviceId":"B1"}]'),
    *('[{"deviceId":"B1","deviceId":"B2"}]', '[{"deviceId":"B1","x":{"y":[1]}}]', "[null]", '"' + "x" * 129 + '"'),
    *('"2026-01-02T03:04:05.678Z"', '"2026-01-02T03:04Z"', '"2026-01-02T24:00:00.000Z"', '"2026-W01-1T03:04:05.6Z"'),
    *('"20260102T030405.6780000Z"', '"2026-01-02T03:04:05,678Z"', '"2026-01-02T03:04:05.67８Z"', "5e-324"),
    '"2026-01-02T03:Z\\u0000:05.678Z"',
]  # fmt: skip
NAMES = sorted(
    {name for payload in (*map(PAYLOADS.get, READINGS), ENVELOPE) for name in payload or ()}
    | {
        "deviceId",
        "powerKw",
        "role",
        "importRegisterKwh",
        "correlationId",
        "signature",
        "signatureAlgo",
        "raw",
    }
    | {"", "x", "Payload", "device_id", "traceId"}
)


def members_of(value: Any) -> Any:
    if isinstance(value, dict):
        return Members((name, members_of(item)) for name, item in value.items())
    return [members_of(item) for item in value] if isinstance(value, list) else value


def written(value: Any, *, ascii_only: bool, tight: bool) -> str:
    comma, colon = (",", ":") if tight else (" ,\n", "\t: ")
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, Members):
        parts = [
            f"{json.dumps(name, ensure_ascii=ascii_only)}{colon}{written(item, ascii_only=ascii_only, tight=tight)}"
            for name, item in value
        ]
        return "{" + comma.join(parts) + "}"
    if isinstance(value, list):
        return "[" + comma.join(written(item, ascii_only=ascii_only, tight=tight) for item in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def objects_in(value: Any) -> list[Members]:
    found = [value] if isinstance(value, Members) else []
    items = [item for _, item in value] if isinstance(value, Members) else value
    for item in items if isinstance(items, list) else ():
        found += objects_in(item)
    return found


any_value = st.sampled_from(NASTY).map(Token) | json_values.map(members_of) | numbers | percents | words


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A reading with some members changed, added, repeated, renamed or gone, in any spelling."""
    family = draw(st.sampled_from(READINGS))
    document: Any = members_of({**ENVELOPE, "payload": PAYLOADS[family]})
    for _ in range(draw(st.integers(0, 4))):
        members = draw(st.sampled_from(objects_in(document)))
        place = draw(st.integers(0, len(members)))
        change = draw(st.sampled_from(["value", "add", "repeat", "rename", "gone"]))
        if change == "add" or place == len(members):
            members.insert(place, (draw(st.sampled_from(NAMES) | words), draw(any_value)))
        elif change == "value":
            members[place] = (members[place][0], draw(any_value))
        elif change == "repeat":
            other = draw(any_value | st.just(members[place][1]))
            members.insert(draw(st.integers(0, len(members))), (members[place][0], other))
        elif change == "rename":
            members[place] = (draw(st.sampled_from(NAMES) | texts), members[place][1])
        else:
            del members[place]
    text = written(document, ascii_only=draw(st.booleans()), tight=draw(st.booleans()))
    return text.encode("utf-8", "surrogateescape" if "\udcff" in text else "surrogatepass")


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    """A reading with some of its bytes replaced, doubled, lost or strange."""
    body = bytearray(draw(spelled()))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 1, 2, 10, 100])))
        piece = draw(
            st.sampled_from(
                [b"", b"\xff", b"\0", b"\\", b'"', b",", b"{", b"9" * 310, b"\xed\xa0\x80", b"\xc3\xa9"]
            )
            | st.binary(max_size=3)
            | st.just(bytes(body[start:end] * 2))
        )
        body[start:end] = piece
    return bytes(body)


families = st.sampled_from([family.value for family in READINGS])


@examples(400)
@given(families, st.sampled_from(TAILS), spelled() | garbled())
@example("event.telemetry.realtime", "", b'{"payload":{"devices":[{"x":1e400}],"devices":[]}}')
def test_whatever_is_sent_both_ways_tell_the_same(family: str, tail: str, body: bytes) -> None:
    require_same(delivery(body, f"acme.{family}{tail}"))


@examples(150)
@given(EVENTS, st.booleans())
def test_every_reading_that_the_protocol_allows_is_told_alike(
    event: tuple[Family | str, dict[str, Any]], ascii_only: bool
) -> None:
    family, payload = event
    if family == Family.EVENT_TELEMETRY_METER:
        payload = {**payload, "readingAt": ENVELOPE["timestamp"]}
    body = json.dumps({**ENVELOPE, "payload": payload}, ensure_ascii=ascii_only).encode()

    require_same(delivery(body, f"acme.{family}"))


@pytest.mark.parametrize("token", NASTY)
@pytest.mark.parametrize("family", READINGS)
def test_a_strange_value_in_any_place_is_told_alike(family: Family, token: str) -> None:
    whole = members_of({**ENVELOPE, "correlationId": "c", "payload": PAYLOADS[family]})
    for members in objects_in(whole):
        for place, (name, value) in enumerate(list(members)):
            kept, strange, unknown = (name, value), (name, Token(token)), ("x", Token(token))
            for put in ([strange], [strange, kept], [kept, strange], [kept, unknown]):
                members[place : place + 1] = put
                text = written(whole, ascii_only=False, tight=True)
                members[place : place + len(put)] = [kept]
                require_same(delivery(text.encode("utf-8", "surrogateescape"), f"acme.{family}"))


@examples(60)
@given(
    st.fixed_dictionaries(
        {}, optional={"gridPowerKw": numbers, "fvePowerKw": st.none(), "socPercent": percents}
    ),
    st.integers(0, 9),
)
def test_an_ordinary_reading_goes_the_short_way(values: dict[str, Any], devices: int) -> None:
    payload = {**PAYLOADS[Family.EVENT_TELEMETRY_REALTIME], **values}
    payload["devices"] = payload["devices"] * devices
    body = json.dumps({**ENVELOPE, "siteId": "Žďár", "payload": payload}, ensure_ascii=False).encode()

    assert is_quick(delivery(body, "acme.event.telemetry.realtime.Z1"))


@pytest.mark.parametrize("tail", [".\ud800", ".\0", "ly", ".žár"])
def test_a_strange_routing_key_goes_the_careful_way(tail: str) -> None:
    body = json.dumps({**ENVELOPE, "payload": PAYLOADS[Family.EVENT_TELEMETRY_REALTIME]}).encode()

    assert is_quick(delivery(body, "acme.event.telemetry.realtime"))
    assert not is_quick(delivery(body, f"acme.event.telemetry.realtime{tail}"))
