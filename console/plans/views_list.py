"""Schedules: plants x days with what is planned and what became of it; and the first step of planning a day."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from console.access import ConsoleRequest, page
from console.plans.listing import COUNTED, Asked, counts_of, days_of, matching, page_of
from console.plans.page import relative_word
from esm import clock
from metering.days import local_day_of
from people.rights import Right
from plants.errors import Invalid
from plants.models import Organisation
from plants.texts import number_of
from schedules.services.drafts import refuse_days

_LONGEST = 80
_VIEWS = ("all", "unplanned", "drafts", "conflicts", "off")


@require_safe
@page()
def list_page(request: ConsoleRequest) -> HttpResponseBase:
    """One page of plants; days, words, view and place are in the address."""
    at, organisation = clock.now(), request.viewer.organisation
    today = local_day_of(at, zone=request.viewer.zone).day
    asked = _asked(request, today)
    found = page_of(organisation, asked, today=today, at=at)
    days = days_of(asked.first)
    focus = _day_in(request.GET.get("focus", "")) or (today if today in days else days[0])
    kept = {"q": asked.words, "show": asked.show, "from": asked.first.isoformat()}
    context: dict[str, Any] = {
        "asked": asked,
        "found": found,
        "today": today,
        "focus": focus,
        "days": [
            {"day": day, "word": relative_word(day, today), "url": _url(kept | {"focus": day.isoformat()})}
            for day in days
        ],
        "views": _views(organisation, asked, today, kept),
        "earlier": _url(kept | {"from": (asked.first - timedelta(days=5)).isoformat()}),
        "later": _url(kept | {"from": (asked.first + timedelta(days=5)).isoformat()}),
        "now_url": _url(kept | {"from": ""}),
        "is_now": asked.first == today - timedelta(days=1),
        "next": None if found.more is None else _url(kept | {"after": str(found.more)}),
        "start": _url(kept) if asked.after is not None else None,
        "add": render_to_string("console/plans/_add.html") if request.viewer.may_act else "",
        "any_plant": bool(found.lines) or organisation.plants.exists(),
    }
    template = (
        "console/plans/_list.html"
        if request.headers.get("HX-Target") == "plans"
        else "console/plans/list.html"
    )
    return render(request, template, context)


def _asked(request: ConsoleRequest, today: date) -> Asked:
    show = request.GET.get("show", "all")
    return Asked(
        words=request.GET.get("q", "").replace("\0", "").strip()[:_LONGEST],
        show=show if show in _VIEWS else "all",
        first=_day_in(request.GET.get("from", "")) or today - timedelta(days=1),
        after=number_of(request.GET.get("after", "")),
    )


def _day_in(text: str) -> date | None:
    """A day out of an address; None where it is none that the list could begin with."""
    try:
        day = date.fromisoformat(text)
        refuse_days([day, day + timedelta(days=5), day - timedelta(days=5)], path="from")
    except (ValueError, OverflowError, Invalid):
        return None
    return day


def _views(
    organisation: Organisation, asked: Asked, today: date, kept: dict[str, str]
) -> list[dict[str, Any]]:
    words = {
        "all": gettext("All plants"),
        "unplanned": gettext("No plan tomorrow"),
        "drafts": gettext("Drafts"),
        "conflicts": gettext("Conflicts"),
        "off": gettext("Off plan"),
    }
    counts = counts_of(organisation, first=asked.first, today=today)
    return [
        {
            "word": words[show],
            "url": _url(kept | {"show": show}),
            "current": show == asked.show,
            "count": f"{COUNTED - 1}+" if counts.get(show, 0) >= COUNTED else counts.get(show),
        }
        for show in _VIEWS
    ]


def _url(asked: dict[str, str]) -> str:
    kept = {name: value for name, value in asked.items() if value and (name, value) != ("show", "all")}
    return f"{reverse('console:plans:list')}?{urlencode(kept)}" if kept else reverse("console:plans:list")


@require_safe
@page(Right.ACT)
def start_page(request: ConsoleRequest) -> HttpResponseBase:
    """Which plant and which day: one plant that fits leads straight to its editor."""
    organisation = request.viewer.organisation
    today = local_day_of(clock.now(), zone=request.viewer.zone).day
    words = request.GET.get("plant", "").replace("\0", "").strip()[:_LONGEST]
    typed = request.GET.get("day", "")
    day = _day_in(typed)
    fitting = matching(organisation, words) if words else []
    if len(fitting) == 1 and day is not None:
        return redirect(f"{reverse('console:plans:day', args=[fitting[0].pk, day.isoformat()])}?edit=1")
    context = {
        "words": words,
        "day": day or today + timedelta(days=1),
        "bad_day": bool(typed) and day is None,
        "fitting": fitting,
        "asked": bool(words),
    }
    return render(request, "console/plans/start.html", context)
