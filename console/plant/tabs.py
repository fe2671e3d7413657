"""The other tabs of a plant's page: config and drift, alarms, meter, history."""

from django.http import HttpResponseBase
from django.shortcuts import render

from console.access import ConsoleRequest, page
from console.plant.coverage import coverage_of
from console.plant.history import history_of
from console.plant.page import head_of, plant_of
from console.plant.spans import day_span
from dispatch.selectors_site import site_state
from esm import clock
from metering.models import Stream
from metering.selectors.energy import energy_balance
from metering.selectors.gaps import gaps_of
from plants.errors import Invalid
from plants.selectors.overview import alarms_of_plant
from plants.selectors.plants import blocks_in_force
from plants.words import local_text

GAPS_SHOWN = 20


@page()
def config_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """What Voke was sent of the site, and where it has something else."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    words = {
        "head": head_of(plant, at=at),
        "tab": "config",
        "site": site_state(plant_id=plant.pk, site_revision=plant.site_revision),
        "blocks": blocks_in_force(plant_id=plant.pk, at=at),
    }
    return render(request, "console/plant/config.html", words)


@page()
def alarms_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """The plant's alarms: those that are raised first."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    words = {"head": head_of(plant, at=at), "tab": "alarms", "alarms": alarms_of_plant(plant_id=plant.pk)}
    return render(request, "console/plant/alarms.html", words)


@page()
def meter_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """The energies of a day, how much of the last weeks is known, and the holes."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    head = head_of(plant, at=at)
    notice = ""
    try:
        span = day_span(request.GET.get("day", ""), zone=plant.time_zone, at=at)
    except Invalid as problem:
        notice = local_text(problem.words)
        span = day_span("", zone=plant.time_zone, at=at)
    coverage = coverage_of(plant, at=at)
    words = {
        "head": head,
        "tab": "meter",
        "day": span.day,
        "notice": notice,
        "balance": energy_balance(plant_id=plant.pk, day=span.day),
        "coverage": coverage,
        "gaps": gaps_of(
            plant_id=plant.pk,
            stream=Stream.REALTIME,
            from_at=coverage.from_at,
            to_at=at,
            limit=GAPS_SHOWN,
            with_filled=True,
        ),
    }
    return render(request, "console/plant/meter.html", words)


@page()
def history_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """Who changed what of the plant: time config, plans, acts of people."""
    at = clock.now()
    plant = plant_of(request.viewer, plant_id)
    words = {"head": head_of(plant, at=at), "tab": "history", "entries": history_of(plant, at=at)}
    return render(request, "console/plant/history.html", words)
