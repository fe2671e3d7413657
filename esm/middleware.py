"""Middleware of the whole project: the request's id, answers to what the shell refused, and whom the admin knows."""

import re
import uuid
from collections.abc import Callable

import structlog
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from esm.errors import Problem, phrase, problem_response, request_id_of
from esm.shell import REFUSAL, Refusal
from trading_api.paths import is_admin, is_reverse_channel

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def choose_request_id(given: str) -> str:
    """A caller's sane `X-Request-Id` (so that both ends can be searched for it), else a new one."""
    return given if _ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex


class RequestIdMiddleware:
    """Gives every request an id: `X-Request-Id` on the answer, in the logs, in error bodies and in the pull journal."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = choose_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class ShellRefusalMiddleware:
    """Answers a request whose body the shell did not take: no view may see it, for its body is not there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal: Refusal | None = request.META.get("asgi.scope", {}).get(REFUSAL)
        if refusal is None:
            return self.get_response(request)
        if is_reverse_channel(request.path_info):
            problem = Problem(status=refusal.status, message=refusal.message)
            return problem_response(problem, request_id=request_id_of(request))
        return HttpResponse(
            f"{phrase(refusal.status)}\n", status=refusal.status, content_type="text/plain; charset=utf-8"
        )


class AdminIsForStaffMiddleware:
    """A person of an organisation is nobody in the admin, whatever flags somebody set past its forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_admin(request.path_info) and getattr(request.user, "organisation_id", None) is not None:
            request.user = AnonymousUser()
        return self.get_response(request)
