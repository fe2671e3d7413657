"""Signatures: what is covered, which keys count, and what is answered to everything else."""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest

import vcp
from tests.vcp.samples import ENVELOPE, SIGNING_KEY
from vcp import KeyDecoding

UNSIGNED: dict[str, Any] = {
    **ENVELOPE,
    "signatureAlgo": "HMAC-SHA256",
    "signatureKid": "k1",
    "payload": {"mode": "STANDARD", "n": 50.0},
}
SIGNED = vcp.signed_envelope(UNSIGNED, SIGNING_KEY)


def test_a_signature_is_43_characters_of_unpadded_base64url() -> None:
    mac = hmac.new(bytes.fromhex(SIGNING_KEY), vcp.canonical_json(UNSIGNED), hashlib.sha256).digest()

    assert SIGNED["signature"] == urlsafe_b64encode(mac).decode().rstrip("=")
    assert len(SIGNED["signature"]) == 43


def test_a_signed_envelope_is_a_copy_with_one_member_more() -> None:
    assert "signature" not in UNSIGNED
    assert {**UNSIGNED, "signature": SIGNED["signature"]} == SIGNED


def test_signing_leaves_an_older_signature_out() -> None:
    assert vcp.sign(SIGNED, SIGNING_KEY) == vcp.sign(UNSIGNED, SIGNING_KEY)


def test_a_true_signature_verifies() -> None:
    assert vcp.verify(SIGNED, SIGNING_KEY)
    assert vcp.verify_body(vcp.encode_envelope(SIGNED), SIGNING_KEY)


def test_the_order_and_the_spelling_of_numbers_on_the_wire_do_not_matter() -> None:
    members = [f'"{name}":{vcp.canonical_json(value).decode()}' for name, value in reversed(SIGNED.items())]
    body = ("{ " + ",\n".join(members) + " }").replace('"n":50', '"n":5.0e1').encode()

    assert b"5.0e1" in body
    assert vcp.verify_body(body, SIGNING_KEY)


@pytest.mark.parametrize("name", [name for name in SIGNED if name not in ("signature", "signatureAlgo")])
def test_every_member_is_covered(name: str) -> None:
    assert not vcp.verify({**SIGNED, name: "changed"}, SIGNING_KEY)
    assert not vcp.verify({key: value for key, value in SIGNED.items() if key != name}, SIGNING_KEY)


def test_an_added_member_and_a_removed_algorithm_break_the_signature() -> None:
    assert not vcp.verify({**SIGNED, "extra": None}, SIGNING_KEY)
    assert not vcp.verify({k: v for k, v in SIGNED.items() if k != "signatureAlgo"}, SIGNING_KEY)


def test_an_envelope_without_algorithm_verifies() -> None:
    plain = {**ENVELOPE, "payload": {"a": 1}}

    assert vcp.verify(vcp.signed_envelope(plain, SIGNING_KEY), SIGNING_KEY)


def test_a_padded_signature_verifies() -> None:
    assert vcp.verify({**SIGNED, "signature": SIGNED["signature"] + "="}, SIGNING_KEY)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "=",
        5,
        [],
        True,
        SIGNED["signature"][:-1],
        SIGNED["signature"] + "==",
        SIGNED["signature"] + "A",
        SIGNED["signature"].swapcase(),
        " " + SIGNED["signature"],
        "ž" * 43,
        "\ud800" * 43,
        "A" * 100_000,
    ],
)
def test_a_garbled_signature_does_not_verify(signature: object) -> None:
    assert vcp.verify({**SIGNED, "signature": signature}, SIGNING_KEY) is False


def test_a_missing_signature_does_not_verify() -> None:
    assert vcp.verify(UNSIGNED, SIGNING_KEY) is False


def test_plain_base64_is_not_base64url() -> None:
    envelope, mac = dict(UNSIGNED), b""
    while b"+" not in b64encode(mac) and b"/" not in b64encode(mac):
        envelope["correlationId"] = envelope.get("correlationId", "") + "x"
        mac = hmac.digest(bytes.fromhex(SIGNING_KEY), vcp.canonical_json(envelope), "sha256")

    assert vcp.verify({**envelope, "signature": urlsafe_b64encode(mac).decode()}, SIGNING_KEY) is True
    assert vcp.verify({**envelope, "signature": b64encode(mac).decode()}, SIGNING_KEY) is False


@pytest.mark.parametrize("algo", ["HMAC-SHA512", "hmac-sha256", "none", "", None, 5])
def test_another_algorithm_neither_signs_nor_verifies(algo: object) -> None:
    envelope = {**UNSIGNED, "signatureAlgo": algo}

    with pytest.raises(vcp.InvalidSignatureAlgo) as caught:
        vcp.sign(envelope, SIGNING_KEY)
    assert caught.value.path == "signatureAlgo"
    assert vcp.verify({**envelope, "signature": SIGNED["signature"]}, SIGNING_KEY) is False


def test_another_key_does_not_verify() -> None:
    assert vcp.verify(SIGNED, "ff" * 32) is False


def test_a_key_may_be_taken_as_text_and_then_signs_otherwise() -> None:
    as_text = vcp.signed_envelope(UNSIGNED, SIGNING_KEY, decoding=KeyDecoding.UTF8)
    mac = hmac.digest(SIGNING_KEY.encode(), vcp.canonical_json(UNSIGNED), "sha256")

    assert as_text["signature"] == urlsafe_b64encode(mac).decode().rstrip("=")
    assert vcp.verify(as_text, SIGNING_KEY, decoding=KeyDecoding.UTF8)
    assert vcp.verify_body(vcp.encode_envelope(as_text), SIGNING_KEY, decoding=KeyDecoding.UTF8)
    assert not vcp.verify(as_text, SIGNING_KEY)


def test_hex_digits_count_in_either_case() -> None:
    assert vcp.sign(UNSIGNED, SIGNING_KEY.upper()) == vcp.sign(UNSIGNED, SIGNING_KEY)


def test_a_decoding_read_from_a_database_means_the_same() -> None:
    stored: Any = "HEX"

    assert vcp.sign(UNSIGNED, SIGNING_KEY, decoding=stored) == SIGNED["signature"]


BAD_KEYS: list[tuple[Any, Any]] = [
    ("", KeyDecoding.HEX),
    ("ab" * 31, KeyDecoding.HEX),
    ("ab" * 33, KeyDecoding.HEX),
    ("ab" * 31 + "a", KeyDecoding.HEX),
    ("zz" * 32, KeyDecoding.HEX),
    (" " + "ab" * 32, KeyDecoding.HEX),
    ("ab " * 32, KeyDecoding.HEX),
    ("ž" * 64, KeyDecoding.HEX),
    (b"ab" * 32, KeyDecoding.HEX),
    (None, KeyDecoding.HEX),
    ("s3cret-and-short", KeyDecoding.UTF8),
    ("\ud800" * 40, KeyDecoding.UTF8),
    ("ab" * 32, "BASE64"),
]


@pytest.mark.parametrize(("key", "decoding"), BAD_KEYS)
def test_a_bad_key_is_an_error_and_never_told(key: Any, decoding: Any) -> None:
    with pytest.raises(vcp.InvalidSigningKey) as signing:
        vcp.sign(UNSIGNED, key, decoding=decoding)
    with pytest.raises(vcp.InvalidSigningKey) as verifying:
        vcp.verify(UNSIGNED, key, decoding=decoding)

    for caught in (signing, verifying):
        assert not key or str(key) not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_message_that_names_a_key_twice_is_refused_before_it_is_verified() -> None:
    body = vcp.encode_envelope(SIGNED)
    doubled = body[:-1] + b',"siteId":"another-site"}'

    with pytest.raises(vcp.DuplicateKey):
        vcp.verify_body(doubled, SIGNING_KEY)


def test_verifying_a_broken_message_ends_in_its_protocol_error() -> None:
    with pytest.raises(vcp.MalformedJson):
        vcp.verify_body(b"{", SIGNING_KEY)
    with pytest.raises(vcp.NotAnObject):
        vcp.verify_body(b"[]", SIGNING_KEY)


def test_what_is_encoded_is_the_canonical_text_with_the_signature_inside() -> None:
    body = vcp.encode_envelope(SIGNED)

    assert body == vcp.canonical_json(SIGNED)
    assert msgspec.json.decode(body)["signature"] == SIGNED["signature"]
    assert vcp.parse_envelope(body, unique_keys=True).signature == SIGNED["signature"]
