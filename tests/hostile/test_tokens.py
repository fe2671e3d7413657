"""Tokens that are not what they claim: one refusal, the same words, and no look into the database."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as live
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from esm import clock
from esm.jwt_keys import parse_jwt_keys
from tests import factories
from tests.trading_api.conftest import Voke, later, voke_for
from trading_api.auth import issue_token
from trading_api.models import PullJournal

pytestmark = pytest.mark.django_db


@pytest.fixture
def voke(db: None) -> Voke:
    with clock.frozen(factories.AT):
        return voke_for(factories.plant()).authorise()


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def claims_of(voke: Voke) -> dict[str, Any]:
    assert voke.bearer is not None
    found: dict[str, Any] = jwt.decode(voke.bearer, options={"verify_signature": False})
    return found


def signed(voke: Voke, header: dict[str, Any] | None = None, key: bytes | None = None, **claims: Any) -> str:
    """HS256 with our own key unless another is given: only what is changed is wrong."""
    own: Any = live.JWT_KEYS[0]
    head = {"alg": "HS256", "typ": "JWT", "kid": own.kid} | (header or {})
    text = f"{part(head)}.{part(claims_of(voke) | claims)}"
    mac = hmac.new(own.signing if key is None else key, text.encode(), hashlib.sha256).digest()
    return f"{text}.{part(mac)}"


FORGERIES: dict[str, Any] = {
    "alg none": lambda voke: f"{part({'alg': 'none'})}.{part(claims_of(voke))}.",
    "alg none with our kid": lambda voke: (
        f"{part({'alg': 'none', 'kid': live.JWT_KEYS[0].kid})}.{part(claims_of(voke))}."
    ),
    "alg None in odd case": lambda voke: signed(voke, {"alg": "nOnE"}),
    "another algorithm": lambda voke: signed(voke, {"alg": "HS512"}),
    "another key": lambda voke: signed(voke, key=b"k" * 32),
    "an empty key": lambda voke: signed(voke, key=b""),
    "an unknown kid": lambda voke: signed(voke, {"kid": "j9"}),
    "no kid": lambda voke: signed(voke, {"kid": None}),
    "a kid that is a path": lambda voke: signed(voke, {"kid": "../../../../dev/null"}, key=b""),
    "a kid that is SQL": lambda voke: signed(voke, {"kid": "j1' UNION SELECT 'k"}),
    "a kid that is a list": lambda voke: signed(voke, {"kid": ["j1"]}),
    "a kid with NUL": lambda voke: signed(voke, {"kid": "j1\0"}),
    "a key of its own": lambda voke: signed(voke, {"kid": "x", "jwk": {"kty": "oct", "k": part(b"k" * 32)}}),
    "a key elsewhere": lambda voke: signed(voke, {"kid": "x", "jku": "https://127.0.0.1/keys"}),
    "critical extensions": lambda voke: signed(voke, {"crit": ["b64"], "b64": False}),
    "another issuer": lambda voke: signed(voke, iss="somebody"),
    "another audience": lambda voke: signed(voke, aud="admin"),
    "a list of issuers": lambda voke: signed(voke, iss=["esm"]),
    "nobody's": lambda voke: signed(voke, sub=None),
    "a number as its subject": lambda voke: signed(voke, sub=7),
    "a text as its time": lambda voke: signed(voke, exp="9999999999"),
    "truncated": lambda voke: voke.bearer[:-5],
    "without its signature": lambda voke: voke.bearer.rpartition(".")[0] + ".",
    "two parts": lambda voke: voke.bearer.rpartition(".")[0],
    "changed": lambda voke: voke.bearer.replace(".", ".A", 1),
    "huge": lambda voke: voke.bearer + "A" * 100_000,
    "brackets": lambda voke: f"{part(b'[' * 2000)}.e30.e30",
    "two tokens": lambda voke: f"{voke.bearer}, Bearer {voke.bearer}",
    "no text": lambda voke: "\xff\xfe",
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_forged_token_is_refused_in_the_same_words_and_without_a_query(name: str, voke: Voke) -> None:
    forged = FORGERIES[name](voke)
    with clock.frozen(factories.AT), CaptureQueriesContext(connection) as queries:
        answer = voke.client.get("/trading/plant/list", headers={"Authorization": f"Bearer {forged}"})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (401, "UNAUTHORIZED")
    assert [(detail["path"], detail["code"]) for detail in body["details"]] == [
        ("Authorization", "TOKEN_INVALID")
    ]
    assert not [
        query
        for query in queries.captured_queries
        if "credential" in query["sql"].split("VALUES")[0].split("(")[0]
    ]


def test_a_token_signed_with_our_public_key_as_if_it_were_a_secret_is_refused(
    voke: Voke, settings: Settings
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    encoded = base64.b64encode(pem).decode()
    settings.JWT_KEYS = parse_jwt_keys("JWT_KEYS", f"r1:ES256:{encoded}")
    good = issue_token(
        client_id=voke.credential.client_id, revision=voke.credential.revision, at=factories.AT
    )
    confused = signed(voke, {"kid": "r1"}, key=public)
    with clock.frozen(factories.AT):
        statuses = [
            voke.client.get("/trading/plant/list", headers={"Authorization": f"Bearer {token}"}).status_code
            for token in (good, confused)
        ]
    assert statuses == [200, 401]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (later(hours=1), "TOKEN_EXPIRED"),
        (later(days=400), "TOKEN_EXPIRED"),
        (later(minutes=-2), "TOKEN_EXPIRED"),
    ],
)
def test_an_expired_token_and_one_of_the_future_are_refused(voke: Voke, at: Any, reason: str) -> None:
    with clock.frozen(at):
        answer = voke.list()
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (401, reason)


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization", "accessToken"])
def test_a_token_in_the_query_is_refused_and_written_nowhere(voke: Voke, name: str) -> None:
    token, voke.bearer = voke.bearer, None
    with clock.frozen(factories.AT):
        answer = voke.get(f"/trading/plant/config?plantId={voke.ref}&{name}={token}")
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (401, "TOKEN_MISSING")
    assert token not in repr(list(PullJournal.objects.values()))


def test_a_token_in_place_of_a_plant_is_not_repeated_in_the_journal(voke: Voke) -> None:
    with clock.frozen(factories.AT):
        assert voke.config(voke.bearer).status_code == 404
    assert voke.bearer not in repr(list(PullJournal.objects.values()))
