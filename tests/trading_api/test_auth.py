"""Secrets and tokens."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings as live
from pytest_django import Settings

from esm.jwt_keys import JwtKey, parse_jwt_keys
from tests.factories import AT
from trading_api import auth
from trading_api.errors import TokenExpired, TokenInvalid, TokenMissing


def token(**changes: Any) -> str:
    return auth.issue_token(**({"client_id": "acme", "revision": 3, "at": AT} | changes))


def forged(claims: dict[str, Any], *, key: JwtKey | None = None, **headers: Any) -> str:
    """Signed with our own key, so that only what the claims or the header say can be wrong."""
    signer = key or live.JWT_KEYS[0]
    good = jwt.decode(token(), options={"verify_signature": False})
    merged = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(
        merged, signer.signing, algorithm=signer.algorithm, headers={"kid": signer.kid} | headers
    )


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def eddsa_key(kid: str) -> JwtKey:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return parse_jwt_keys("JWT_KEYS", f"{kid}:EdDSA:{base64.b64encode(pem).decode()}")[0]


def test_a_token_names_issuer_audience_subject_times_id_and_key() -> None:
    issued = token()
    claims = jwt.decode(issued, options={"verify_signature": False})
    assert {"iss", "aud", "sub", "exp", "iat", "jti", "rev"} == set(claims)
    assert claims["exp"] - claims["iat"] == live.TRADING_TOKEN_TTL_S
    assert jwt.get_unverified_header(issued)["kid"] == live.JWT_KEYS[0].kid


def test_two_tokens_of_the_same_moment_have_different_ids() -> None:
    ids = {jwt.decode(token(), options={"verify_signature": False})["jti"] for _ in range(2)}
    assert len(ids) == 2


def test_a_token_is_read_until_the_second_in_which_it_expires() -> None:
    end = AT + timedelta(seconds=live.TRADING_TOKEN_TTL_S)
    assert auth.read_token(token(), at=end - timedelta(seconds=1)).client_id == "acme"
    with pytest.raises(TokenExpired) as caught:
        auth.read_token(token(), at=end)
    assert caught.value.client_id == "acme"


def test_a_token_of_the_future_is_refused() -> None:
    with pytest.raises(TokenExpired):
        auth.read_token(token(at=AT + timedelta(minutes=5)), at=AT)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "jti", "rev"])
def test_a_token_without_one_of_its_claims_is_refused(claim: str) -> None:
    with pytest.raises(TokenInvalid):
        auth.read_token(forged({claim: None}), at=AT)


@pytest.mark.parametrize(
    "claims", [{"iss": "other"}, {"aud": "other"}, {"rev": "3"}, {"sub": 7}, {"exp": "soon"}, {"iat": "now"}]
)
def test_a_token_with_a_foreign_or_mistyped_claim_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        auth.read_token(forged(claims), at=AT)


def test_a_token_of_a_key_that_was_taken_out_is_refused(settings: Settings) -> None:
    old = token()
    settings.JWT_KEYS = (eddsa_key("j9"),)
    with pytest.raises(TokenInvalid):
        auth.read_token(old, at=AT)


def test_keys_rotate_with_overlap(settings: Settings) -> None:
    old = token()
    settings.JWT_KEYS = (eddsa_key("j9"), *live.JWT_KEYS)
    new = token()
    assert jwt.get_unverified_header(new) == {"alg": "EdDSA", "kid": "j9", "typ": "JWT"}
    assert [auth.read_token(text, at=AT).revision for text in (old, new)] == [3, 3]


def test_a_token_that_was_read_before_is_refused_once_its_key_is_taken_out(settings: Settings) -> None:
    issued = token()
    auth.read_token(issued, at=AT)
    settings.JWT_KEYS = (eddsa_key("j9"),)
    with pytest.raises(TokenInvalid):
        auth.read_token(issued, at=AT)


@pytest.mark.parametrize("name", ["TRADING_TOKEN_AUDIENCE", "TRADING_TOKEN_ISSUER"])
def test_a_token_that_was_read_before_is_refused_once_it_was_made_for_others(
    settings: Settings, name: str
) -> None:
    issued = token()
    auth.read_token(issued, at=AT)
    setattr(settings, name, "somebody-else")
    with pytest.raises(TokenInvalid):
        auth.read_token(issued, at=AT)


def test_of_tokens_that_were_read_a_bounded_number_of_digests_is_remembered() -> None:
    known = auth._Verified(most=2)
    for name in ("one", "two", "three"):
        known.put(name, "trust", {"sub": name})
    assert [known.get(name, "trust") for name in ("one", "two", "three")] == [
        None,
        {"sub": "two"},
        {"sub": "three"},
    ]
    assert not any(name in repr(known._claims.keys()) for name in ("two", "three"))


def test_a_token_cannot_choose_its_algorithm(settings: Settings) -> None:
    ours, other = live.JWT_KEYS[0], eddsa_key("j9")
    settings.JWT_KEYS = (ours, other)
    confused = forged(
        {}, key=JwtKey(kid="j9", algorithm="HS256", signing=ours.signing, verifying=ours.verifying)
    )
    with pytest.raises(TokenInvalid):
        auth.read_token(confused, at=AT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        "ä.ö.ü",
        f"{part({'alg': 'none', 'kid': 'j1'})}.{part({'sub': 'acme'})}.",
        f"{part({'alg': 'HS256'})}.{part({'sub': 'acme'})}.AAAA",
        f"{part({'alg': 'HS256', 'kid': ['j1']})}.{part({'sub': 'acme'})}.AAAA",
        f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.AAAA",
    ],
    ids=["empty", "dots", "letters", "alg-none", "no-kid", "kid-is-a-list", "deep-header"],
)
def test_whatever_the_text_only_token_invalid_comes_out(text: str) -> None:
    with pytest.raises(TokenInvalid):
        auth.read_token(text, at=AT)


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer ", "token"])
def test_a_header_without_a_bearer_token_is_missing_one(header: str) -> None:
    with pytest.raises(TokenMissing):
        auth.bearer_token(header)


def test_the_scheme_is_read_in_any_case_and_a_monstrous_token_is_refused() -> None:
    assert auth.bearer_token("bEARER abc") == "abc"
    with pytest.raises(TokenInvalid):
        auth.bearer_token("Bearer " + "a" * 5000)


def test_a_secret_has_256_bits_and_does_not_show_itself() -> None:
    first, second = auth.new_secret(), auth.new_secret()
    assert first != second
    assert len(base64.urlsafe_b64decode(first.reveal().removeprefix(auth.SECRET_PREFIX) + "=")) == 32
    assert first.reveal() not in repr(first)


def test_a_stored_hash_is_worth_nothing_under_another_pepper(settings: Settings) -> None:
    stored = auth.hash_secret("s", "p1")
    settings.SECRET_PEPPERS = {"p1": b"x" * 32}
    assert not auth.secret_matches("s", stored_hash=stored, pepper_version="p1")


@pytest.mark.parametrize(("stored", "version"), [(None, None), ("0" * 64, "gone")])
def test_an_unknown_client_or_a_lost_pepper_never_matches(stored: str | None, version: str | None) -> None:
    assert not auth.secret_matches("s", stored_hash=stored, pepper_version=version)
