"""An alarm that there is not, or that is another organisation's: told within the frame."""

from django.http import HttpResponse
from django.shortcuts import render

from console.access import ConsoleRequest


def missing(request: ConsoleRequest) -> HttpResponse:
    """404: a page, or by htmx the pane alone."""
    part = bool(request.headers.get("HX-Request"))
    return render(request, f"console/alarms/{'_missing' if part else 'missing'}.html", status=404)
