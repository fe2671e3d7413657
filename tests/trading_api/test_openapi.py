"""The OpenAPI document: pinned, complete, served to anybody under any prefix."""

import json
from pathlib import Path
from typing import Any

import pytest

from esm.errors import CODES
from tests.trading_api.conftest import Voke, newest_row
from trading_api.openapi.document import document, openapi_document
from trading_api.urls import urlpatterns

PINNED = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLE_MEDIA = "application/json"


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in openapi_document()["paths"].items()
        for method, operation in item.items()
    }


def test_the_pinned_document_is_what_the_code_makes() -> None:
    """After a change that is meant: `make openapi`, and look at the difference."""
    assert PINNED.read_bytes() == document().body


def test_every_endpoint_that_voke_calls_is_described() -> None:
    hidden = {"trading-openapi", "trading-unknown"}
    assert len(operations()) == len({pattern.name for pattern in urlpatterns} - hidden)
    assert set(operations()) == {
        "POST /trading/token",
        "GET /trading/plant/list",
        "GET /trading/plant/config",
        "POST /trading/plant/config/update",
    }


def test_every_operation_has_the_statuses_that_any_request_may_meet_with_codes_that_exist() -> None:
    for name, operation in operations().items():
        answers = operation["responses"]
        assert {"200", "400", "401", "405", "408", "413", "500", "503"} <= set(answers), name
        for status, answer in answers.items():
            if int(status) < 400:
                continue
            narrowed = answer["content"][EXAMPLE_MEDIA]["schema"]["allOf"][1]["properties"]
            assert narrowed["statusCode"] == {"const": int(status)}
            assert CODES[int(status)] in [*narrowed["code"]["enum"], "NOT_FOUND"]


def test_only_the_token_endpoint_is_open() -> None:
    assert {name: operation.get("security", []) for name, operation in operations().items()} == {
        "POST /trading/token": [],
        "GET /trading/plant/list": [{"token": []}],
        "GET /trading/plant/config": [{"token": []}],
        "POST /trading/plant/config/update": [{"token": []}],
    }


@pytest.mark.django_db
@pytest.mark.parametrize("prefix", ["", "/api/v1/voke-esm"])
def test_the_document_is_served_without_a_token_and_journaled(voke: Voke, prefix: str) -> None:
    voke.bearer, voke.base = None, prefix
    answer = voke.get("/trading/openapi.json")
    assert json.loads(answer.content)["info"]["title"] == "ESM reverse channel"
    assert (answer["Content-Type"], newest_row().result) == (EXAMPLE_MEDIA, "openapi")


@pytest.mark.django_db
def test_who_has_the_document_is_told_that_nothing_changed(voke: Voke) -> None:
    tag = voke.get("/trading/openapi.json")["ETag"]
    answer = voke.get("/trading/openapi.json", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag)


@pytest.mark.django_db
def test_the_document_is_read_and_not_written(voke: Voke) -> None:
    assert voke.post("/trading/openapi.json", {}).status_code == 405
