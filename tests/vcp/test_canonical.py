"""Canonical JSON against Node's own results, an independent library, and the rules one by one."""

import gzip
import math
import shutil
import subprocess
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import vcp
from tests.vcp.samples import ENVELOPE, SIGNING_KEY, same_every_run
from vcp import canonical

VECTORS = Path(__file__).parent / "vectors"


class Vector(msgspec.Struct, frozen=True):
    """A document's text and what Node made of it; objects carry a signature."""

    text: str
    canonical: str
    signature: str | None = None


def read_vectors(lines: bytes) -> list[Vector]:
    return [msgspec.json.decode(line, type=Vector) for line in lines.splitlines()]


def differences(vectors: list[Vector]) -> list[tuple[str, str, str]]:
    """(input, ours, Node's) of every document whose canonical text or signature is not the same."""
    found = []
    for vector in vectors:
        document = msgspec.json.decode(vector.text)
        ours = vcp.canonical_json(document).decode()
        if ours != vector.canonical:
            found.append((vector.text, ours, vector.canonical))
        if (
            vector.signature is not None
            and (signature := vcp.sign(document, SIGNING_KEY)) != vector.signature
        ):
            found.append((vector.text, signature, vector.signature))
    return found


@pytest.fixture(scope="module")
def committed() -> list[Vector]:
    return read_vectors(gzip.decompress((VECTORS / "canonical.jsonl.gz").read_bytes()))


def test_there_are_at_least_twenty_thousand_different_committed_documents(committed: list[Vector]) -> None:
    assert len({vector.text for vector in committed}) >= 20_000


def test_every_committed_document_has_nodes_text_and_signature(committed: list[Vector]) -> None:
    assert differences(committed) == []


def test_more_than_half_of_the_committed_documents_are_signed(committed: list[Vector]) -> None:
    assert sum(vector.signature is not None for vector in committed) > len(committed) / 2


def test_the_committed_documents_read_the_same_through_our_own_door(committed: list[Vector]) -> None:
    objects = [vector for vector in committed if vector.text.lstrip().startswith("{")]

    decoded = [vcp.decode_object(vector.text.encode(), unique_keys=True) for vector in objects]

    assert len(objects) > 10_000
    assert [vcp.canonical_json(document).decode() for document in decoded] == [v.canonical for v in objects]


if shutil.which("node"):  # Where it is absent the committed documents prove the same.

    def test_fresh_documents_have_the_text_and_signature_that_node_gives_them_now() -> None:
        made = subprocess.run(
            ["node", str(VECTORS / "make_vectors.mjs"), "--seed", "live", "--count", "3000"],
            check=True,
            capture_output=True,
            timeout=60,
        )

        vectors = read_vectors(made.stdout)

        assert len(vectors) == 3000
        assert differences(vectors) == []

    def test_the_committed_file_is_what_the_committed_script_makes(
        committed: list[Vector], tmp_path: Path
    ) -> None:
        again = tmp_path / "again.jsonl.gz"
        script = str(VECTORS / "make_vectors.mjs")
        subprocess.run(
            ["node", script, "--seed", "1", "--count", "21000", "--out", str(again)], check=True, timeout=60
        )

        assert read_vectors(gzip.decompress(again.read_bytes())) == committed


FACT_SHEET_BASE = {name: value for name, value in ENVELOPE.items() if name != "payload"}
FACT_SHEET_END = (
    '"siteId":"7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d","source":"ref-esm",'
    '"timestamp":"2026-01-02T03:04:05.678Z","version":"1.1"}'
)


def fact_sheet_text(correlation_id: str, payload: str, algo: str = '"signatureAlgo":"HMAC-SHA256",') -> str:
    start = f'{{"correlationId":"{correlation_id}","messageId":"3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11",'
    return f'{start}"payload":{payload},{algo}{FACT_SHEET_END}'


CHARGE = {
    "deviceId": "B1",
    "assetType": "BESS",
    "command": "BESS_CHARGE",
    "params": {"powerKw": 12.5, "respectLimits": True},
}
CHARGE_TEXT = (
    '{"assetType":"BESS","command":"BESS_CHARGE","deviceId":"B1",'
    '"params":{"powerKw":12.5,"respectLimits":true}}'
)
ZERO_EXPORT = {
    "mode": "ZERO_EXPORT",
    "reason": "Přetok – limit 50 %",
    "validUntil": "2026-01-02T04:00:00.000Z",
}
ZERO_EXPORT_TEXT = (
    '{"mode":"ZERO_EXPORT","reason":"Přetok – limit 50 %","validUntil":"2026-01-02T04:00:00.000Z"}'
)
SIGNED = {"signatureAlgo": "HMAC-SHA256"}
FACT_SHEET = [
    (
        {"correlationId": "vec-1", **SIGNED, "payload": {"commands": [CHARGE]}},
        fact_sheet_text("vec-1", f'{{"commands":[{CHARGE_TEXT}]}}'),
        "BXQ0z18JR9Cdi93u4u0KNAq4vWf237D-hQDMHKLJitQ",
    ),
    (
        {"correlationId": "vec-2", **SIGNED, "payload": ZERO_EXPORT},
        fact_sheet_text("vec-2", ZERO_EXPORT_TEXT),
        "c_Q9_6Ts25lSxO4GLTQtMHMn-b57jh6fi-cPkEwQIdQ",
    ),
    (
        {"correlationId": "vec-3", "payload": {"n": [50.0, 0.1, 1e-7, 1e21, -0.0, 100]}},
        fact_sheet_text("vec-3", '{"n":[50,0.1,1e-7,1e+21,0,100]}', algo=""),
        "NkWOQpuiI00q4cdV4MB7pr_G79JkQA52qU9BvIvBkDU",
    ),
]


@pytest.mark.parametrize(("members", "text", "signature"), FACT_SHEET, ids=["vec-1", "vec-2", "vec-3"])
def test_the_fact_sheets_vectors_hold(members: dict[str, Any], text: str, signature: str) -> None:
    envelope = {**FACT_SHEET_BASE, **members}

    assert vcp.canonical_json(envelope).decode() == text
    assert vcp.sign(envelope, SIGNING_KEY) == signature
    assert vcp.verify({**envelope, "signature": signature}, SIGNING_KEY)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53 - 1), 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(), children, max_size=5),
    max_leaves=25,
)


@same_every_run
@given(JSON_VALUES)
def test_an_independent_library_gives_the_same_text(value: Any) -> None:
    assert vcp.canonical_json(value) == rfc8785.dumps(value)


@same_every_run
@given(JSON_VALUES)
def test_the_text_reads_back_as_the_same_value(value: Any) -> None:
    assert vcp.canonical_json(msgspec.json.decode(vcp.canonical_json(value))) == vcp.canonical_json(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (50.0, "50"),
        (-0.0, "0"),
        (0, "0"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e21, "-1.5e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1.25e-6, "0.00000125"),
        (1e-7, "1e-7"),
        (-1.25e-7, "-1.25e-7"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (1e16, "10000000000000000"),
        (12345678901234567.0, "12345678901234568"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**53 - 1, "9007199254740991"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (-(2**53) - 3, "-9007199254740996"),
        (10**21, "1e+21"),
        (10**308, "1e+308"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("", '""'),
        ('"\\/\b\f\n\r\t', '"\\"\\\\/\\b\\f\\n\\r\\t"'),
        ("\x00\x0b\x1f\x7f", '"\\u0000\\u000b\\u001f\x7f"'),
        ("\u2028\u2029é🔋", '"\u2028\u2029é🔋"'),
        ([], "[]"),
        ({}, "{}"),
        ((1, (2,)), "[1,[2]]"),
        ({"b": [1, {"d": None, "c": True}], "a": 1.0}, '{"a":1,"b":[1,{"c":true,"d":null}]}'),
    ],
)
def test_values_have_the_text_that_javascript_gives_them(value: object, text: str) -> None:
    assert vcp.canonical_json(value).decode() == text


def test_keys_sort_by_utf16_units_not_by_code_points() -> None:
    document = {"\uffff": 1, "\U00010000": 2, "\ue000": 3, "\ud7ff": 4, "Z": 5, "a": 6, "10": 7, "9": 8}

    text = vcp.canonical_json(document).decode()

    assert text == '{"10":7,"9":8,"Z":5,"a":6,"\ud7ff":4,"\U00010000":2,"\ue000":3,"\uffff":1}'


class Word(StrEnum):
    MODE = "mode"


class Count(IntEnum):
    TWO = 2


class Kilowatts(float):
    """Stands for NumPy's float64, a float whose repr is no number."""

    def __repr__(self) -> str:
        return f"Kilowatts({float(self)})"


class Whole(int):
    def __repr__(self) -> str:
        return f"Whole({int(self)})"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Word.MODE, '"mode"'),
        (Count.TWO, "2"),
        (Kilowatts(2.5), "2.5"),
        (Whole(7), "7"),
        (Whole(2**60 + 1), "1152921504606847000"),
        ({Word.MODE: Word.MODE}, '{"mode":"mode"}'),
    ],
)
def test_subclasses_of_plain_values_are_written_as_the_plain_value(value: object, text: str) -> None:
    assert vcp.canonical_json(value).decode() == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**309, -(10**400), Kilowatts(math.nan)])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"a": [value]}])
def test_a_number_that_json_cannot_carry_is_refused(value: float, wrap: Any) -> None:
    with pytest.raises(vcp.InvalidNumber):
        vcp.canonical_json(wrap(value))


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"a": "\ude00\ud83d"}, {"\ud83d": 1}])
def test_a_lone_surrogate_is_refused(value: object) -> None:
    with pytest.raises(vcp.InvalidText):
        vcp.canonical_json(value)


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1, 2},
        object(),
        {1: "a"},
        {None: 1},
        {"a": 1, 2: 3},
        {("a",): 1},
        complex(1, 2),
        [print],
        {b"a": 1},
    ],
)
def test_a_foreign_type_is_refused(value: object) -> None:
    with pytest.raises(vcp.WrongType):
        vcp.canonical_json(value)


def nested(levels: int, *, objects: bool) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if objects else [value]
    return value


@pytest.mark.parametrize("objects", [True, False])
def test_nesting_is_bounded(objects: bool) -> None:
    assert vcp.canonical_json(nested(vcp.MAX_DEPTH, objects=objects))
    with pytest.raises(vcp.TooDeep):
        vcp.canonical_json(nested(vcp.MAX_DEPTH + 1, objects=objects))


def test_a_value_that_contains_itself_is_too_deep() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = [circle]

    with pytest.raises(vcp.TooDeep):
        vcp.canonical_json(circle)


def test_kept_key_orders_stay_bounded_whatever_keys_a_peer_sends() -> None:
    for number in range(3 * canonical._MAX_LAYOUTS):
        assert vcp.canonical_json({f"b{number}": 1, "a": 2}).decode() == f'{{"a":2,"b{number}":1}}'
    many = {f"k{number:05}": number for number in range(10_000)}
    vcp.canonical_json(many)
    vcp.canonical_json({"x" * 100_000: 1})

    assert len(canonical._layouts) <= canonical._MAX_LAYOUTS
    assert tuple(many) not in canonical._layouts
    assert ("x" * 100_000,) not in canonical._layouts


def test_a_kept_order_serves_the_same_keys_in_another_order() -> None:
    assert vcp.canonical_json({"b": 1, "a": 2}) == vcp.canonical_json({"a": 2, "b": 1}) == b'{"a":2,"b":1}'
