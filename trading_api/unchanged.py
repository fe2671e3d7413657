"""Answers 304 to who has the list already, before anything that only an answer with a body needs.

Who polls is answered so nearly always. The middleware stands behind those that every request of the reverse channel has
(headers, request id, metrics, journal row) and before sessions, forms, people, the URL map and the views.

It says 304 or nothing: whatever else becomes of a request is the view's to say, and what was found out about its token
goes along, so that nothing is asked twice. A HEAD, and a page of a list, are the view's from the beginning.
"""

from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, HttpResponse

from trading_api.access import list_access_of
from trading_api.answers import is_known, list_tag, not_modified
from trading_api.errors import Unauthorized
from trading_api.journal import Pull
from trading_api.paging import whole_list
from trading_api.paths import Endpoint


class UnchangedListMiddleware:
    """One read query, one journal row, no body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _unchanged(request) or self.get_response(request)


def _unchanged(request: HttpRequest) -> HttpResponse | None:
    """304, or None where the view has to answer; raises DisallowedHost, as Django's own middleware would later."""
    pull: Pull | None = getattr(request, "pull", None)
    if (
        pull is None
        or pull.endpoint is not Endpoint.LIST
        or request.method != "GET"
        or not request.META.get("HTTP_IF_NONE_MATCH")
        or request.META.get("QUERY_STRING")
    ):
        return None
    request.get_host()
    try:
        tag = list_tag(list_access_of(request), whole_list())
    except (Unauthorized, Error):  # the view finds the same, and tells it
        return None
    return not_modified(tag) if is_known(request, tag) else None
