"""A message's bytes made in one walk are those made step by step, and what a receiver would refuse is not made."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vcp
from tests.vcp.samples import PAYLOADS, SIGNING_KEY
from vcp.signing import signed_body

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "message_id": str(uuid.UUID(int=7, version=4)),
    "correlation_id": "c-1",
    "timestamp": AT,
    "source": "acmé",
    "site_id": "PLANT-1",
}


@pytest.mark.parametrize("kid", [None, "k-1"])
@pytest.mark.parametrize("family", list(PAYLOADS), ids=str)
def test_a_signed_message_is_the_encoded_signed_envelope(family: Any, kid: str | None) -> None:
    payload = PAYLOADS[family]
    envelope = vcp.new_envelope(**FACTS, payload=payload, signature_algo="HMAC-SHA256", signature_kid=kid)

    body = vcp.new_body(**FACTS, payload=payload, signing_key=SIGNING_KEY, signature_kid=kid)

    assert body == vcp.encode_envelope(vcp.signed_envelope(envelope, SIGNING_KEY))
    assert vcp.verify_body(body, SIGNING_KEY)


def test_without_a_key_a_message_is_the_encoded_envelope_and_names_no_key() -> None:
    envelope = vcp.new_envelope(**FACTS, payload={"mode": "STANDARD"})

    body = vcp.new_body(**FACTS, payload={"mode": "STANDARD"}, signature_kid="k-1")

    assert body == vcp.encode_envelope(envelope)
    assert b"signature" not in body


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "no-uuid"},
        {"timestamp": AT.replace(tzinfo=None)},
        {"source": ""},
        {"site_id": "x" * 129},
        {"payload": {"reason": "a\x00b"}},
        {"payload": {"reason": "\ud800"}},
        {"payload": {"number": float("nan")}},
        {"signing_key": "short"},
    ],
)
def test_what_its_receiver_would_refuse_is_not_made(changes: dict[str, Any]) -> None:
    facts = FACTS | {"payload": {}, "signing_key": SIGNING_KEY} | changes

    with pytest.raises(vcp.ProtocolError):
        vcp.new_body(**facts)


@given(
    st.dictionaries(
        st.text(max_size=12).filter(lambda key: key not in ("signatureAlgo", "signature")),
        st.integers(min_value=-5, max_value=5) | st.text(max_size=5),
        max_size=8,
    )
)
def test_the_signature_is_put_where_the_order_of_keys_wants_it(envelope: dict[str, Any]) -> None:
    try:
        expected = vcp.canonical_json(vcp.signed_envelope(envelope, SIGNING_KEY))
    except vcp.ProtocolError:  # a lone surrogate
        return

    assert signed_body(envelope, SIGNING_KEY) == expected
