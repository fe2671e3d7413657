"""The one table from errors to HTTP: Voke's error envelope for programs, pages in the console's look for people.

Envelope: `{statusCode, message, error, code, details?, requestId}`. Clients branch on `code` only. `details` is an
array of `{path, code, message}`. `requestId` stands beside Voke's own members and equals the header X-Request-Id. No
answer ever carries a stack trace or the text of an unexpected exception.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseServerError
from django.http.request import UnreadablePostError
from django.template.loader import render_to_string
from django.views import defaults
from rest_framework import exceptions as drf

from plants.errors import Conflict, DomainError, NotFound, Several
from trading_api.errors import TooManyAttempts, Unauthorized, UnsupportedMedia
from trading_api.paths import is_reverse_channel
from vcp import ProtocolError

log = structlog.get_logger(__name__)
RETRY_AFTER_S = 2  # for a 503: overload and a restarting database are over in seconds
CLIENT_CLOSED_REQUEST = 499

# Voke's codes by status (fact sheet, section 7); the rest are of the same kind.
CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    CLIENT_CLOSED_REQUEST: "CLIENT_CLOSED_REQUEST",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What an error becomes on the wire."""

    status: int
    message: str
    code: str = ""
    details: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def phrase(status: int) -> str:
    """The `error` member: the status in words."""
    return "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else HTTPStatus(status).phrase


def envelope(problem: Problem, *, request_id: str) -> dict[str, Any]:
    """Voke's error envelope."""
    body: dict[str, Any] = {
        "statusCode": problem.status,
        "message": problem.message,
        "error": phrase(problem.status),
        "code": problem.code or CODES.get(problem.status, "ERROR"),
    }
    if problem.details:
        body["details"] = list(problem.details)
    body["requestId"] = request_id
    return body


def problem_response(problem: Problem, *, request_id: str) -> HttpResponse:
    """The envelope as an answer that nobody may keep."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return HttpResponse(
        msgspec.json.encode(envelope(problem, request_id=request_id)),
        status=problem.status,
        content_type="application/json",
        headers=headers,
    )


def request_id_of(request: HttpRequest) -> str:
    """The id that `RequestIdMiddleware` gave the request; "" where it did not run."""
    return getattr(request, "request_id", "")


def api_exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler: every exception of an API view becomes an envelope, an unexpected one a 500."""
    problem = problem_of(exc)
    if problem is None:
        log.error("unexpected exception in a view", action="unhandled_error", exc_info=exc)
        problem = Problem(status=500, message="Something went wrong on our side.")
    elif problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.error("database unavailable", action="database_unavailable", error=type(exc).__name__)
    return problem_response(problem, request_id=request_id_of(context["request"]))


def problem_of(exc: Exception) -> Problem | None:
    """What an exception means to the caller; None = nothing we foresaw."""
    match exc:
        case DomainError():
            return _domain_problem(exc)
        case ProtocolError():
            detail = {"path": exc.path, "code": exc.code, "message": exc.detail}
            return Problem(status=400, message=exc.detail, details=[detail])
        case drf.ValidationError():
            details = list(_flatten(exc.detail, ""))
            message = (
                f"{details[0]['path']}: {details[0]['message']}" if details else "The request is not valid."
            )
            return Problem(status=400, code="VALIDATION_ERROR", message=message, details=details)
        case drf.APIException():
            return Problem(status=exc.status_code, message=str(exc.detail), headers=_drf_headers(exc))
        case Http404():
            return Problem(status=404, message="There is nothing here.")
        case PermissionDenied():
            return Problem(status=403, message="This is not allowed.")
        case RequestDataTooBig():
            return Problem(status=413, message="The request body is too large.")
        case UnreadablePostError() | SuspiciousOperation():
            return Problem(status=400, message="The request can't be read.")
        case OperationalError() | InterfaceError():
            return unavailable("The database does not answer.")
    return None


def unavailable(message: str) -> Problem:
    """503: try again soon."""
    return Problem(status=503, message=message, headers={"Retry-After": str(RETRY_AFTER_S)})


def too_many_attempts(wait_s: int) -> Problem:
    """429, as the token endpoint answers it."""
    return _domain_problem(TooManyAttempts("too many failed attempts", retry_after_s=wait_s))


def _domain_problem(exc: DomainError) -> Problem:
    parts = exc.problems if isinstance(exc, Several) else [exc]
    details = [
        {"path": part.path, "code": getattr(part, "reason", part.code), "message": part.message}
        for part in parts
        if part.path
    ]
    headers: dict[str, str] = {}
    match exc:
        case Unauthorized():
            status = 401
            headers["WWW-Authenticate"] = exc.challenge
        case TooManyAttempts():
            status = 429
            headers["Retry-After"] = str(exc.retry_after_s)
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case UnsupportedMedia():
            status = 415
        case _:
            status = 400
    return Problem(status=status, code=exc.code, message=exc.message, details=details, headers=headers)


def _drf_headers(exc: drf.APIException) -> dict[str, str]:
    wait = getattr(exc, "wait", None)
    challenge = getattr(exc, "auth_header", None)
    headers = {"Retry-After": str(int(wait))} if wait else {}
    return headers | ({"WWW-Authenticate": challenge} if challenge else {})


def _flatten(detail: Any, path: str) -> Any:
    """DRF's nested errors as `{path, code, message}` with paths such as `timeConfigs[2].pBatMin`."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            if key == "non_field_errors":
                yield from _flatten(inner, path)
            elif isinstance(key, int):
                yield from _flatten(inner, f"{path}[{key}]")
            else:
                yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flatten(inner, path)
    else:
        yield {"path": path, "code": str(getattr(detail, "code", "invalid")).upper(), "message": str(detail)}


# --- Django's own error pages (esm/urls.py names them) -----------------------------------------------------------
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, for instance a Host header that is not ours."""
    if is_reverse_channel(request.path_info):
        problem = problem_of(exception) or Problem(status=400, message="The request can't be read.")
        return problem_response(problem, request_id=request_id_of(request))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if is_reverse_channel(request.path_info):
        return problem_response(
            Problem(status=403, message="This is not allowed."), request_id=request_id_of(request)
        )
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if is_reverse_channel(request.path_info):
        return problem_response(
            Problem(status=404, message="There is nothing here."), request_id=request_id_of(request)
        )
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; Django has logged the exception. 503 where the database did not answer: that is over soon."""
    away = isinstance(sys.exception(), (OperationalError, InterfaceError))
    if away and not is_reverse_channel(request.path_info):
        problem = unavailable("The database does not answer.")
        return HttpResponse(
            f"{phrase(problem.status)}\n",
            status=problem.status,
            content_type="text/plain; charset=utf-8",
            headers=dict(problem.headers),
        )
    if is_reverse_channel(request.path_info):
        problem = Problem(status=500, message="Something went wrong on our side.")
        return problem_response(problem, request_id=request_id_of(request))
    # Without the request: what runs for every page, the database among it, may be what is broken.
    context = {"product_name": settings.PRODUCT_NAME, "request_id": request_id_of(request)}
    return HttpResponseServerError(render_to_string("500.html", context))
