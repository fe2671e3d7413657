"""The fleet: what all plants do together, what needs a person, and the list; each part can be asked for alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from console.access import ConsoleRequest, page
from console.fleet.asked import PAGE, SORT_WORDS, VIEW_WORDS, ListAsked, Show, View, asked_of
from console.fleet.balance import balance_of, in_unit, unit_of
from console.fleet.cards import cards_of
from console.fleet.day import day_of_fleet
from console.fleet.equipment import equipment_of
from console.fleet.export import csv_of
from console.fleet.facts_sql import FleetAsked
from console.fleet.looks import PlantLook, looks_of
from console.fleet.markup import rows_html
from console.fleet.reading import (
    Overview,
    Page,
    PlantFacts,
    exported,
    listed,
    listed_with_urgent,
    plants_by_id,
)
from console.fleet.sparks import sparks_of
from console.fleet.windows import windows_of
from dispatch.policy import current_policy
from esm import clock
from plants.models import Connection, Organisation, StreamHealth
from plants.selectors.link_health import (
    CONNECTIONS_WATCHED,
    ConnectionHealth,
    connection_health,
    connections_of,
    tolerance_of,
)
from plants.texts import numbers_of
from plants.words import IDLE_BELOW_KW, RECENT_WITHIN, label_text
from vcp import OperatingMode

SHOWN = "console.fleet.show"
"""Session key: table or cards, as last chosen."""
_ALWAYS_SHOWN = (View.ATTENTION, View.OFF_PLAN, View.OVERRIDDEN, View.ALARMS, View.NO_DATA, View.ALL)


@dataclass(frozen=True, kw_only=True)
class Links:
    """The organisation's connections and how they do."""

    rows: Sequence[tuple[Connection, ConnectionHealth]]

    def tolerated_s(self) -> dict[int, float]:
        """How old the newest sample of a connection's plants may be."""
        return {link.pk: _tolerated_s(health) for link, health in self.rows}


def links_of(organisation: Organisation, at: datetime) -> Links:
    """Four statements."""
    rows = list(connections_of(organisation_id=organisation.pk, limit=CONNECTIONS_WATCHED))
    health = connection_health(connections=rows, at=at)
    return Links(rows=[(one, health[one.pk]) for one in rows])


def _tolerated_s(health: ConnectionHealth) -> float:
    realtime = next(one for one in health.streams if one.stream == StreamHealth.Stream.REALTIME)
    return 0.0 if realtime.period_s is None else tolerance_of(realtime.period_s)


def fleet_asked(organisation: Organisation, links: Links, at: datetime) -> FleetAsked:
    """What the statements about the fleet are asked with."""
    return FleetAsked(
        organisation_id=organisation.pk,
        at=at,
        proof=current_policy().proof,
        tolerated_s=links.tolerated_s(),
        default_tolerated_s=RECENT_WITHIN.total_seconds(),
    )


@page()
@require_GET
def fleet(request: ConsoleRequest) -> HttpResponse:
    """The whole page, or the list alone where htmx asks for it."""
    at = clock.now()
    wanted = asked_of(request.GET, show=request.session.get(SHOWN, ""))
    if request.GET.get("show") and request.session.get(SHOWN) != wanted.show:
        request.session[SHOWN] = wanted.show.value
    links = links_of(request.viewer.organisation, at)
    about = fleet_asked(request.viewer.organisation, links, at)
    if request.headers.get("HX-Target") == "fleet-list":
        context = _list_context(about, wanted, links, *listed(about, wanted))
        return render(request, "console/fleet/_list.html", context)
    if wanted.is_filtered:
        counted, shown = listed(about, wanted)
        found, urgent = _whole(about)
    elif wanted == ListAsked(show=wanted.show):
        counted, shown = listed(about, wanted)
        found, urgent = counted, shown.rows
    else:
        counted, shown, urgent = listed_with_urgent(about, wanted)
        found = counted
    context = _list_context(about, wanted, links, counted, shown)
    context |= _top_context(about, wanted, links, found, urgent, zone=request.viewer.zone)
    return render(request, "console/fleet/list.html", context)


def _list_context(
    about: FleetAsked, wanted: ListAsked, links: Links, found: Overview, shown: Page
) -> dict[str, Any]:
    looks = looked_at(shown.rows, about.at)
    return {
        "asked": wanted,
        "counted": found,
        "listed": shown,
        "rows": looks,
        "row_htmls": rows_html(looks),
        "total": found.plants if wanted.view in (View.ATTENTION, View.ALL) else found.counts[wanted.view],
        "tabs": [
            (view, VIEW_WORDS[view], found.counts[view], wanted.having(view=view))
            for view in _tabs(found, wanted)
        ],
        "sorts": [(sort, words, wanted.having(sort=sort)) for sort, words in SORT_WORDS.items()],
        "links": [link for link, _health in links.rows],
        "modes": [(mode.value, label_text(mode.value)) for mode in OperatingMode],
        "as_table": wanted.having(show=Show.TABLE, place=wanted.place),
        "as_cards": wanted.having(show=Show.CARDS, place=wanted.place),
        "unfiltered": wanted.having(search="", connection_id=None, mode=""),
        "earlier": None if shown.before is None else wanted.having(place=shown.before),
        "later": None if shown.after is None else wanted.having(place=shown.after),
        "first_page": wanted.having(),
    }


def _tabs(found: Overview, wanted: ListAsked) -> list[View]:
    """Views that are rare stand there while they have something to show."""
    return [view for view in View if view in _ALWAYS_SHOWN or found.counts[view] or view is wanted.view]


def looked_at(rows: Sequence[PlantFacts], at: datetime) -> list[PlantLook]:
    """Rows with their curves, allowed charge and what they have: four statements for any number of them."""
    return looks_of(
        list(rows),
        sparks=sparks_of(rows, at=at),
        windows=windows_of(rows, at=at),
        equipment=equipment_of(rows),
        at=at,
    )


def _whole(about: FleetAsked) -> tuple[Overview, Sequence[PlantFacts]]:
    """What all plants do together, and those that need a person most: one statement for both."""
    found, first = listed(about, ListAsked())
    return found, first.rows


def _top_context(
    about: FleetAsked,
    wanted: ListAsked,
    links: Links,
    found: Overview,
    urgent: Sequence[PlantFacts],
    *,
    zone: str,
) -> dict[str, Any]:
    """`urgent`: the plants that need a person most."""
    return {
        "found": found,
        "balance": balance_of(found),
        "net": _net_text(found),
        "plan": _plan_text(found),
        "at": about.at,
        "cards": cards_of(found=found, urgent=urgent, links=links.rows, shown=wanted, at=about.at, zone=zone),
    }


def _net_text(found: Overview) -> tuple[str, str]:
    """(number, unit and direction) of what the fleet gives or takes; without a live plant nobody knows."""
    if not found.live:
        return gettext("No data"), ""
    unit = unit_of(found.net_kw)
    return in_unit(found.net_kw, unit), f"{unit} {_direction(found.net_kw)}"


def _direction(kw: float) -> str:
    if abs(kw) < IDLE_BELOW_KW:
        return ""
    return gettext("in") if kw > 0 else gettext("out")


def _plan_text(found: Overview) -> dict[str, Any] | None:
    """What is planned now, of how many plants, and how much of it is given or taken; None = nothing is planned."""
    if not found.planned:
        return None
    followed_pct = None
    if abs(found.planned_kw) >= IDLE_BELOW_KW:
        missed = abs(found.followed_kw - found.planned_kw) / abs(found.planned_kw)
        followed_pct = max(0, round(100 * (1 - missed)))
    return {
        "kw": found.planned_kw,
        "direction": _direction(found.planned_kw) if found.planned_kw * found.net_kw < 0 else "",
        "without": found.live - found.planned,
        "followed_pct": followed_pct,
    }


@page()
@require_GET
def top(request: ConsoleRequest) -> HttpResponse:
    """The totals and the cards, as they are now."""
    at = clock.now()
    links = links_of(request.viewer.organisation, at)
    about = fleet_asked(request.viewer.organisation, links, at)
    wanted = asked_of(request.GET, show=request.session.get(SHOWN, ""))
    context = _top_context(about, wanted, links, *_whole(about), zone=request.viewer.zone)
    return render(request, "console/fleet/_top.html", context)


@page()
@require_GET
def day(request: ConsoleRequest) -> HttpResponse:
    """The fleet's day as a small chart."""
    at = clock.now()
    organisation = request.viewer.organisation
    found = day_of_fleet(fleet_asked(organisation, links_of(organisation, at), at), zone=request.viewer.zone)
    return render(request, "console/fleet/_day.html", {"day": found, "at": at})


@page()
@require_GET
def rows(request: ConsoleRequest) -> HttpResponse:
    """Some plants' rows as they are now: at most a page of them, those of the organisation."""
    ids = numbers_of(request.GET.get("ids", "").split(",")[:PAGE])
    at = clock.now()
    links = links_of(request.viewer.organisation, at)
    about = fleet_asked(request.viewer.organisation, links, at)
    context = {"row_htmls": rows_html(looked_at(plants_by_id(about, ids), at))}
    return render(request, "console/fleet/_rows.html", context)


@page()
@require_GET
def peek(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """One plant in short, for the sheet beside the list."""
    at = clock.now()
    links = links_of(request.viewer.organisation, at)
    known = [plant_id] if plant_id < 2**63 else []  # SQLite takes no greater number
    found = plants_by_id(fleet_asked(request.viewer.organisation, links, at), known)
    if not found:
        raise Http404
    names = {link.pk: link.name for link, _health in links.rows}
    context = {"one": looked_at(found, at)[0], "link": names.get(found[0].connection_id or 0, "")}
    return render(request, "console/fleet/_peek.html", context)


@page()
@require_GET
def export(request: ConsoleRequest) -> HttpResponse:
    """The list that is asked for as CSV, however many pages it has."""
    at = clock.now()
    links = links_of(request.viewer.organisation, at)
    wanted = asked_of(request.GET)
    text = csv_of(exported(fleet_asked(request.viewer.organisation, links, at), wanted))
    name = f"fleet-{request.viewer.organisation.slug}-{at:%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": content_disposition_header(as_attachment=True, filename=name) or ""}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)
