"""Between the session and the pages: sessions end, and where a second factor is required it comes before anything else.

A session that nobody uses ends. What a page asks of itself (the live stream, what it renews) is no use of it:
`is_by_person`.

A session says by `otp_device_id` that the second factor was shown. It ends with the factor: whoever takes one away
ends the person's sessions, so that nothing has to be looked up here.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django_otp import DEVICE_ID_SESSION_KEY

from esm import clock
from people.selectors.sessions import is_over
from people.sessions import SEEN_AT, SIGNED_IN_AT, moment_of

_NOTE_EVERY = timedelta(seconds=60)
_LIVE = "/console/live/"
_OPEN_WITHOUT = ("/console/account/second-factor/", "/console/account/theme/", "/console/logout/")


class SignedInMiddleware:
    """Ends sessions that are over; leads to the set-up of the second factor where one is required and missing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and _is_for_people(request.path_info):
            ended = _end_when_over(request)
            if not ended and needs_set_up(request) and not request.path_info.startswith(_OPEN_WITHOUT):
                return _to_second_factor(request)
        return self.get_response(request)


def is_verified(request: HttpRequest) -> bool:
    """Whether the person showed a second factor in this session."""
    return DEVICE_ID_SESSION_KEY in request.session


def needs_set_up(request: HttpRequest) -> bool:
    """Whether the person has to set up a second factor before anything else."""
    return settings.TWO_FACTOR == "required" and request.user.is_authenticated and not is_verified(request)


def _is_for_people(path: str) -> bool:
    return path.startswith(("/admin/", "/console/"))


def _end_when_over(request: HttpRequest) -> bool:
    """Signs the person out whose session is over; else notes that they are here, once a minute."""
    if not request.user.is_authenticated:
        return False
    at, session = clock.now(), request.session
    seen_at = moment_of(session.get(SEEN_AT))
    if is_over(signed_in_at=moment_of(session.get(SIGNED_IN_AT)), seen_at=seen_at, at=at):
        logout(request)
        return True
    if seen_at is None or (at - seen_at >= _NOTE_EVERY and is_by_person(request)):
        session[SEEN_AT] = at.isoformat()
    return False


def is_by_person(request: HttpRequest) -> bool:
    """Whether somebody asked for it, and not an open page of itself: pages go on asking when everybody has gone home.

    Browsers tell the pages that are gone to (`Sec-Fetch-Mode`); what scripts ask for is told by `shell.js`, which marks
    what follows upon a key, a click or a turn of the wheel. Forms that a script sends without htmx are a person's.
    """
    if request.headers.get("X-By-Person") == "1":
        return True
    if "HX-Request" in request.headers or request.path_info.startswith(_LIVE):
        return False
    by_script = request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    return not by_script or request.method not in ("GET", "HEAD")


def _to_second_factor(request: HttpRequest) -> HttpResponse:
    address = resolve_url("console:account:second_factor")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
