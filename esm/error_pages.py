"""What people see where an answer is made without a page: designed pages for browsers, a line for everybody else.

The shell, Django and views answer with a status and a line of text; who asked as browsers ask for pages gets a page in
its place, who asked for JSON the error envelope. A page that was only to be read tries again by itself; what was to be
done is never done again by itself. No page here reads the database: it may be what is away.
"""

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from esm.errors import Problem, envelope, phrase, request_id_of
from esm.health import HEALTH_VIEWS
from trading_api.paths import is_reverse_channel

PAGES: Final = frozenset({400, 405, 408, 413, 429, 503})
HTML: Final = "text/html; charset=utf-8"
_AGAIN_S: Final = (4, 9)
_REQUEST, _WAIT = "request-id-stands-here", "987654321"


def wants_page(*, accept: str, by_script: bool) -> bool:
    """Whether a browser asks for a page to show."""
    return "text/html" in accept and not by_script


def error_page(status: int, *, request_id: str, is_read: bool, is_certain: bool) -> str:
    """`is_read`: it was only to be read. `is_certain`: nothing was done, for nobody has looked at it."""
    language = settings.PAGE_LANGUAGE
    text = _rendered(status, is_read, is_certain, settings.PRODUCT_NAME, language)
    wait_s = str(random.randint(*_AGAIN_S))  # noqa: S311 - so that they do not all come back at once
    return text.replace(_REQUEST, request_id).replace(_WAIT, wait_s)


def warm() -> None:
    """Render what is answered when every thread is taken: the loop shall not do it then."""
    for is_read in (True, False):
        error_page(503, request_id="", is_read=is_read, is_certain=True)


class ErrorPagesMiddleware:
    """Puts a page, or the envelope, in the place of a line of text."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code not in PAGES or not _is_a_line(response) or not _is_for_people(request):
            return response
        accept, status = request.headers.get("Accept", ""), response.status_code
        if wants_page(accept=accept, by_script="HX-Request" in request.headers):
            is_read = request.method in ("GET", "HEAD")
            response.content = error_page(
                status, request_id=request_id_of(request), is_read=is_read, is_certain=status != 503
            ).encode()
            response["Content-Type"] = HTML
        elif "application/json" in accept:
            problem = Problem(status=status, message=_line(response) or phrase(status))
            response.content = msgspec.json.encode(envelope(problem, request_id=request_id_of(request)))
            response["Content-Type"] = "application/json"
        response["Cache-Control"] = "no-store"
        return response


def _is_a_line(response: HttpResponse) -> bool:
    if response.streaming:
        return False
    return not response.content or response.headers.get("Content-Type", "").startswith("text/plain")


def _is_for_people(request: HttpRequest) -> bool:
    return not is_reverse_channel(request.path_info) and request.path_info not in HEALTH_VIEWS


def _line(response: HttpResponse) -> str:
    return response.content.decode(errors="replace").strip()


@lru_cache(maxsize=64)
def _rendered(status: int, is_read: bool, is_certain: bool, product_name: str, language: str) -> str:
    context = {
        "product_name": product_name,
        "request_id": _REQUEST,
        "again_s": _WAIT if status == 503 and is_read else "",
        "is_read": is_read,
        "is_certain": is_certain,
    }
    with translation.override(language):
        return render_to_string(f"{status}.html", context)
