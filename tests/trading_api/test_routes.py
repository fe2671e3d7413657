"""Paths, methods and the error envelope of the reverse channel."""

import json
from typing import Any

import pytest
from pytest_django import Settings

from tests.trading_api.conftest import Voke, wire
from trading_api.paths import Endpoint, endpoint_of, is_reverse_channel

pytestmark = pytest.mark.django_db
PREFIXES = ["", "/api/v1/voke-esm", "/a/b/c", "/trading", "/partners/žluťoučký"]


def status(voke: Voke, method: str, path: str) -> int:
    return voke.client.generic(method, path, headers=voke.headers()).status_code


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_endpoints_answer_under_any_prefix_in_both_slash_forms(
    voke: Voke, prefix: str, slash: str
) -> None:
    voke.base = prefix
    token = voke.post(
        f"/trading/token{slash}", {"clientId": voke.credential.client_id, "clientSecret": voke.secret}
    )
    answers = [
        token,
        voke.get(f"/trading/plant/list{slash}"),
        voke.get(f"/trading/plant/config{slash}?plantId={voke.ref}"),
        voke.post(f"/trading/plant/config/update{slash}", {"plantId": voke.ref, "timeConfigs": [wire()]}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/trading",
        "/trading/",
        "/x/trading/",
        "/trading/tokens",
        "/trading/token//",
        "/trading/plant",
        "/trading//token",
        "/trading/plant/config/update/now",
        "/trading/Token",
        "/trading/token%0A",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_anything_else_below_trading_is_404_in_the_envelope(voke: Voke, method: str, path: str) -> None:
    answer = voke.client.generic(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/trading/token", {"POST", "OPTIONS"}),
        ("/trading/plant/list", {"GET", "HEAD", "OPTIONS"}),
        ("/trading/plant/config", {"GET", "HEAD", "OPTIONS"}),
        ("/trading/plant/config/update", {"POST", "OPTIONS"}),
    ],
)
def test_other_methods_are_405_with_allow_whoever_asks(voke: Voke, path: str, allowed: set[str]) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
        answer = voke.client.generic(method, path)
        assert (answer.status_code, set(answer["Allow"].split(", "))) == (405, allowed)
        assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", ["/trading/token", "/trading/plant/list", "/trading/plant/config/update/"])
def test_options_tells_the_methods_without_a_token(voke: Voke, path: str) -> None:
    answer = voke.client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "OPTIONS" in answer["Allow"]


def test_head_answers_as_get_without_a_body(voke: Voke) -> None:
    get = voke.list()
    head = voke.client.head("/trading/plant/list", headers=voke.headers())
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", get["ETag"])


@pytest.mark.parametrize("path", ["/trading/plant/list", "/trading/plant/config?plantId=X"])
@pytest.mark.parametrize(
    ("header", "reason", "challenge"),
    [
        (None, "TOKEN_MISSING", 'Bearer realm="trading"'),
        ("Basic YTpi", "TOKEN_MISSING", 'Bearer realm="trading"'),
        ("Bearer nonsense", "TOKEN_INVALID", 'Bearer realm="trading", error="invalid_token"'),
    ],
)
def test_no_or_a_bad_token_is_401_with_a_challenge(
    voke: Voke, path: str, header: str | None, reason: str, challenge: str
) -> None:
    answer = voke.client.get(path, headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, challenge)
    assert answer.json()["details"][0]["code"] == reason


def test_an_update_without_a_token_is_401_before_its_body_is_looked_at(voke: Voke) -> None:
    voke.bearer = None
    assert voke.post("/trading/plant/config/update", "{", content_type="text/plain").status_code == 401


def errors(voke: Voke) -> list[Any]:
    return [
        voke.get("/trading/plant/config"),
        voke.client.get("/trading/plant/list"),
        voke.config("NOPE"),
        voke.client.put("/trading/plant/list"),
        voke.post("/trading/token", "x", content_type="text/plain"),
        voke.update(wire(pBatMin="x")),
    ]


def test_every_error_has_vokes_envelope_and_the_request_id_of_its_header(voke: Voke) -> None:
    for answer in errors(voke):
        body = answer.json()
        assert set(body) - {"details"} == {"statusCode", "message", "error", "code", "requestId"}
        assert body["statusCode"] == answer.status_code
        assert body["error"] == answer.reason_phrase
        assert body["requestId"] == answer["X-Request-Id"]
        assert answer["Content-Type"] == "application/json"
        assert answer["Cache-Control"] == "no-store"
        assert all(set(detail) == {"path", "code", "message"} for detail in body.get("details", []))


@pytest.mark.parametrize("given", ["short", "x" * 65, "a b c d e f", "ž" * 10, "<script>alert(1)</script>"])
def test_a_request_id_that_could_harm_a_log_is_replaced(voke: Voke, given: str) -> None:
    answer = voke.get("/trading/plant/list", headers={"X-Request-Id": given})
    assert answer["X-Request-Id"] != given
    assert len(answer["X-Request-Id"]) == 32


def test_nothing_is_redirected_to_https_or_to_a_slash(voke: Voke, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert [status(voke, "GET", path) for path in ("/trading/plant/list", "/x/trading/plant/list/")] == [
        200,
        200,
    ]


def test_pages_for_people_stay_pages_for_people(voke: Voke) -> None:
    answer = voke.client.get("/nothing-here")
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (404, "text/html")


@pytest.mark.parametrize(
    ("path", "belongs", "endpoint"),
    [
        ("/trading/token", True, Endpoint.TOKEN),
        ("/x/trading/plant/list/", True, Endpoint.LIST),
        ("/trading/plant/config", True, Endpoint.CONFIG),
        ("/trading/plant/config/update", True, Endpoint.UPDATE),
        ("/trading/x", True, Endpoint.OTHER),
        ("/xtrading/token", False, Endpoint.OTHER),
        ("/admin/trading_api/credential/", False, Endpoint.OTHER),
        ("/admin/trading/token", False, Endpoint.TOKEN),
        ("/", False, Endpoint.OTHER),
    ],
)
def test_paths_are_told_apart(path: str, belongs: bool, endpoint: Endpoint) -> None:
    assert is_reverse_channel(path) is belongs
    assert endpoint_of(path) in {endpoint, Endpoint.OTHER if not belongs else endpoint}


def test_a_body_is_read_once_and_strictly(voke: Voke) -> None:
    body = json.dumps({"plantId": voke.ref, "timeConfigs": []}) + "x"
    assert voke.post("/trading/plant/config/update", body).status_code == 400
