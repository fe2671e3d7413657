"""What browsers may do with our answers: one table, set on every answer, whoever made it.

Programs' answers, files and health allow nothing at all. Pages for people load scripts, styles, fonts and images from
here only, send forms only to here, and are framed by nobody. Two concessions are the admin theme's, under the admin's
address only: its Alpine evaluates expressions in attributes (`unsafe-eval`), and it writes its colours into a style
element (`unsafe-inline` for styles; never for scripts).
"""

from collections.abc import Callable, Mapping
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from trading_api.paths import is_admin

_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_ALWAYS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Django compares the Referer of a form with our own address; other sites learn nothing.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
FOR_PROGRAMS: Final[Mapping[str, str]] = {**_ALWAYS, "Content-Security-Policy": _NOTHING}
FOR_PEOPLE: Final[Mapping[str, str]] = {**_ALWAYS, "Content-Security-Policy": _PAGE}
IN_THE_ADMIN: Final[Mapping[str, str]] = {
    **_ALWAYS,
    "Content-Security-Policy": _PAGE.replace(
        "script-src 'self'; style-src 'self'",
        "script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'",
    ),
}


class SecurityHeadersMiddleware:
    """The outermost middleware: also answers that a later one made early have the headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        for name, value in _headers_of(request, is_page=is_page).items():
            response.headers.setdefault(name, value)
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            # SecurityMiddleware sets the same; it does not see what is answered before it.
            response.headers.setdefault("Strict-Transport-Security", _hsts())
        return response


def _headers_of(request: HttpRequest, *, is_page: bool) -> Mapping[str, str]:
    if not is_page:
        return FOR_PROGRAMS
    return IN_THE_ADMIN if is_admin(request.path_info) else FOR_PEOPLE


def _hsts() -> str:
    words = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        words.append("includeSubDomains")
    if settings.SECURE_HSTS_PRELOAD:
        words.append("preload")
    return "; ".join(words)
