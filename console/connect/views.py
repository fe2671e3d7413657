"""Connections: how each does, one with its steps, and the switches OBSERVE, ACTIVE and dispatch."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from console.access import ConsoleRequest, page
from console.connect import runs
from console.connect.listing import listed
from console.connect.steps import DONE, check_subject, connection_of, has_pulled, stages
from dispatch.services.site_config import switch_connection
from esm import clock
from people.rights import Right
from plants.errors import DomainError
from plants.models import Connection, ConnectionMode
from plants.selectors.link_health import connection_health
from plants.selectors.secrets import SecretMark, secret_marks
from plants.services.connections import set_connection_dispatch
from plants.texts import number_of
from plants.words import local_text

_REASON_CHARS = 500
_WORDS = {
    "activate": "connection.activated",
    "observe": "connection.observes",
    "on": "connection.dispatch_on",
    "off": "connection.dispatch_off",
}


@page()
@require_GET
def list_page(request: ConsoleRequest) -> HttpResponse:
    """A page of the organisation's connections."""
    context = {
        "page": listed(request.viewer.organisation, number=number_of(request.GET.get("page", "")) or 1),
        "has_pulled": has_pulled(request.viewer.organisation.pk),
    }
    return render(request, "console/connect/list.html", context)


@page()
@require_GET
def detail(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """One connection: what it is, how it does, and what is left to do."""
    connection = connection_of(request.viewer, connection_id)
    marks: Sequence[SecretMark] = secret_marks(connection_id=connection.pk)
    context = {
        "connection": connection,
        "health": connection_health(connections=[connection], at=clock.now())[connection.pk],
        "marks": marks,
        "plant_count": connection.plants.count(),
        "stages": stages(connection, now=DONE),
        "run": runs.read(check_subject(connection), at=clock.now()),
    }
    return render(request, "console/connect/detail.html", context)


@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def switch(request: ConsoleRequest, connection_id: int, word: str) -> HttpResponse:
    """GET asks, POST switches: activate, observe, on, off."""
    connection = connection_of(request.viewer, connection_id)
    if word not in _WORDS:
        raise Http404
    reason = request.POST.get("reason", "").strip()[:_REASON_CHARS]
    if request.method == "GET":
        return _ask(request, connection, word)
    if not reason:
        return _ask(request, connection, word, problem=gettext("Say why: it is kept in the audit."))
    try:
        _switch(request, connection, word, reason)
    except DomainError as error:
        return _ask(request, connection, word, problem=local_text(error.words), reason=reason)
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = reverse("console:connect:detail", args=[connection.pk])
    return answer


def _switch(request: ConsoleRequest, connection: Connection, word: str, reason: str) -> None:
    at = clock.now()
    with transaction.atomic():
        rows = Connection.objects.select_for_update(of=("self",)).filter(pk=connection.pk)
        before = rows.values("mode", "dispatch_enabled").get()
        if _is_so(before, word):  # of two clicks the second finds what the first did
            return
        if word in {"on", "off"}:
            set_connection_dispatch(connection_id=connection.pk, enabled=word == "on")
        else:
            mode = ConnectionMode.ACTIVE if word == "activate" else ConnectionMode.OBSERVE
            switch_connection(connection=connection, mode=mode, at=at)
        connection.refresh_from_db(fields=["mode", "dispatch_enabled"])
        request.viewer.record(
            _WORDS[word],
            at=at,
            subject=connection.name,
            subject_path=reverse("console:connect:detail", args=[connection.pk]),
            reason=reason,
            before=before,
            after={"mode": connection.mode, "dispatch_enabled": connection.dispatch_enabled},
        )


def _is_so(now: Mapping[str, Any], word: str) -> bool:
    if word in {"on", "off"}:
        return bool(now["dispatch_enabled"]) == (word == "on")
    return bool(now["mode"] == (ConnectionMode.ACTIVE if word == "activate" else ConnectionMode.OBSERVE))


def _ask(
    request: ConsoleRequest, connection: Connection, word: str, *, problem: str = "", reason: str = ""
) -> HttpResponse:
    run = runs.read(check_subject(connection), at=clock.now())
    context = {
        "connection": connection,
        "word": word,
        "plant_count": connection.plants.count(),
        "checked": run is not None and not run.running and not run.failed,
        "failed_checks": [] if run is None else [one for one in run.lines if one["verdict"] == "FAILED"],
        "problem": problem,
        "reason": reason,
    }
    return render(request, "console/connect/_switch.html", context, status=422 if problem else 200)
