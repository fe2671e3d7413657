"""POST /trading/token."""

import json
from typing import Any

import jwt
import pytest
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from esm import clock
from tests import factories
from tests.trading_api.conftest import Voke, later, newest_row, voke_for
from trading_api.auth import hash_secret
from trading_api.models import PullJournal
from trading_api.selectors import stored_secret
from trading_api.serializers import TokenSerializer, credentials_of
from trading_api.services.credentials import renew_secret
from trading_api.services.tokens import exchange_secret

pytestmark = pytest.mark.django_db


def failures(voke: Voke, times: int, **headers: str) -> list[int]:
    body = json.dumps({"clientId": voke.credential.client_id, "clientSecret": "wrong"})
    return [
        voke.client.post("/trading/token", body, content_type="application/json", headers=headers).status_code
        for _ in range(times)
    ]


def test_a_right_secret_is_answered_with_a_jwt_and_its_seconds(voke: Voke) -> None:
    answer = voke.token()
    assert answer.status_code == 200
    assert sorted(answer.json()) == ["accessToken", "expiresIn"]
    assert answer.json()["expiresIn"] == 3600
    claims = jwt.decode(answer.json()["accessToken"], options={"verify_signature": False})
    assert claims["sub"] == voke.credential.client_id
    assert answer["Cache-Control"] == "no-store"


def test_the_use_of_a_credential_is_noted(voke: Voke) -> None:
    with clock.frozen(later(hours=1)):
        voke.token()
    voke.credential.refresh_from_db()
    assert voke.credential.last_token_at == later(hours=1)


@pytest.mark.parametrize("changes", [{"clientSecret": "wrong"}, {"clientId": "nobody"}])
def test_wrong_credentials_are_401_with_a_challenge_and_do_not_say_which_part(
    voke: Voke, changes: dict[str, str]
) -> None:
    answer = voke.token(**changes)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="trading"'
    assert answer.json()["code"] == "UNAUTHORIZED"
    assert answer.json()["message"] == "unknown client id or wrong secret"


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"clientId": "acme"}, "clientSecret", "REQUIRED"),
        ({"clientId": 7, "clientSecret": "s"}, "clientId", "INVALID"),
        ({"clientId": "a" * 121, "clientSecret": "s"}, "clientId", "MAX_LENGTH"),
        ({"clientId": "acme", "clientSecret": ""}, "clientSecret", "BLANK"),
        ({"clientId": "acme", "clientSecret": None}, "clientSecret", "NULL"),
        ('{"clientId":"a","clientId":"b","clientSecret":"s"}', "", "DUPLICATE_KEY"),
        ('{"clientId":"a\\u0000","clientSecret":"s"}', "clientId", "INVALID_TEXT"),
        ('{"clientId":', "", "MALFORMED_JSON"),
        ("[]", "", "NOT_AN_OBJECT"),
        ("", "", "MALFORMED_JSON"),
    ],
)
def test_a_body_that_is_not_understood_is_400_with_the_field(
    voke: Voke, body: Any, path: str, code: str
) -> None:
    answer = voke.post("/trading/token", body)
    assert answer.status_code == 400
    assert [(detail["path"], detail["code"]) for detail in answer.json()["details"]] == [(path, code)]


@pytest.mark.parametrize(
    "body",
    [
        {"clientId": 7, "clientSecret": "hunter2"},
        {"clientId": "acme", "clientSecret": "hunter2" * 99},
        {"clientId": "acme", "clientSecret": ["hunter2"]},
        '{"clientSecret":"hunter2"',
    ],
)
def test_no_error_repeats_what_was_sent_as_a_secret(voke: Voke, body: Any) -> None:
    assert b"hunter2" not in voke.post("/trading/token", body).content


def test_form_encoding_is_415(voke: Voke) -> None:
    answer = voke.post("/trading/token", "clientId=a", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_too_many_failures_of_one_address_are_429_with_retry_after(voke: Voke) -> None:
    with clock.frozen(later(seconds=15)):
        assert failures(voke, 12) == [401] * 10 + [429] * 2
        answer = voke.token(clientSecret="wrong")
    assert answer.json()["code"] == "TOO_MANY_REQUESTS"
    assert answer["Retry-After"] == "45"


def test_a_right_secret_is_accepted_however_often_others_failed(voke: Voke) -> None:
    failures(voke, 12)
    assert voke.token().status_code == 200


def test_the_next_minute_starts_from_nothing(voke: Voke) -> None:
    failures(voke, 12)
    with clock.frozen(later(minutes=1)):
        assert failures(voke, 1) == [401]


def test_addresses_behind_a_trusted_proxy_are_counted_apart(voke: Voke, settings: Settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    failures(voke, 12, **{"X-Forwarded-For": "9.9.9.9, 1.1.1.1"})
    assert failures(voke, 1, **{"X-Forwarded-For": "9.9.9.9, 2.2.2.2"}) == [401]
    assert failures(voke, 1, **{"X-Forwarded-For": "3.3.3.3, 1.1.1.1"}) == [429]


def test_a_hash_under_an_old_pepper_is_renewed_on_success(voke: Voke, settings: Settings) -> None:
    settings.SECRET_PEPPERS = {"p2": b"n" * 32, **settings.SECRET_PEPPERS}
    voke.token()
    voke.credential.refresh_from_db()
    assert voke.credential.pepper_version == "p2"
    assert voke.credential.secret_hash == hash_secret(voke.secret, "p2")
    assert voke.token().status_code == 200


def test_a_secret_renewed_at_the_same_moment_is_not_overwritten_by_the_old_one(
    voke: Voke, settings: Settings
) -> None:
    before = stored_secret(voke.credential.client_id)
    renewed = renew_secret(credential=voke.credential)
    settings.SECRET_PEPPERS = {"p2": b"n" * 32, **settings.SECRET_PEPPERS}
    exchange_secret(
        stored=before,
        client_id=voke.credential.client_id,
        client_secret=voke.secret,
        address=None,
        at=factories.AT,
    )
    voke.secret = renewed.secret.reveal()
    assert voke.token().status_code == 200


def test_neither_secret_nor_token_is_journaled(voke: Voke) -> None:
    PullJournal.objects.all().delete()
    token = voke.token().json()["accessToken"]
    voke.token(clientSecret=voke.secret + "x")
    voke.token(clientId=voke.secret)
    voke.bearer = token
    voke.list()
    written = repr(list(PullJournal.objects.values()))
    assert PullJournal.objects.count() == 4
    assert voke.secret not in written
    assert token not in written


def test_a_failed_attempt_is_booked_on_the_organisation_of_its_client_id(voke: Voke) -> None:
    voke.token(clientSecret="wrong")
    row = newest_row()
    assert (row.organisation, row.credential, row.status, row.result) == (
        voke.plant.organisation,
        voke.credential,
        401,
        "UNAUTHORIZED",
    )


def test_each_credential_of_an_organisation_has_its_own_tokens(voke: Voke) -> None:
    other = voke_for(voke.plant).authorise()
    renew_secret(credential=voke.credential)
    assert (voke.list().status_code, other.list().status_code) == (401, 200)


_TEXTS = [
    "a",
    "a" * 120,
    "a" * 121,
    "a" * 512,
    "a" * 513,
    "",
    " ",
    "a b",
    "ž",
    "a\x00",
    "a\n",
    "\ud800",
    "\x7f",
    7,
    True,
    None,
    ["a"],
]


@pytest.mark.parametrize("text", _TEXTS, ids=repr)
@pytest.mark.parametrize("name", ["clientId", "clientSecret"])
def test_the_short_way_takes_and_refuses_what_the_serializer_does(name: str, text: Any) -> None:
    body = {"clientId": "acme", "clientSecret": "s", name: text}
    serializer = TokenSerializer(data=body)
    if serializer.is_valid():
        taken = serializer.validated_data
        assert credentials_of(body) == (taken["clientId"], taken["clientSecret"])
    else:
        with pytest.raises(ValidationError) as refused:
            credentials_of(body)
        assert refused.value.detail == serializer.errors
