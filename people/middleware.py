"""Between the session and the pages: sessions end, and where a second factor is required it comes before anything else.

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
    if seen_at is None or at - seen_at >= _NOTE_EVERY:
        session[SEEN_AT] = at.isoformat()
    return False


def _to_second_factor(request: HttpRequest) -> HttpResponse:
    address = resolve_url("console:account:second_factor")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
