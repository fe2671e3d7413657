"""The first page: what needs a person now, each with the list that shows it; a calm installation looks calm.

This room sits above the others, so it may ask all of them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from dispatch.selectors import count_in_doubt, count_open_latches
from esm import clock
from plants.admin.marks import Family
from plants.models import Installation, LinkState
from plants.selectors.link_health import connection_health, watched_connections
from plants.selectors.overview import count_dead_letters, count_open_alarms, count_silent_plants
from trading_api.models import ConfigUpdateRequest, UpdateState

_DAY = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Matter:
    """One thing that needs a person."""

    icon: str
    family: Family
    title: str
    text: str
    url: str
    permission: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds `matters` (worst first) and `rooms` (the pages that this person may open) to the first page's context."""
    at = clock.now()
    found = [matter for matter in _matters(at) if request.user.has_perm(matter.permission)]
    return {**context, "title": "Overview", "matters": found, "rooms": _rooms(context)}


def _rooms(context: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [
        {"title": group["title"], "pages": [item for item in group["items"] if item["has_permission"]]}
        for group in context["sidebar_navigation"]
    ]
    return [group for group in groups if group["pages"]]


def _matters(at: datetime) -> list[Matter]:
    checks = (
        _installation_off, _latches, _links, _alarms, _doubtful, _updates, _silent_plants, _dead_letters,
    )  # fmt: skip
    return [matter for check in checks if (matter := check(at)) is not None]


def _list(name: str, query: str) -> str:
    return f"{reverse(f'admin:{name}_changelist')}?{query}"


def _many(number: int, one: str, more: str) -> str:
    return f"1 {one}" if number == 1 else f"{number} {more}"


def _installation_off(at: datetime) -> Matter | None:
    if not Installation.objects.filter(pk=1, dispatch_enabled=False).exists():
        return None
    return Matter(
        icon="toggle_off",
        family=Family.DOUBT,
        title="Dispatch is off",
        text="Nothing is published to Voke for any organisation.",
        url=reverse("admin:plants_installation_changelist"),
        permission="plants.view_installation",
    )


def _latches(at: datetime) -> Matter | None:
    number = count_open_latches()
    return None if not number else Matter(
        icon="lock",
        family=Family.CRIT,
        title=_many(number, "plant latched", "plants latched"),
        text="An emergency is not released; nothing else is sent there.",
        url=_list("plants_plant", "latch=latched"),
        permission="plants.view_plant",
    )  # fmt: skip


def _links(at: datetime) -> Matter | None:
    """Every connection that is not well, in one matter: the worst of them says what it is called."""
    found = connection_health(connections=watched_connections(), at=at).values()
    states = {state: sum(one.state is state for one in found) for state in LinkState}
    broken = states[LinkState.DOWN] + states[LinkState.REFUSED]
    slow = states[LinkState.SLOW]
    waiting = states[LinkState.SILENT] + states[LinkState.BLOCKED]
    skewed = sum(one.skewed for one in found)
    if not broken + slow + waiting + skewed:
        return None
    told = [
        (broken, "link down or refused", "links down or refused"),
        (slow, "link whose messages are stored too slowly", "links whose messages are stored too slowly"),
        (states[LinkState.BLOCKED], "blocked by the broker", "blocked by the broker"),
        (states[LinkState.SILENT], "connected and silent", "connected and silent"),
        (skewed, "with another clock than ours", "with other clocks than ours"),
    ]
    words = [_many(number, one, more) for number, one, more in told if number]
    return Matter(
        icon="link_off",
        family=Family.FAIL if broken + slow else Family.DOUBT,
        title=words[0][:1].upper() + words[0][1:],
        text=f"{', '.join(words[1:]) + '. ' if words[1:] else ''}Each connection says why and what to do.",
        url=reverse("admin:plants_connection_changelist"),
        permission="plants.view_connection",
    )


def _alarms(at: datetime) -> Matter | None:
    number = count_open_alarms()
    return None if not number else Matter(
        icon="warning",
        family=Family.FAIL,
        title=_many(number, "alarm raised", "alarms raised"),
        text="Raised by Voke or by this platform, neither cleared nor closed.",
        url=_list("plants_alarm", "state=open"),
        permission="plants.view_alarm",
    )  # fmt: skip


def _doubtful(at: datetime) -> Matter | None:
    number = count_in_doubt(since=at - _DAY)
    return None if not number else Matter(
        icon="history_toggle_off",
        family=Family.DOUBT,
        title=_many(number, "command in doubt", "commands in doubt"),
        text="Of the last 24 hours: not, or not provably, done as asked.",
        url=_list("dispatch_command", "state=attention"),
        permission="dispatch.view_command",
    )  # fmt: skip


def _updates(at: datetime) -> Matter | None:
    number = ConfigUpdateRequest.objects.filter(state=UpdateState.OPEN).count()
    return None if not number else Matter(
        icon="pending_actions",
        family=Family.DOUBT,
        title=_many(number, "config update waits", "config updates wait"),
        text="Voke asked for other time-config blocks; a person decides.",
        url=_list("trading_api_configupdaterequest", "state__exact=OPEN"),
        permission="trading_api.view_configupdaterequest",
    )  # fmt: skip


def _silent_plants(at: datetime) -> Matter | None:
    number = count_silent_plants(at=at)
    return None if not number else Matter(
        icon="sensors_off",
        family=Family.DOUBT,
        title=_many(number, "plant gone silent", "plants gone silent"),
        text="Sent before, nothing for a minute.",
        url=_list("plants_plant", "data=silent"),
        permission="plants.view_plant",
    )  # fmt: skip


def _dead_letters(at: datetime) -> Matter | None:
    number = count_dead_letters(since=at - _DAY)
    return None if not number else Matter(
        icon="unsubscribe",
        family=Family.DOUBT,
        title=_many(number, "dead letter", "dead letters"),
        text="Of the last 24 hours: arrived and could not be used.",
        url=reverse("admin:plants_deadletter_changelist"),
        permission="plants.view_deadletter",
    )  # fmt: skip
