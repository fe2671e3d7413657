"""Whose request it is: the token's claims, and what the database says of its credential."""

from django.db import Error
from django.http import HttpRequest

from esm import clock
from trading_api import selectors
from trading_api.auth import Claims, bearer_token, read_token
from trading_api.errors import Unauthorized
from trading_api.journal import Pull
from trading_api.selectors import Access


def claims_of(request: HttpRequest) -> Claims:
    """Whose token this is; raises Unauthorized. The database has not been asked yet."""
    return read_token(bearer_token(request.META.get("HTTP_AUTHORIZATION", "")), at=clock.now())


def access_of(request: HttpRequest, claims: Claims, *, plant_ref: str | None = None) -> Access:
    """Whom the request is answered to, noted for the journal; raises Unauthorized. One SELECT."""
    access = selectors.access(claims, plant_ref=plant_ref)
    pull: Pull = request.pull  # type: ignore[attr-defined]
    pull.client_id, pull.credential_id = access.client_id, access.credential_id
    pull.organisation_id = access.organisation_id
    return access


def list_access_of(request: HttpRequest) -> Access:
    """`access_of` without a plant. Asked once a request: what came of it, good or bad, comes of it every time."""
    known: Access | Exception | None = getattr(request, "list_access", None)
    if known is None:
        try:
            known = access_of(request, claims_of(request))
        except (Unauthorized, Error) as error:
            known = error
        request.list_access = known  # type: ignore[attr-defined]
    if isinstance(known, Exception):
        raise known
    return known
