"""A plant's page: the first tab, the data of its chart, and the parts that live values renew."""

import json
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext

from console.access import ConsoleRequest, page
from console.plant.day import chart_data
from console.plant.page import command_lines, day_choice, head_of, measured_of, plant_of
from console.plant.spans import day_span, free_span
from esm import clock
from metering.rules import current_rules
from metering.tiers import WIDEST_PX
from plants.errors import DomainError, Invalid
from plants.models import Plant
from plants.texts import number_of
from plants.words import local_text

USUAL_PX = 720


@page()
def overview_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """What the plant does now, what it did today, and what it was told."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    head = head_of(plant, at=at)
    notice = ""
    try:
        day = day_span(request.GET.get("day", ""), zone=plant.time_zone, at=at).day
    except Invalid as problem:
        day, notice = head.today, local_text(problem.words)
    words = {
        "head": head,
        "tab": "overview",
        "measured": measured_of(plant, at=at),
        "commands": command_lines(plant, at=at),
        "choice": day_choice(day, head.today, zone=plant.time_zone),
        "notice": notice,
        "paths": _paths(plant),
    }
    return render(request, "console/plant/overview.html", words)


def _paths(plant: Plant) -> dict[str, str]:
    """Addresses that the page's modules ask; the 0 of a command's stands for its id."""
    return {
        "day": reverse("console:plant:day", args=[plant.pk]),
        "now": reverse("console:plant:now", args=[plant.pk]),
        "last": reverse("console:plant:last", args=[plant.pk]),
        "command": reverse("console:commands:command", args=[0]),
    }


@page()
def day_data(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """The chart's columns: `day` (a date, today without it) or `from` and `to` (ms), `width` in CSS pixels."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    asked = request.GET
    try:
        if "from" in asked or "to" in asked:
            span = free_span(asked.get("from", ""), asked.get("to", ""), zone=plant.time_zone)
        else:
            span = day_span(asked.get("day", ""), zone=plant.time_zone, at=at)
        data = chart_data(
            plant=plant, span=span, width_px=_width(asked.get("width", "")), at=at, rules=current_rules()
        )
    except DomainError as problem:
        return _json(
            {"code": problem.code, "path": problem.path, "message": local_text(problem.words)}, status=422
        )
    return _json(data)


def _width(text: str) -> int:
    if not text:
        return USUAL_PX
    width_px = number_of(text, most_digits=6)
    if width_px is None:
        raise Invalid(gettext("a number of pixels is needed"), path="width")
    return min(max(width_px, 1), WIDEST_PX)


def _json(data: dict[str, Any], status: int = 200) -> HttpResponse:
    response = HttpResponse(
        json.dumps(data, separators=(",", ":"), allow_nan=False),
        content_type="application/json",
        status=status,
    )
    patch_cache_control(response, no_store=True)
    return response


@page()
def now_part(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """The devices as they were told last."""
    plant = plant_of(request.viewer, plant_id)
    words = {"measured": measured_of(plant, at=clock.now()), "plant": plant}
    return render(request, "console/plant/_assets.html", words)


@page()
def last_part(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """The newest commands as they stand."""
    plant = plant_of(request.viewer, plant_id)
    words = {"commands": command_lines(plant, at=clock.now()), "plant": plant, "paths": _paths(plant)}
    return render(request, "console/plant/_last.html", words)
