"""The parts that screens are made of, each in its states: for people who change the look, and for tests of it."""

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import render

from console.access import ConsoleRequest, page
from console.words import LOOKS
from esm import clock

_POWERS_KW = (None, 0.0, 0.3, 8.23, -275.4, 998.0, 999.6, 3420.0)


@page()
def kit(request: ConsoleRequest) -> HttpResponse:
    """Everything of parts.css with sample values; nothing here comes from the database."""
    at = clock.now()
    ages = [timedelta(seconds=seconds) for seconds in (2, 31, 852, 90_000)]
    context = {
        "states": list(LOOKS),
        "powers": _POWERS_KW,
        "shares": (None, 0.0, 64.4, 100.0),
        "moments": [at - age for age in ages],
        "until": at + timedelta(minutes=32, seconds=42),
        "zone": "Europe/Prague",
    }
    return render(request, "console/kit/kit.html", context)
