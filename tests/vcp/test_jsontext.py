"""The door for bytes: what JSON is, what of it the protocol takes, and the class of each refusal."""

import gc
import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

import pytest

import vcp


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


REFUSED: list[tuple[bytes, type[vcp.ProtocolError]]] = [
    (b"", vcp.MalformedJson),
    (b" \n", vcp.MalformedJson),
    (b"\x00", vcp.MalformedJson),
    (b"{}\x00", vcp.MalformedJson),
    (b"{} {}", vcp.MalformedJson),
    (b"{", vcp.MalformedJson),
    (b'{"a":}', vcp.MalformedJson),
    (b'{"a":1,}', vcp.MalformedJson),
    (b"{'a':1}", vcp.MalformedJson),
    (b"{a:1}", vcp.MalformedJson),
    (b'{"a":01}', vcp.MalformedJson),
    (b'{"a":+1}', vcp.MalformedJson),
    (b'{"a":.5}', vcp.MalformedJson),
    (b'{"a":0x10}', vcp.MalformedJson),
    (b'{"a":"\\x41"}', vcp.MalformedJson),
    (b'{"a":"line\nbreak"}', vcp.MalformedJson),
    (b'{"a":1} // comment', vcp.MalformedJson),
    (b'\xef\xbb\xbf{"a":1}', vcp.MalformedJson),
    ('{"a":1}'.encode("utf-16"), vcp.MalformedJson),
    ('{"a":1}'.encode("utf-16-be"), vcp.MalformedJson),
    ('{"a":1}'.encode("utf-32"), vcp.MalformedJson),
    (b'{"a":"\x00"}', vcp.MalformedJson),
    (b"[]", vcp.NotAnObject),
    (b'"text"', vcp.NotAnObject),
    (b"5", vcp.NotAnObject),
    (b"null", vcp.NotAnObject),
    (b'{"a":NaN}', vcp.InvalidNumber),
    (b'{"a":[Infinity]}', vcp.InvalidNumber),
    (b'{"a":-Infinity}', vcp.InvalidNumber),
    (b'{"a":1e999}', vcp.InvalidNumber),
    (b'{"a":-1e999}', vcp.InvalidNumber),
    (b'{"a":1' + b"0" * 308 + b".5e1}", vcp.InvalidNumber),
    (b'{"a":' + b"9" * 309 + b"}", vcp.InvalidNumber),
    (b'{"a":-1' + b"0" * 400 + b"}", vcp.InvalidNumber),
    (b'{"a":' + b"9" * 5000 + b"}", vcp.InvalidNumber),
    (b'{"a":"\xed\xa0\x80"}', vcp.InvalidText),
    (b'{"a":"\xff"}', vcp.InvalidText),
    (b'{"a":"\xc0\x80"}', vcp.InvalidText),
    (b'{"a":"\xf4\x90\x80\x80"}', vcp.InvalidText),
    (b'{"\xc3":1}', vcp.InvalidText),
    (b'{"a":"\\ud800"}', vcp.InvalidText),
    (b'{"a":"\\ud800 and more text behind it"}', vcp.InvalidText),
    (b'{"a":"\\udfff and more text behind it"}', vcp.InvalidText),
    (b'{"a":"\\ude00\\ud83d"}', vcp.InvalidText),
    (b'{"\\ud800":1}', vcp.InvalidText),
    (b'{"a":"\\u0000"}', vcp.InvalidText),
    (b'{"a":[{"b":"x\\u0000y"}]}', vcp.InvalidText),
    (b'{"\\u0000":1}', vcp.InvalidText),
    (nested(vcp.MAX_DEPTH + 1), vcp.TooDeep),
    (b"[" * 100_000, vcp.TooDeep),
    (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", vcp.TooDeep),
]


@pytest.mark.parametrize(("body", "error"), REFUSED, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("unique_keys", [False, True])
def test_bytes_that_are_no_message_end_in_one_error(
    body: bytes, error: type[vcp.ProtocolError], unique_keys: bool
) -> None:
    with pytest.raises(vcp.ProtocolError) as caught:
        vcp.decode_object(body, unique_keys=unique_keys)

    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"{}", {}),
        (b' {"a" : [ 1 , -0 , 1.5 , null , true ] } \n', {"a": [1, 0, 1.5, None, True]}),
        ('{"ž":"🔋\u2028"}'.encode(), {"ž": "🔋\u2028"}),
        (b'{"a":"\\ud83d\\udd0b\\u0001"}', {"a": "🔋\x01"}),
        (b'{"a":"\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a":1e-999}', {"a": 0.0}),
        (b'{"a":"' + b"9" * 5000 + b'"}', {"a": "9" * 5000}),
        (b'{"a":1' + b"0" * 308 + b"}", {"a": 10**308}),
        (b'{"a":0.' + b"1" * 400 + b"}", {"a": 0.1111111111111111}),
        (b'{"a":"' + b"[{" * 100 + b'"}', {"a": "[{" * 100}),
        (b'{"a":[' + b",".join([b"[{}]"] * 100) + b"]}", {"a": [[{}]] * 100}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_json_allows_is_read(body: bytes, document: dict[str, Any]) -> None:
    assert vcp.decode_object(body) == document
    assert vcp.decode_object(body, unique_keys=True) == document


def test_nesting_up_to_the_bound_is_read() -> None:
    assert vcp.decode_object(nested(vcp.MAX_DEPTH))


def test_the_bound_does_not_depend_on_how_deep_the_caller_stands() -> None:
    def descend(frames: int) -> object:
        return descend(frames - 1) if frames else vcp.decode_object(nested(vcp.MAX_DEPTH))

    assert descend(sys.getrecursionlimit() // 2) == vcp.decode_object(nested(vcp.MAX_DEPTH))


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"a":2}', b'{"x":[{"b":1,"c":2,"b":1}]}', b'{"a":1,"\\u0061":1}', b'{"":1,"":1}'],
)
def test_a_key_named_twice_is_refused_where_it_is_asked_for(body: bytes) -> None:
    assert vcp.decode_object(body)
    with pytest.raises(vcp.DuplicateKey):
        vcp.decode_object(body, unique_keys=True)


def test_a_duplicate_key_is_named() -> None:
    with pytest.raises(vcp.DuplicateKey, match="'siteId'"):
        vcp.decode_object(b'{"a":1,"siteId":2,"b":3,"siteId":4}', unique_keys=True)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"payload":{"a":[1,{"b":"\\u0000"}]}}', "payload.a[1].b"),
        (b'{"a":[0,' + b"9" * 400 + b"]}", "a[1]"),
        (b'{"a":{"k\\u0000":1}}', "a"),
    ],
)
def test_the_place_of_a_bad_value_is_told(body: bytes, path: str) -> None:
    with pytest.raises(vcp.ProtocolError) as caught:
        vcp.decode_object(body)

    assert caught.value.path == path


@pytest.mark.parametrize("body", ["{}", None, 5, bytearray(b"{}")])
def test_a_body_is_bytes(body: Any) -> None:
    with pytest.raises(vcp.WrongType):
        vcp.decode_object(body)


@pytest.mark.parametrize(
    "make_body",
    [
        lambda size: b'{"a":[' + b",".join([b"1" * 308] * (size * 3)) + b"]}",
        lambda size: b'{"a":"' + b"1" * (size * 1000) + b'"}',
        lambda size: b'{"a":[' + b"[]," * (size * 300) + b"[]]}",
        lambda size: b'{"a":"' + b"\\\\u0000" * (size * 100) + b'"}',
        lambda size: b"{" + b",".join(b'"k%d":0' % n for n in range(size * 60)) + b"}",
    ],
    ids=["digits", "digit-text", "brackets", "escapes", "keys"],
)
def test_a_large_message_costs_no_more_than_its_size(make_body: Callable[[int], bytes]) -> None:
    small_s, large_s = (_cpu_s(make_body(size)) for size in (30, 480))

    assert large_s < 100 * small_s  # 16 times the size: 10 to 35 when linear, 256 when quadratic


def _cpu_s(body: bytes) -> float:
    """The least of a few runs, of this thread alone: what else this machine does counts in none of them.

    Nor does a collection of garbage: that costs what the whole test run keeps in memory.
    """
    found = []
    gc.disable()
    try:
        for _ in range(3):
            began = thread_time()
            vcp.decode_object(body, unique_keys=True)
            found.append(thread_time() - began)
    finally:
        gc.enable()
    return min(found)
