"""What the views of plans share: numbers out of addresses, refusals as JSON, where to go afterwards."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from console.plans.day import PlannedDay
from plants.errors import DomainError
from plants.words import local_text


def refusal(error: DomainError) -> JsonResponse:
    """Why not, with its stable code."""
    return JsonResponse(
        {"outcome": "refused", "code": error.code, "path": error.path, "text": local_text(error.words)},
        status=422,
    )


def day_path(day: PlannedDay) -> str:
    """The address of a day's page."""
    return reverse("console:plans:day", args=[day.plant.pk, day.day.isoformat()])


def to_address(request: HttpRequest, address: str) -> HttpResponse:
    """To a page, for htmx and for plain forms."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponse(status=303, headers={"Location": address})
