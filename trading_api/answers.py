"""JSON in and out of the reverse channel: strict reading, fast writing, and conditional answers."""

import hashlib
from functools import lru_cache
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from trading_api.errors import UnsupportedMedia
from trading_api.mapping import mapping_digest
from trading_api.paging import Page
from trading_api.paths import Endpoint
from trading_api.selectors import Access
from vcp import decode_object


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the body, each key once. Raises UnsupportedMedia, vcp.ProtocolError."""
    charset = request.content_params.get("charset", "utf-8") if request.content_params else "utf-8"
    body = request.body
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # Not even looked at: what it unpacks to has no bound.
        raise UnsupportedMedia("the body must not be compressed", path="Content-Encoding")
    is_json = request.content_type == "application/json" and charset.lower() in {"utf-8", "utf8"}
    if body and not is_json:
        raise UnsupportedMedia("the body must be application/json in UTF-8", path="Content-Type")
    return decode_object(body, unique_keys=True)


def json_answer(value: Any, **headers: str) -> HttpResponse:
    """200 with a JSON body; header names are written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return HttpResponse(msgspec.json.encode(value), content_type="application/json", headers=named)


def entity_tag(access: Access, endpoint: Endpoint, *parts: object) -> str:
    """The strong ETag of what this organisation is shown at an endpoint (`parts`: plant, page).

    The organisation's revision counts every change that can show, so no body is made to find out that nothing changed.
    """
    return _tag(
        (access.organisation_id, access.organisation_revision, mapping_digest(), str(endpoint), *parts)
    )


@lru_cache(maxsize=4096)
def _tag(facts: tuple[object, ...]) -> str:
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def list_tag(access: Access, page: Page) -> str:
    """The ETag of a list, or of a page of it."""
    return entity_tag(access, Endpoint.LIST, page.offset, page.limit)


def is_known(request: HttpRequest, tag: str) -> bool:
    """Whether If-None-Match names this tag: in a list, weak or strong (weak comparison, RFC 9110 13.1.2), or as `*`."""
    return "*" in _given(request) or has_been_given(request, tag)


def has_been_given(request: HttpRequest, tag: str) -> bool:
    """Whether If-None-Match names this very tag: only who was given the body knows it. `*` proves nothing."""
    return tag in _given(request)


def _given(request: HttpRequest) -> list[str]:
    return [known.removeprefix("W/") for known in parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))]


def with_validators(response: HttpResponse, tag: str) -> HttpResponse:
    """ETag and what caches may do: keep it for this caller and ask every time."""
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization"
    return response


def not_modified(tag: str) -> HttpResponse:
    """304, which describes no body."""
    response = HttpResponse(status=304)
    del response["Content-Type"]
    return with_validators(response, tag)
