"""The table from exceptions to the error envelope."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from django.urls import path
from pytest_django import Settings
from rest_framework import exceptions as drf

from esm import errors
from esm.errors import Problem, envelope, problem_of
from plants.errors import Conflict, Invalid, NotFound, Several
from trading_api.errors import TokenExpired, TooManyAttempts, UnsupportedMedia
from vcp import DuplicateKey


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("bad", path="a"), 400, "VALIDATION_ERROR"),
        (NotFound("none", code="PLANT_NOT_FOUND"), 404, "PLANT_NOT_FOUND"),
        (Conflict("no"), 409, "CONFLICT"),
        (TokenExpired("late"), 401, "UNAUTHORIZED"),
        (TooManyAttempts("slow down", retry_after_s=7), 429, "TOO_MANY_REQUESTS"),
        (UnsupportedMedia("text"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (DuplicateKey("twice", path="a"), 400, "BAD_REQUEST"),
        (drf.MethodNotAllowed("PUT"), 405, "METHOD_NOT_ALLOWED"),
        (drf.ValidationError({"a": ["bad"]}), 400, "VALIDATION_ERROR"),
        (drf.Throttled(wait=3), 429, "TOO_MANY_REQUESTS"),
        (Http404("x"), 404, "NOT_FOUND"),
        (PermissionDenied("x"), 403, "FORBIDDEN"),
        (RequestDataTooBig("x"), 413, "PAYLOAD_TOO_LARGE"),
        (UnreadablePostError("x"), 400, "BAD_REQUEST"),
        (SuspiciousOperation("x"), 400, "BAD_REQUEST"),
        (OperationalError("x"), 503, "SERVICE_UNAVAILABLE"),
        (InterfaceError("x"), 503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_each_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    body = envelope(problem, request_id="r")
    assert (body["statusCode"], body["code"]) == (status, code)


@pytest.mark.parametrize("error", [KeyError("x"), DataError("x"), RecursionError()])
def test_what_nobody_foresaw_is_nobodys_fault_but_ours(error: Exception) -> None:
    assert problem_of(error) is None


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (TooManyAttempts("x", retry_after_s=7), "Retry-After", "7"),
        (OperationalError("x"), "Retry-After", "2"),
        (drf.Throttled(wait=3), "Retry-After", "3"),
        (TokenExpired("x"), "WWW-Authenticate", 'Bearer realm="trading", error="invalid_token"'),
    ],
)
def test_errors_bring_their_headers(error: Exception, header: str, value: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert problem.headers[header] == value


def test_several_problems_are_all_in_the_details() -> None:
    problem = problem_of(Several([Invalid("one", path="a[0].b"), Invalid("two", path="c")]))
    assert problem is not None
    assert [detail["path"] for detail in problem.details] == ["a[0].b", "c"]


def test_nested_errors_of_a_serializer_become_paths() -> None:
    detail: Any = {"items": {2: {"power": ["bad"]}, 3: ["worse"]}, "non_field_errors": ["all"]}
    problem = problem_of(drf.ValidationError(detail))
    assert problem is not None
    assert [entry["path"] for entry in problem.details] == ["items[2].power", "items[3]", ""]


def test_an_envelope_has_no_details_when_there_are_none() -> None:
    assert envelope(Problem(status=404, message="m"), request_id="r") == {
        "statusCode": 404,
        "message": "m",
        "error": "Not Found",
        "code": "NOT_FOUND",
        "requestId": "r",
    }


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        (lambda request: errors.bad_request(request, KeyError("inner")), 400),
        (lambda request: errors.permission_denied(request, PermissionDenied("inner")), 403),
        (lambda request: errors.page_not_found(request, Http404("inner")), 404),
        (errors.server_error, 500),
    ],
)
def test_djangos_own_errors_are_envelopes_below_trading_and_pages_elsewhere(
    handler: Any, status: int
) -> None:
    envelope_answer = handler(RequestFactory().get("/trading/x"))
    page = handler(RequestFactory().get("/console/x"))
    assert (envelope_answer.status_code, envelope_answer["Content-Type"]) == (status, "application/json")
    assert (page.status_code, page["Content-Type"].split(";")[0]) == (status, "text/html")
    assert b"inner" not in envelope_answer.content


def broken(_: Any) -> HttpResponse:
    raise KeyError("inner secret")


urlpatterns = [path("trading/broken", broken)]
handler500 = "esm.errors.server_error"


@pytest.mark.django_db
def test_a_view_of_django_that_breaks_below_trading_answers_500_in_the_envelope(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    answer = Client(raise_request_exception=False).get("/trading/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert answer.json()["requestId"] == answer["X-Request-Id"]
    assert b"inner secret" not in answer.content
