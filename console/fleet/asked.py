"""What a person asked the fleet's list for: the whole state of the page, read from its address and written back to it.

Pages are found by keyset: the address holds the sort key of the row that a page begins after (or ends before), so page
200 costs what the first one does, and rows that come or go meanwhile shift nothing.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from plants.texts import number_of, storable_text
from vcp import OperatingMode

PAGE = 50
LONGEST_SEARCH = 80
WordT = TypeVar("WordT", bound=StrEnum)


class View(StrEnum):
    """A saved view: what is kept of the list."""

    ATTENTION = "attention"
    OFF_PLAN = "off-plan"
    OVERRIDDEN = "overridden"
    ALARMS = "alarms"
    NO_DATA = "no-data"
    UNANSWERED = "unanswered"
    LATCHED = "latched"
    ALL = "all"


class Sort(StrEnum):
    """In which order; by name where it is equal."""

    ATTENTION = "attention"
    NAME = "name"
    POWER = "power"


class Show(StrEnum):
    """As what; a phone shows cards always."""

    TABLE = "table"
    CARDS = "cards"


VIEW_WORDS: Mapping[View, str | Promise] = {
    View.ATTENTION: _("Attention first"),
    View.OFF_PLAN: _("Off plan"),
    View.OVERRIDDEN: _("Overridden"),
    View.ALARMS: _("Alarms"),
    View.NO_DATA: _("No data"),
    View.UNANSWERED: _("Commands"),
    View.LATCHED: _("Emergencies"),
    View.ALL: _("All"),
}
SORT_WORDS: Mapping[Sort, str | Promise] = {
    Sort.ATTENTION: _("What needs a person"),
    Sort.NAME: _("Name"),
    Sort.POWER: _("Power at the grid"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Between which rows a page lies: the key of a row, and how many rows stand before the page.

    `backwards`: the page ends before the row, else it begins after it.
    """

    key: float
    name: str
    plant_id: int
    number: int
    backwards: bool = False

    def text(self) -> str:
        """For an address."""
        values = [self.key, self.name, self.plant_id, self.number, int(self.backwards)]
        return urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


@dataclass(frozen=True, kw_only=True)
class ListAsked:
    """The state of the page. `search`: part of a name or an id; `connection_id`, `mode`: only those plants."""

    view: View = View.ATTENTION
    sort: Sort = Sort.ATTENTION
    show: Show = Show.TABLE
    search: str = ""
    connection_id: int | None = None
    mode: str = ""
    place: Place | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the view narrows the list."""
        return bool(self.search or self.connection_id is not None or self.mode)

    def having(self, **changes: object) -> "ListAsked":
        """The same with changes, from its first page on; another view has its own order unless one was chosen."""
        view = changes.get("view")
        if isinstance(view, View) and self.sort is usual_sort(self.view):
            changes = {"sort": usual_sort(view), **changes}
        return replace(self, **{"place": None, **changes})  # type: ignore[arg-type]

    def query(self) -> str:
        """As the query of an address, without what is usual; "" or "?..."."""
        usual = {"view": View.ATTENTION, "show": Show.TABLE, "sort": usual_sort(self.view)}
        values = {
            "view": self.view,
            "q": self.search,
            "sort": self.sort,
            "mode": self.mode,
            "show": self.show,
        }
        told: dict[str, object] = {
            name: value.value if isinstance(value, StrEnum) else value
            for name, value in values.items()
            if value and value != usual.get(name)
        }
        if self.connection_id is not None:
            told["connection"] = self.connection_id
        if self.place is not None:
            told["at"] = self.place.text()
        return f"?{urlencode(told)}" if told else ""


def usual_sort(view: View) -> Sort:
    """The order that a view has when nobody chose another."""
    return Sort.NAME if view is View.ALL else Sort.ATTENTION


def asked_of(query: QueryDict, *, show: str = "") -> ListAsked:
    """What an address asks for; what can't be read is as if it were not there. `show`: what was chosen before."""
    view = _one_of(View, query.get("view", ""), View.ATTENTION)
    mode = query.get("mode", "")
    return ListAsked(
        view=view,
        sort=_one_of(Sort, query.get("sort", ""), usual_sort(view)),
        show=_one_of(Show, query.get("show", "") or show, Show.TABLE),
        search=query.get("q", "").replace("\x00", "").strip()[:LONGEST_SEARCH],
        connection_id=number_of(query.get("connection", "")),
        mode=mode if mode in {one.value for one in OperatingMode} else "",
        place=place_of(query.get("at", "")),
    )


def _one_of(words: type[WordT], text: str, usual: WordT) -> WordT:
    try:
        return words(text)
    except ValueError:
        return usual


def place_of(text: str) -> Place | None:
    """The place that an address names; None when it is none."""
    if not text or len(text) > 600:
        return None
    try:
        key, name, plant_id, number, backwards = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        place = Place(
            key=float(key),
            name=storable_text(name)[:120],
            plant_id=int(plant_id),
            number=max(0, int(number)),
            backwards=bool(backwards),
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    is_sound = abs(place.plant_id) < 2**63 and place.number < 2**31 and abs(place.key) < 1e12
    return place if is_sound else None
