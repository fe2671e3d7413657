"""Bodies, headers and addresses that no honest client sends: each has its stable refusal, and none is our fault."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client

from esm import clock
from tests import factories
from tests.trading_api.conftest import Voke, voke_for, wire

pytestmark = pytest.mark.django_db
TOKEN, UPDATE = "/trading/token", "/trading/plant/config/update"
GOOD = {"plantId": "P-1", "timeConfigs": []}


@pytest.fixture
def voke(db: None) -> Any:
    with clock.frozen(factories.AT):
        yield voke_for(factories.plant(external_plant_id="P-1")).authorise()


BODIES: dict[str, tuple[bytes, str]] = {
    "deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "TOO_DEEP"),
    "deep and open": (b'{"a":[' * 100_000, "TOO_DEEP"),
    "brackets alone": (b"[" * 500_000, "TOO_DEEP"),
    "a huge number": (b'{"plantId":"P-1","timeConfigs":[],"n":' + b"9" * 400_000 + b"}", "INVALID_NUMBER"),
    "a huge exponent": (b'{"plantId":"P-1","timeConfigs":[],"n":1e999999}', "INVALID_NUMBER"),
    "not a number": (b'{"plantId":"P-1","timeConfigs":[],"n":NaN}', "INVALID_NUMBER"),
    "a key twice": (b'{"plantId":"P-1","plantId":"P-2","timeConfigs":[]}', "DUPLICATE_KEY"),
    "a key twice inside": (
        b'{"plantId":"P-1","timeConfigs":[{"from":"00:00","from":"01:00"}]}',
        "DUPLICATE_KEY",
    ),
    "NUL": (b'{"plantId":"P-1\\u0000","timeConfigs":[]}', "INVALID_TEXT"),
    "NUL in a member nobody knows": (b'{"plantId":"P-1","timeConfigs":[],"x":{"\\u0000":1}}', "INVALID_TEXT"),
    "half a surrogate": (b'{"plantId":"\\ud800","timeConfigs":[]}', "INVALID_TEXT"),
    "half a surrogate as a key": (b'{"plantId":"P-1","timeConfigs":[],"\\udfff":1}', "INVALID_TEXT"),
    "no UTF-8": (b'{"plantId":"\xff\xfe","timeConfigs":[]}', "INVALID_TEXT"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "MALFORMED_JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "MALFORMED_JSON"),
    "compressed and not said": (gzip.compress(json.dumps(GOOD).encode()), "MALFORMED_JSON"),
    "two documents": (b"{}{}", "MALFORMED_JSON"),
    "a comment": (b'{"plantId":"P-1",/* */"timeConfigs":[]}', "MALFORMED_JSON"),
    "single quotes": (b"{'plantId':'P-1','timeConfigs':[]}", "MALFORMED_JSON"),
    "a text": (b'"P-1"', "NOT_AN_OBJECT"),
    "XML": (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "MALFORMED_JSON"),
}


@pytest.mark.parametrize("path", [TOKEN, UPDATE])
@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_hostile_body_is_400_with_its_reason(voke: Voke, name: str, path: str) -> None:
    body, reason = BODIES[name]
    answer = voke.post(path, body)
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (400, reason)
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/json",
        "application/vnd.api+json",
        "*/*",
        "application/json, text/plain",
        "é",
    ],
)
def test_a_body_that_is_called_something_else_is_415(voke: Voke, kind: str) -> None:
    for path in (TOKEN, UPDATE):
        answer = voke.post(path, json.dumps(GOOD), content_type=kind)
        assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_a_compressed_body_is_415_whether_it_is_one_or_not(voke: Voke, coding: str) -> None:
    for body in (gzip.compress(json.dumps(GOOD).encode()), json.dumps(GOOD)):
        headers = voke.headers() | {"Content-Encoding": coding}
        answer = voke.client.post(UPDATE, body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["details"][0]["path"]) == (415, "Content-Encoding")


@pytest.mark.parametrize(
    "value",
    [
        1e308,
        -1e308,
        10**300,
        10_000_001,
        "10",
        True,
        None,
        [],
        {},
        "' OR 1=1 --",
        "<script>alert(1)</script>",
    ],
)
@pytest.mark.parametrize("field", ["pBatMin", "socMax"])
def test_a_number_that_is_none_or_beyond_every_battery_is_400_with_its_path(
    voke: Voke, field: str, value: Any
) -> None:
    answer = voke.update(wire(**{field: value}))
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, f"timeConfigs[0].{field}")


NAMES = [
    "' OR '1'='1",
    "'; DROP TABLE plants_plant; --",
    "%' UNION SELECT client_id, secret_hash FROM trading_api_credential --",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "P-1\x00",
    "P-1%00",
    "p-1",
    "P-1 ",
    "\u202eP-1",
    "x" * 128,
    "\N{FULLWIDTH LATIN CAPITAL LETTER P}-1",
    "\r\nSet-Cookie: a=b",
    "`id`",
    "$(id)",
    "*",
    "%",
    "_-1",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_plant_id_is_no_plant(voke: Voke, name: str) -> None:
    asked = voke.get("/trading/plant/config", data={"plantId": name})
    assert (asked.status_code, asked.json()["code"]) == (404, "PLANT_NOT_FOUND")
    assert "Set-Cookie" not in asked
    update = voke.update(wire(), plantId=name)
    assert update.status_code in {400, 404}


@pytest.mark.parametrize(
    "query",
    [
        "page=1&" + "&".join(f"a{number}=1" for number in range(2000)),
        "page=" + "9" * 5000,
        "page=-1",
        "page=1e3",
        "page=%D9%A1",  # a digit of another script
        "page=1&limit=1001",
        "page=0",
        "limit=",
        "page[]=1&page=x",
        "page=%00",
        "page=1;limit=2",
        "page=1%0d%0aSet-Cookie:%20a=b",
    ],
)
def test_an_absurd_query_is_400(voke: Voke, query: str) -> None:
    answer = voke.list(f"?{query}")
    assert (answer.status_code, answer.json()["code"]) in {(400, "VALIDATION_ERROR"), (400, "BAD_REQUEST")}


@pytest.mark.parametrize(
    "host", ["evil.example.com", "localhost.evil.example.com", "a b", "localhost:x", "[::1", ""]
)
def test_a_host_that_is_not_ours_is_400_and_not_repeated(voke: Voke, host: str) -> None:
    for path in ("/trading/plant/list", "/admin/login/"):
        answer = voke.client.get(path, headers=voke.headers(), HTTP_HOST=host)
        assert answer.status_code == 400
        assert b"evil" not in answer.content


@pytest.mark.parametrize(
    "path",
    [
        "/trading/../admin/",
        "/static/../esm/settings.py",
        "/static/%2e%2e/esm/settings.py",
        "/static/..%2f..%2fetc/passwd",
        "/trading/plant/list/../../../admin/",
        "/admin/../trading/plant/list",
        "/trading/plant/list;x=1",
        "/trading/plant/list%2f..",
        "/.git/config",
        "/.env",
        "/static//etc/passwd",
    ],
)
def test_a_path_that_climbs_reaches_nothing(path: str) -> None:
    answer = Client(raise_request_exception=False).generic("GET", path)
    assert answer.status_code in {302, 401, 404}
    assert answer.status_code != 302 or answer["Location"].startswith("/admin/login/")
    assert b"SECRET_KEY" not in answer.content


def test_no_refusal_carries_a_trace_or_a_version(voke: Voke) -> None:
    answers = [voke.post(UPDATE, body) for body, _ in BODIES.values()] + [
        voke.config(name) for name in NAMES[:5]
    ]
    for answer in answers:
        told = answer.content.decode() + str(dict(answer.items()))
        assert not [
            word
            for word in ("Traceback", 'File "', "django", "python", "uvicorn", "psycopg")
            if word in told.lower()
        ]
