"""The list of plants: its one answer, and a short way to it for who asks plainly.

Who polls asks for the whole list, without a query. That is answered behind the middlewares which every request of the
reverse channel has (headers, request id, metrics, journal row) and before sessions, forms, people, the URL map and the
views; whoever has the list already gets a 304.

The view makes the same answer by the same function, to HEAD and to pages. Whatever goes wrong is the view's to say:
what was found out goes along, so that nothing is asked twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict

from trading_api import mapping, selectors
from trading_api.access import list_access_of, list_of
from trading_api.answers import is_known, json_answer, list_tag, not_modified, with_validators
from trading_api.journal import Pull
from trading_api.paging import Page, page_of, whole_list
from trading_api.paths import Endpoint
from trading_api.selectors import Access


class PlainListMiddleware:
    """One read query, one journal row."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _plain_list(request) or self.get_response(request)


def _plain_list(request: HttpRequest) -> HttpResponse | None:
    """The answer, or None where the view has to make it; raises DisallowedHost, as Django's own middleware would."""
    pull: Pull | None = getattr(request, "pull", None)
    if (
        pull is None
        or pull.endpoint is not Endpoint.LIST
        or request.method != "GET"
        or request.META.get("QUERY_STRING")
    ):
        return None
    request.get_host()
    try:
        return list_answer(request)
    except Exception as error:  # noqa: BLE001 - raised again where the view asks for the access, and told there
        request.list_failed = error  # type: ignore[attr-defined]
        return None


def list_answer(request: HttpRequest, query: QueryDict | None = None) -> HttpResponse:
    """The plants of whom the request's token stands for, or a page of them, or 304; raises Unauthorized, Invalid.

    Access and plants are one statement, unless the caller may have the list: then no plant is read to find out that it
    has. A query is looked at once it is known who asks.
    """
    if query or request.META.get("HTTP_IF_NONE_MATCH") or hasattr(request, "list_failed"):
        access = list_access_of(request)
        page = page_of(query) if query else whole_list()
        tag = list_tag(access, page)
        if is_known(request, tag):
            return _allowing(not_modified(tag))
        rows = selectors.list_plants(access.organisation_id, offset=page.offset, limit=page.limit)
    else:
        page = whole_list()
        access, rows = list_of(request, page)
        tag = list_tag(access, page)
    items = mapping.plants_to_wire(rows[: page.limit])
    response = with_validators(json_answer(mapping.list_to_wire(items)), tag)
    if page.asked_for or len(rows) > page.limit:
        response["X-Total-Count"] = str(_total(access, page, rows))
    request.pull.result = f"{len(items)} plants"  # type: ignore[attr-defined]
    return _allowing(response)


def _allowing(response: HttpResponse) -> HttpResponse:
    """With the header that Django REST framework gives to the view's answers."""
    response["Allow"] = "GET, HEAD, OPTIONS"
    return response


def _total(access: Access, page: Page, rows: Sequence[tuple[Any, ...]]) -> int:
    if 0 < len(rows) <= page.limit:
        return page.offset + len(rows)  # the last page knows without asking
    return selectors.count_plants(access.organisation_id)
