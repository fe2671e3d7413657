"""Whose request it is: the token's claims, and what the database says of its credential."""

from typing import Any

from django.http import HttpRequest

from esm import clock
from trading_api import selectors
from trading_api.auth import Claims, bearer_token, read_token
from trading_api.journal import Pull
from trading_api.paging import Page
from trading_api.selectors import Access


def claims_of(request: HttpRequest) -> Claims:
    """Whose token this is; raises Unauthorized. The database has not been asked yet."""
    return read_token(bearer_token(request.META.get("HTTP_AUTHORIZATION", "")), at=clock.now())


def access_of(request: HttpRequest, claims: Claims, *, plant_ref: str | None = None) -> Access:
    """Whom the request is answered to, noted for the journal; raises Unauthorized. One SELECT."""
    access = selectors.access(claims, plant_ref=plant_ref)
    _note(request, access)
    return access


def _note(request: HttpRequest, access: Access) -> None:
    pull: Pull = request.pull  # type: ignore[attr-defined]
    pull.client_id, pull.credential_id = access.client_id, access.credential_id
    pull.organisation_id = access.organisation_id


def list_access_of(request: HttpRequest) -> Access:
    """`access_of` without a plant, where it is not known yet (`request.list_failed`) that the list can't be had."""
    failed: Exception | None = getattr(request, "list_failed", None)
    if failed is not None:
        raise failed
    return access_of(request, claims_of(request))


def list_of(request: HttpRequest, page: Page) -> tuple[Access, list[tuple[Any, ...]]]:
    """`list_access_of` and the rows of `list_plants`, in one SELECT wherever there are any."""
    claims = claims_of(request)
    found = selectors.access_with_plants(claims, offset=page.offset, limit=page.limit)
    if found is None:
        access = access_of(request, claims)
        return access, selectors.list_plants(access.organisation_id, offset=page.offset, limit=page.limit)
    _note(request, found[0])
    return found
