"""What the pages about people share: who asks, and answers that work with and without JavaScript."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from console.access import ConsoleRequest, Viewer, organisation_of, to_sign_in
from people.errors import TooManyAttempts
from people.middleware import needs_set_up
from people.services.acts import Doer
from plants.errors import DomainError
from plants.models import User
from plants.texts import storable_text
from plants.words import local_text
from trading_api.limits import request_address

_P = ParamSpec("_P")
DOOR = "console/account/door.html"
FRAME = "console/base.html"


class PersonRequest(HttpRequest):
    """A request of a signed-in person, who may have no organisation."""

    person: User
    doer: Doer
    layout: str


_View = Callable[Concatenate[PersonRequest, _P], HttpResponseBase]


def signed_in(view: _View[_P]) -> Callable[Concatenate[Any, _P], HttpResponseBase]:
    """A view about the person alone: also for staff without an organisation, and before the second factor."""

    @wraps(view)
    @never_cache
    def guarded(request: PersonRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return to_sign_in(request)
        organisation = organisation_of(request, user)
        address = address_of(request)
        request.person = user
        request.doer = Doer(
            user=user, organisation_id=None if organisation is None else organisation.pk, address=address
        )
        request.layout = DOOR
        if organisation is not None and not needs_set_up(request):
            request.layout = FRAME
            request.viewer = Viewer(user=user, organisation=organisation, address=address)  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    return guarded


def doer_of(request: ConsoleRequest) -> Doer:
    """Who acts, as services about people take it."""
    viewer = request.viewer
    return Doer(user=viewer.user, organisation_id=viewer.organisation.pk, address=viewer.address)


def address_of(request: HttpRequest) -> str:
    """The network address that the request came from, "" when it has none."""
    return request_address(request.META) or ""


def zone_shown(request: HttpRequest) -> str:
    """The wall clock that times are shown by: the organisation's, UTC for who has none."""
    viewer: Viewer | None = getattr(request, "viewer", None)
    return "UTC" if viewer is None else viewer.zone


def typed(given: Mapping[str, Any], name: str, *, most: int) -> str:
    """What was typed or asked for, as databases take it, at most so many characters."""
    return storable_text(given.get(name, ""))[:most]


def own_path(request: HttpRequest, path: str) -> str:
    """The path to go on to when it is one of ours, else ""."""
    ours = path.startswith("/") and url_has_allowed_host_and_scheme(
        path, allowed_hosts=None, require_https=request.is_secure()
    )
    return path if ours else ""


def is_partial(request: HttpRequest) -> bool:
    """Whether a script asks for a part of the page only."""
    return bool(request.headers.get("HX-Request"))


def refused(error: DomainError) -> dict[str, Any]:
    """An error as templates show it: at its field, with its code, and for how long nothing is looked at."""
    wait_s = error.wait_s if isinstance(error, TooManyAttempts) else None
    return {
        "error": {"text": local_text(error.words), "path": error.path, "code": error.code},
        "wait_s": wait_s,
    }


def with_wait(response: HttpResponse, error: DomainError) -> HttpResponse:
    """Too many attempts are a 429 that says when to come back; everything else is answered as it is."""
    if isinstance(error, TooManyAttempts):
        response.status_code = 429
        response["Retry-After"] = str(error.wait_s)
    return response


def part(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """A part of a page, never kept by anybody."""
    response = render(request, template, dict(context), status=status)
    response["Cache-Control"] = "no-store"
    return response
