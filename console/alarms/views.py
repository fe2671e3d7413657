"""The alarm inbox: the list with its tabs and filters, one alarm beside it, and what of them has changed."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse

from console.access import ConsoleRequest, page
from console.alarms.asked import Asked, asked_of
from console.alarms.missing import missing
from console.alarms.shown import AROUND, case_context, inbox_of, list_context, row_of, tabs_of
from console.plant.day import chart_data
from console.plant.spans import Span
from esm import clock
from metering.days import local_day_of
from metering.rules import current_rules
from metering.tiers import to_ms
from plants.errors import Invalid, NotFound
from plants.models import AlarmCase
from plants.selectors.alarm_inbox import PAGE, case_of, occurrences_of, shown_of
from plants.texts import numbers_of

_WIDTH_PX = 640
_MARKS_MAX = 40


@page()
def inbox(request: ConsoleRequest) -> HttpResponseBase:
    """The list; asked for by htmx only its rows (the next page, or the same one anew)."""
    asked = asked_of(request.GET.dict())
    try:
        context = list_context(request, asked)
    except Invalid:  # a place that was cut or typed: from the top
        return redirect(f"{reverse('console:alarms:list')}{asked.query}")
    if request.headers.get("HX-Target", "").startswith("alarm-more"):
        return render(request, "console/alarms/_rows.html", context)
    return render(request, "console/alarms/inbox.html", context)


@page()
def case(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """One alarm: asked for by htmx the pane alone, else the whole page with it."""
    try:
        found = case_of(inbox_of(request.viewer), case_id=case_id)
    except NotFound:
        return missing(request)
    return answer(request, found)


def answer(request: ConsoleRequest, found: AlarmCase, *, status: int = 200, **extra: object) -> HttpResponse:
    """The pane about an alarm, within its page where a browser asks without htmx."""
    asked = asked_of(request.GET.dict())
    context = case_context(request, found, asked, at=clock.now()) | extra
    if wants_part(request):
        return render(request, "console/alarms/_case.html", context, status=status)
    whole = list_context(request, Asked(tab=asked.tab, filters=asked.filters))
    return render(
        request, "console/alarms/inbox.html", whole | context | {"selected": found.pk}, status=status
    )


def wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a part; what it restores from its history is a page."""
    return bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")


@page()
def changed(request: ConsoleRequest) -> HttpResponseBase:
    """Rows that a page shows or may show, as they are now, and the tabs; `ids`: 12,13,14."""
    asked = asked_of(request.GET.dict())
    ids = numbers_of(request.GET.get("ids", "")[:2000].split(","))
    inbox_shown = inbox_of(request.viewer)
    found = shown_of(inbox_shown, tab=asked.tab, filters=asked.filters, ids=ids[:PAGE])
    rows = [row_of(one, request.viewer, is_listed=is_listed) for one, is_listed in found]
    context = {"rows": rows, "asked": asked, "tabs": tabs_of(inbox_shown, asked), "next": ""}
    return TemplateResponse(request, "console/alarms/_changed.html", context)


@page()
def chart(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """The plant's chart half an hour before and after the alarm was raised last; its raises and clears are marked."""
    try:
        found = case_of(inbox_of(request.viewer), case_id=case_id)
    except NotFound as error:
        return JsonResponse({"code": error.code}, status=404)
    if found.plant is None:
        return JsonResponse({"code": "NO_PLANT"}, status=404)
    middle = found.last_raised_at.replace(second=0, microsecond=0)
    span = Span(
        zone=found.plant.time_zone,
        day=local_day_of(middle - AROUND, zone=found.plant.time_zone).day,
        from_at=middle - AROUND,
        to_at=middle + AROUND + timedelta(minutes=1),
    )
    now = clock.now()
    data = chart_data(plant=found.plant, span=span, width_px=_WIDTH_PX, at=now, rules=current_rules())
    return JsonResponse(data | {"alarm": _marks(found, span)})


def _marks(found: AlarmCase, span: Span) -> list[dict[str, object]]:
    """Raises, and the clear of the newest, within the span: oldest first."""
    rows = occurrences_of(case_id=found.pk, limit=_MARKS_MAX)
    return [
        {"raised": to_ms(row.raised_at), "cleared": None if row.cleared_at is None else to_ms(row.cleared_at)}
        for row in reversed(rows)
        if row.raised_at < span.to_at and (row.cleared_at is None or row.cleared_at >= span.from_at)
    ]
