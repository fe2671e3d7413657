"""What an address of the inbox asks for: tab, filters and where the page begins. Pure.

An address written by hand may hold anything: what is not understood does not filter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from plants.models import AlarmOrigin
from plants.selectors.alarm_inbox import OTHER_SEVERITIES, Filters, Tab
from plants.severity import KNOWN
from plants.texts import number_of

_LONGEST = 128


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The state of the list; `after` '' = from the top."""

    tab: Tab
    filters: Filters
    after: str = ""

    @property
    def query(self) -> str:
        """The state without the page, as the query of an address: `?tab=mine&severity=ERROR`, or ''."""
        filters = self.filters
        pairs = {
            "tab": "" if self.tab is Tab.OPEN else self.tab.value,
            "severity": filters.severity,
            "plant": "" if filters.plant_id is None else str(filters.plant_id),
            "origin": filters.origin,
            "code": filters.code,
        }
        text = urlencode({name: value for name, value in pairs.items() if value})
        return f"?{text}" if text else ""

    def at_tab(self, tab: Tab) -> "Asked":
        """The same filters in another tab."""
        return Asked(tab=tab, filters=self.filters)


def asked_of(given: Mapping[str, str]) -> Asked:
    """The state that a query names."""
    severity, origin = given.get("severity", ""), given.get("origin", "")
    return Asked(
        tab=Tab(given["tab"]) if given.get("tab") in set(Tab) else Tab.OPEN,
        filters=Filters(
            severity=severity if severity in {*KNOWN, OTHER_SEVERITIES} else "",
            plant_id=number_of(given.get("plant", "")),
            origin=origin if origin in AlarmOrigin.values else "",
            code=given.get("code", "").replace("\0", "")[:_LONGEST],
        ),
        after=given.get("after", "")[:80],
    )
