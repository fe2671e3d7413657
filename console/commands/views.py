"""The pages of the command screen: everything here only reads."""

import json
from collections.abc import Mapping

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render

from console.access import ConsoleRequest, page
from console.commands.filters import Filters, filters_of
from console.commands.pages import (
    command_context,
    life_or_404,
    list_context,
    message_context,
    row_of,
)
from console.commands.proof import chart_of
from console.commands.record import record_of
from console.commands.selectors import NEW_COUNTED, count_newer, rows_among
from esm import clock
from plants.texts import number_of, numbers_of

_MOST_ROWS = 100


def _flat(request: ConsoleRequest) -> Mapping[str, str]:
    return {name: str(request.GET.get(name, "")) for name in request.GET}


def _target(request: ConsoleRequest) -> str:
    """The part of the page that an HTMX request is about to replace; '' = the whole page."""
    return request.headers.get("HX-Target", "") if request.headers.get("HX-Request") else ""


@page()
def command_list(request: ConsoleRequest) -> HttpResponseBase:
    """The list alone."""
    at, filters = clock.now(), filters_of(_flat(request))
    context = list_context(request.viewer, filters, at=at)
    if _target(request) == "list":
        return render(request, "console/commands/_list.html", context)
    return render(request, "console/commands/page.html", context)


@page()
def command(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """One command beside the list; of an HTMX request only the part that it replaces."""
    at, asked = clock.now(), _flat(request)
    filters = filters_of(asked)
    target = _target(request)
    if target == "list":
        return render(
            request,
            "console/commands/_list.html",
            list_context(request.viewer, filters, at=at, chosen=command_id),
        )
    life = life_or_404(request.viewer, command_id, at=at)
    if target == "message":
        context = message_context(life, asked) | {"filters": filters}
        return render(request, "console/commands/_message.html", context)
    context = command_context(request.viewer, life, asked) | {"filters": filters}
    if target == "command":
        return render(request, "console/commands/_command.html", context)
    return render(
        request,
        "console/commands/page.html",
        list_context(request.viewer, filters, at=at, chosen=command_id) | context,
    )


@page()
def rows(request: ConsoleRequest) -> HttpResponseBase:
    """Rows that a page shows, as they are now: `?ids=1,2`."""
    at, asked = clock.now(), _flat(request)
    ids = numbers_of(asked.get("ids", "").split(",")[:_MOST_ROWS])
    found = rows_among(organisation_id=request.viewer.organisation.pk, ids=ids)
    filters = filters_of(asked)
    return render(
        request,
        "console/commands/_rows.html",
        {
            "rows": [row_of(one, filters, at=at) for one in found],
            "filters": filters,
            "chosen": number_of(asked.get("chosen", "")),
        },
    )


@page()
def news(request: ConsoleRequest) -> HttpResponseBase:
    """How many commands came since the newest that a page shows: `?than=7`, with the filters of the list."""
    asked = _flat(request)
    filters: Filters = filters_of(asked)
    than = number_of(asked.get("than", "")) or 0
    count = count_newer(
        organisation_id=request.viewer.organisation.pk, filters=filters, than=than, at=clock.now()
    )
    return render(
        request,
        "console/commands/_news.html",
        {"count": count, "more": count >= NEW_COUNTED, "filters": filters},
    )


@page()
def proof(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """What was planned, commanded and measured around the command, for the chart."""
    at = clock.now()
    life = life_or_404(request.viewer, command_id, at=at)
    return JsonResponse(chart_of(life, width_px=number_of(str(request.GET.get("width", ""))) or 320))


@page()
def record(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """The record as a page to print."""
    at = clock.now()
    life = life_or_404(request.viewer, command_id, at=at)
    made = record_of(life)
    context = command_context(request.viewer, life, {}) | {"record": made, "raws": made.messages}
    return render(request, "console/commands/record.html", context)


@page()
def record_file(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """The record as a file."""
    life = life_or_404(request.viewer, command_id, at=clock.now())
    text = json.dumps(record_of(life).to_json(), indent=2, ensure_ascii=False)
    return HttpResponse(
        text,
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="command-{command_id}-record.json"'},
    )
