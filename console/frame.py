"""What stands around every page: how much work waits behind each entry, and how the links to Voke do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext, gettext_noop

from console.access import Viewer
from dispatch.selectors import count_in_doubt_of
from esm import clock
from people.rights import Right
from plants.models import LinkState, Organisation
from plants.selectors.alarm_inbox import count_needing_work
from plants.selectors.link_health import (
    CONNECTIONS_WATCHED,
    ConnectionHealth,
    connection_health,
    connections_of,
)
from trading_api.selectors import count_waiting_updates

COUNTED = 100
"""Counts are shown up to this, then as "99+"."""
_FOLDERS = {"connect": "connections"}
DOUBT_SHOWN_FOR = timedelta(hours=24)
_WORDS = {
    LinkState.CONNECTED: ("ok", gettext_noop("Connected")),
    LinkState.CONNECTING: ("move", gettext_noop("Connecting")),
    LinkState.SILENT: ("doubt", gettext_noop("Silent")),
    LinkState.SLOW: ("doubt", gettext_noop("Storing slowly")),
    LinkState.BLOCKED: ("fail", gettext_noop("Blocked")),
    LinkState.REFUSED: ("fail", gettext_noop("Refused")),
    LinkState.DOWN: ("fail", gettext_noop("Down")),
}
_WORST_FIRST = ("fail", "doubt", "move", "ok")
LINKS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LinkLine:
    """How one connection does, for the foot of the navigation."""

    name: str
    family: str
    word: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One page in the navigation. `count`: what waits there for a person, '' = nothing; `heat`: "hot" when urgent."""

    screen: str
    icon: str
    title: str
    url: str
    count: str = ""
    heat: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Entries under one title."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The navigation with its counts of work, and the links (the worst first).

    `more_links`: so many beyond those that are shown, `more_bad` of them not as they should be.
    """

    entries: list[Group]
    tabs: list[Entry]
    alarms: int
    links: list[LinkLine]
    more_links: int
    more_bad: int
    at: datetime


def frame_of(viewer: Viewer) -> Frame:
    """What stands around a page of this person now; a bounded number of statements."""
    at = clock.now()
    whose = viewer.organisation.pk
    alarms = count_needing_work(whose, COUNTED)
    doubtful = count_in_doubt_of(organisation_id=whose, since=at - DOUBT_SHOWN_FOR, limit=COUNTED)
    updates = count_waiting_updates(organisation_id=whose, limit=COUNTED)
    work = [
        _entry("fleet", icon="layout-dashboard", title=gettext("Fleet")),
        _entry("plans", icon="calendar-range", title=gettext("Schedules")),
        _entry("commands", icon="list-checks", title=gettext("Commands"), count=doubtful),
        _entry("alarms", icon="bell", title=gettext("Alarms"), count=alarms, heat="hot"),
    ]
    wire = [
        _entry("reverse", icon="arrow-left-right", title=gettext("Reverse channel"), count=updates),
        _entry("connect", icon="plug-zap", title=gettext("Connections")),
    ]
    groups = [Group(title="", entries=work), Group(title=gettext("Wire"), entries=wire)]
    system = _system(viewer)
    if system:
        groups.append(Group(title=gettext("System"), entries=system))
    tabs = [work[0], work[3], work[2], work[1]]
    lines = _links(viewer.organisation, at)
    hidden = lines[LINKS_SHOWN:]
    return Frame(
        entries=groups,
        tabs=tabs,
        alarms=alarms,
        links=lines[:LINKS_SHOWN],
        more_links=len(hidden),
        more_bad=sum(line.family != "ok" for line in hidden),
        at=at,
    )


def _system(viewer: Viewer) -> list[Entry]:
    found = []
    if viewer.may(Right.MANAGE):
        found.append(_entry("people", icon="users", title=gettext("People")))
        found.append(_entry("audit", icon="scroll-text", title=gettext("Audit")))
    if viewer.is_staff:
        found.append(
            Entry(screen="admin", icon="settings", title=gettext("Admin"), url=reverse("admin:index"))
        )
    return found


def _entry(screen: str, *, icon: str, title: str, count: int = 0, heat: str = "") -> Entry:
    shown = "" if not count else f"{count}" if count < COUNTED else f"{COUNTED - 1}+"
    url = f"{reverse('console:home')}{_FOLDERS.get(screen, screen)}/"
    return Entry(screen=screen, icon=icon, title=title, url=url, count=shown, heat=heat)


def rank_of(state: LinkState) -> int:
    """By this links are sorted, the worst first."""
    return _WORST_FIRST.index(_WORDS[state][0])


def _links(organisation: Organisation, at: datetime) -> list[LinkLine]:
    connections = list(connections_of(organisation_id=organisation.pk, limit=CONNECTIONS_WATCHED))
    healths = connection_health(connections=connections, at=at)
    worst = sorted(connections, key=lambda one: rank_of(healths[one.pk].state))
    return [_line(one.name, healths[one.pk]) for one in worst]


def _line(name: str, health: ConnectionHealth) -> LinkLine:
    family, word = _WORDS[health.state]
    advice = health.advice
    return LinkLine(name=name, family=family, word=gettext(word), text="" if advice is None else advice.title)
