"""`page` and `limit` of a list, as Voke's own lists have them.

Without either the whole list is answered, up to the installation's bound. Interpretation: the body keeps its form (no
`{data, meta}` around it); the total is in the header X-Total-Count whenever the body may not be everything.
"""

from dataclasses import dataclass

from django.conf import settings
from django.http import QueryDict

from plants.errors import Invalid

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000
MAX_PAGE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which rows: `limit` from `offset` on; `asked_for` when the caller chose."""

    offset: int
    limit: int
    asked_for: bool


def whole_list() -> Page:
    """What a query without either asks for."""
    return Page(offset=0, limit=settings.TRADING_LIST_MAX, asked_for=False)


def page_of(query: QueryDict) -> Page:
    """The page that the query asks for; raises Invalid with the parameter's name."""
    if "page" not in query and "limit" not in query:
        return whole_list()
    limit = _whole_number(query, "limit", default=DEFAULT_LIMIT, high=MAX_LIMIT)
    page = _whole_number(query, "page", default=1, high=MAX_PAGE)
    return Page(offset=(page - 1) * limit, limit=limit, asked_for=True)


def _whole_number(query: QueryDict, name: str, *, default: int, high: int) -> int:
    if len(query.getlist(name)) > 1:
        # Proxies, caches and programs disagree on which of two counts: nobody should have to guess.
        raise Invalid("is given more than once", path=name)
    text = query.get(name, str(default)) or ""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= high:
        raise Invalid(f"must be a whole number between 1 and {high}", path=name)
    return int(text)
