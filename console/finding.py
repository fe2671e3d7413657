"""The palette: plants by name or id, commands by number or message id, pages by name; a handful of each."""

from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from console.access import ConsoleRequest, page
from console.frame import frame_of
from dispatch.models import Command, OutboundMessage
from plants.models import Plant
from plants.texts import number_of

SHOWN = 8
_LONGEST = 80


@page()
def find(request: ConsoleRequest) -> HttpResponse:
    """What fits `q`, as links; nothing for less than two characters, but numbers."""
    asked = request.GET.get("q", "").strip()[:_LONGEST]
    home = reverse("console:home")
    context = {
        "asked": asked,
        "home": home,
        "plants": _plants(request, asked),
        "commands": _commands(request, asked),
        "pages": [
            entry
            for group in frame_of(request.viewer).entries
            for entry in group.entries
            if asked and asked.lower() in entry.title.lower()
        ],
    }
    return render(request, "console/parts/found.html", context)


def _plants(request: ConsoleRequest, asked: str) -> list[Plant]:
    if len(asked) < 2:
        return []
    fits = Q(name__icontains=asked) | Q(external_plant_id__istartswith=asked)
    return list(request.viewer.organisation.plants.filter(fits).order_by("name", "pk")[:SHOWN])


def _commands(request: ConsoleRequest, asked: str) -> list[Command]:
    ours = Command.objects.filter(organisation=request.viewer.organisation).select_related("plant")
    number = number_of(asked.removeprefix("#"))
    if number is not None:
        return list(ours.filter(pk=number))
    try:
        message_id = UUID(asked)
    except ValueError:
        return []
    sent = OutboundMessage.objects.filter(message_id=message_id).values("command_id")
    return list(ours.filter(pk__in=sent)[:SHOWN])
