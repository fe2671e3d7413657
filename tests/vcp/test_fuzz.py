"""Whatever the bytes, only protocol errors come out; what is taken can be signed, sent and read again."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vcp
from tests.vcp.samples import ENVELOPE, PAYLOADS, SIGNING_KEY, body_of, same_every_run, set_at
from vcp import Family

BUNDLE = json.dumps(
    {"amqpsUri": "amqps://acme:k%2Babc@amqp.voke.turena.cz:5671/partner-8d1f", "queues": {"command": "c"}}
).encode()
DOORS: list[Callable[[bytes], object]] = [
    vcp.decode_object,
    vcp.parse_envelope,
    lambda body: vcp.parse_envelope(body, unique_keys=True),
    lambda body: vcp.verify_body(body, SIGNING_KEY),
    vcp.parse_bundle,
    *(lambda body, family=family: vcp.parse_payload(family, vcp.decode_object(body)) for family in Family),
]


def knock(body: bytes) -> None:
    """Every door either takes the bytes or ends in a protocol error that can be stored."""
    for door in DOORS:
        try:
            door(body)
        except vcp.ProtocolError as error:
            check(error)


def check(error: vcp.ProtocolError) -> None:
    assert type(error) is not vcp.ProtocolError
    assert str(error).startswith(error.code)
    assert str(error).isprintable()
    assert len(str(error)) < 4000


@same_every_run
@given(st.binary(max_size=200))
@example(b"")
@example(b"\x00")
@example(b"\xef\xbb\xbf{}")
@example("{}".encode("utf-16"))
@example(b"[" * 20_000)
@example(b'{"a":' * 20_000)
@example(b'{"version":' + b"1" * 400 + b"}")
@example(b'{"version":"1.1","messageId":1e999}')
def test_any_bytes_end_in_protocol_errors_only(body: bytes) -> None:
    knock(body)


JSON_TOKENS = st.sampled_from(
    [
        *'{}[],:"-0\\ ',
        *['"a"', '"messageId"', '"payload"', "null", "true", "NaN", "1e999", "9" * 400, "-0.0", "e5"],
        *["\\u0000", "\\ud800", "\\udfff", '"\\ud83d\\ude00"', "\x00", "\ufeff", "\u2028"],
    ]
)


@same_every_run
@given(st.lists(JSON_TOKENS, max_size=30))
def test_text_that_looks_like_json_ends_in_protocol_errors_only(tokens: list[str]) -> None:
    knock("".join(tokens).encode())


VALID_BODIES = [body_of(payload=PAYLOADS[family]) for family in Family]
VALID_BODIES += [json.dumps(PAYLOADS[family]).encode() for family in Family]
VALID_BODIES += [vcp.encode_envelope(vcp.signed_envelope(ENVELOPE, SIGNING_KEY)), BUNDLE]
EDITS = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 6), st.binary(max_size=4)), min_size=1, max_size=4
)


@same_every_run
@given(st.sampled_from(VALID_BODIES), EDITS)
def test_a_damaged_message_ends_in_protocol_errors_only(
    body: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    for position, removed, inserted in edits:
        at = position % (len(body) + 1)
        body = body[:at] + inserted + body[at + removed :]

    knock(body)


def _members(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every member, objects and arrays too."""
    if isinstance(value, dict):
        steps: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    else:
        return []
    return [member for step, item in steps for member in [(*path, step), *_members(item, (*path, step))]]


MEMBERS = [(family, path) for family in Family for path in _members(PAYLOADS[family])]


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**53, -(2**53), 10**400, 2**1024, math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324]),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["\x00", "\ud800", "x" * 200, "2026-01-02T03:04:05Z", "2026-13-02T03:04:05Z", "BESS", "POWER"]
    ),
    st.sampled_from(
        [_deep(70), _deep(3000), {"a": {}}, [], {}, [{}], [[]], [None], {1: 2}, b"x", object, ()]
    ),
    st.lists(st.integers() | st.text(), max_size=3),
    st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
)


@same_every_run
@given(st.sampled_from(MEMBERS), NASTY)
@example((Family.COMMAND_SITE_SETPOINT, ("type",)), "\ud800")  # msgspec: UnicodeEncodeError for an enum
def test_a_payload_with_any_value_anywhere_is_taken_or_ends_in_a_protocol_error(
    member: tuple[Family, tuple[str | int, ...]], value: Any
) -> None:
    family, path = member
    payload = copy.deepcopy(PAYLOADS[family])
    set_at(payload, path, value)

    try:
        parsed = vcp.parse_payload(family, payload)
        wire = vcp.to_wire(parsed)
        text = vcp.canonical_json(wire)
    except vcp.ProtocolError as error:
        check(error)
    else:
        assert vcp.canonical_json(vcp.to_wire(vcp.parse_payload(family, wire))) == text


@same_every_run
@given(
    st.sampled_from(["message_id", "source", "site_id", "payload", "correlation_id", "signature_algo"]), NASTY
)
def test_an_envelope_of_ours_is_built_or_refused_but_never_unsendable(name: str, value: Any) -> None:
    members: dict[str, Any] = {
        "message_id": ENVELOPE["messageId"],
        "timestamp": vcp.parse_timestamp(ENVELOPE["timestamp"]),
        "source": "ref-esm",
        "site_id": "PLANT-7",
        "payload": {"a": 1},
        name: value,
    }

    try:
        envelope = vcp.new_envelope(**members)
    except vcp.ProtocolError as error:
        check(error)
    else:
        body = vcp.encode_envelope(vcp.signed_envelope(envelope, SIGNING_KEY))
        assert vcp.verify_body(body, SIGNING_KEY)
        assert vcp.encode_envelope(vcp.parse_envelope(body).raw) == body


@same_every_run
@given(NASTY)
def test_any_value_is_written_canonically_or_ends_in_a_protocol_error(value: Any) -> None:
    try:
        text = vcp.canonical_json({"value": [value]})
    except vcp.ProtocolError as error:
        check(error)
        assert error.path.startswith("value[0]")
    else:
        assert vcp.canonical_json(json.loads(text)) == text


@same_every_run
@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{0,15}[Zz]?", fullmatch=True))
def test_any_text_is_a_time_or_an_invalid_timestamp(text: str) -> None:
    try:
        at = vcp.parse_timestamp(text)
    except vcp.InvalidTimestamp as error:
        check(error)
    else:
        assert vcp.parse_timestamp(vcp.format_timestamp(at)) <= at


@same_every_run
@given(st.text(max_size=60) | st.from_regex(r"amqps://[^\s]{0,40}", fullmatch=True))
def test_any_text_is_an_address_or_an_invalid_bundle(uri: str) -> None:
    try:
        address = vcp.parse_amqps_uri(uri)
    except vcp.InvalidBundle as error:
        check(error)
    else:
        assert vcp.parse_amqps_uri(vcp.build_amqps_uri(address)) == address


@pytest.mark.parametrize("body", VALID_BODIES[: len(Family)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_message_cut_short_is_malformed(body: bytes, share: float) -> None:
    with pytest.raises(vcp.MalformedJson):
        vcp.parse_envelope(body[: int(len(body) * share)])
