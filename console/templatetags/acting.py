"""The acting half of a plant's page, to be included in others: head buttons, banner, command box.

`{% load acting %}`, then `{% acting_buttons plant %}`, `{% acting_banner plant %}`, `{% acting_box plant %}`. What is
in force is read once for a request, however many of them a page has.
"""

from typing import Any

from django import template
from django.http import HttpRequest

from console.acting.box import Box, banner_context, box_context
from console.acting.situation import Situation, situation_of
from esm import clock
from plants.models import Plant

register = template.Library()
_KEPT = "_acting_situations"


def _situation(request: HttpRequest, plant: Plant) -> Situation:
    kept: dict[int, Situation] = request.__dict__.setdefault(_KEPT, {})
    if plant.pk not in kept:
        found = situation_of(organisation_id=plant.organisation_id, plant_id=plant.pk, at=clock.now())
        if found is None:
            raise ValueError("the plant is gone")
        kept[plant.pk] = found
    return kept[plant.pk]


@register.inclusion_tag("console/acting/_head_buttons.html", takes_context=True)
def acting_buttons(context: template.Context, plant: Plant) -> dict[str, Any]:
    """The emergency button."""
    return {"plant": plant, "may_act": context["request"].viewer.may_act}


@register.inclusion_tag("console/acting/_banner.html", takes_context=True)
def acting_banner(context: template.Context, plant: Plant) -> dict[str, Any]:
    """Emergency, override, or why nothing can be sent; empty where there is nothing of it."""
    request = context["request"]
    found = banner_context(_situation(request, plant))
    return {"plant": plant, "viewer": request.viewer, **found}


@register.inclusion_tag("console/acting/_box.html", takes_context=True)
def acting_box(context: template.Context, plant: Plant) -> dict[str, Any]:
    """The command box; the page's query may open a tab (`tab`) for an asset (`asset`)."""
    request = context["request"]
    situation = _situation(request, plant)
    box = Box.of(situation, tab=request.GET.get("act", ""), asset=request.GET.get("asset", ""))
    return {
        "plant": plant,
        "situation": situation,
        "viewer": request.viewer,
        **box_context(box, request.viewer),
    }
