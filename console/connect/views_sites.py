"""Which of Voke's sites is which plant: read over REST, suggested by id and name, decided by a person."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from console.access import ConsoleRequest, page
from console.connect import runs
from console.connect.steps import SITES, connection_of, stages
from esm import clock
from link.rest import RestError
from link.site_reports import client_of, current_report_options
from people.rights import Right
from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, DomainError
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from plants.services.connections import attach_plants
from plants.services.site_ids import note_site_ids
from plants.texts import number_of
from plants.words import local_packed, local_text
from vcp.said import said, told_by

MOST_SITES = 500
MOST_OFFERED = 1000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One site of Voke. `plant`: the plant that it is already; `suggested`: whose id or name is the same."""

    site_id: str
    external_plant_id: str
    name: str
    plant: Plant | None
    suggested: Plant | None
    why: str


@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def sites(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """GET reads Voke's list once and shows it; POST takes the chosen plants over."""
    connection = connection_of(request.viewer, connection_id)
    problems: Sequence[str] = ()
    saved = 0
    if request.method == "POST":
        if "again" in request.POST:
            runs.forget(_subject(connection))
        else:
            try:
                saved = _map(request, connection)
            except DomainError as error:
                problems = [local_text(error.words)]
    _read(connection)
    context = {
        **_context(request, connection),
        "stages": stages(connection, now=SITES),
        "problems": problems,
        "saved": saved,
    }
    return render(request, "console/connect/sites.html", context, status=422 if problems else 200)


@page(Right.CONNECT)
@require_GET
def lines(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """The list as far as it was read."""
    connection = connection_of(request.viewer, connection_id)
    return render(request, "console/connect/_sites.html", _context(request, connection))


def _subject(connection: Connection) -> str:
    return f"sites.{connection.pk}"


def _read(connection: Connection) -> None:
    """Begin to read Voke's list, unless it was read within the hour."""
    if runs.read(_subject(connection), at=clock.now()) is None:
        try:
            runs.start(_subject(connection), _work(connection.pk), clock=clock.now)
        except runs.TooManyRuns:
            return  # the page offers to read again


def _work(connection_id: int) -> runs.Work:
    def work(tell: Callable[[runs.Line], None]) -> None:
        connection = Connection.objects.defer(*SECRET_FIELDS).get(pk=connection_id)
        if not connection.rest_base_url:
            tell({"error": said("The connection names no REST address.").packed()})
            return
        try:
            with client_of(connection, current_report_options(), pause=threading.Event().wait) as rest:
                found = rest.sites()
        except (RestError, UndecryptableSecret) as error:
            tell({"error": told_by(error).packed(), "code": getattr(error, "code", "SECRET_UNREADABLE")})
            return
        for site in found.sites[:MOST_SITES]:
            tell({"site_id": site.site_id, "external_plant_id": site.external_plant_id, "name": site.name})

    return work


def _context(request: ConsoleRequest, connection: Connection) -> dict[str, object]:
    run = runs.read(_subject(connection), at=clock.now())
    told = [] if run is None else list(run.lines)
    error = next(({**line, "error": local_packed(line["error"])} for line in told if "error" in line), None)
    offered = list(
        Plant.objects.filter(organisation=request.viewer.organisation).order_by("name", "pk")[:MOST_OFFERED]
    )
    rows = [] if error else [_row(line, offered, connection) for line in told]
    return {
        "connection": connection,
        "run": run,
        "error": error,
        "rows": rows,
        "offered": [one for one in offered if one.voke_uuid is None],
        "open_count": sum(row.plant is None for row in rows),
    }


def _row(line: Mapping[str, str], offered: Sequence[Plant], connection: Connection) -> Row:
    uuid = _uuid(line["site_id"])
    plant = next(
        (
            one
            for one in offered
            if uuid is not None and one.voke_uuid == uuid and one.connection_id == connection.pk
        ),
        None,
    )
    suggested, why = (None, "") if plant else _suggested(line, offered)
    return Row(
        site_id=line["site_id"],
        external_plant_id=line["external_plant_id"],
        name=line["name"],
        plant=plant,
        suggested=suggested,
        why=why,
    )


def _suggested(line: Mapping[str, str], offered: Sequence[Plant]) -> tuple[Plant | None, str]:
    """The one plant without a UUID that has the site's id, else its name; two that fit are no suggestion."""
    free = [one for one in offered if one.voke_uuid is None]
    by_id = [one for one in free if one.external_plant_id == line["external_plant_id"]]
    if len(by_id) == 1:
        return by_id[0], gettext("same id")
    by_name = [one for one in free if one.name.casefold() == line["name"].casefold()]
    return (by_name[0], gettext("same name")) if len(by_name) == 1 else (None, "")


def _map(request: ConsoleRequest, connection: Connection) -> int:
    """Take over what was chosen: the plants are reached over this connection, and have Voke's ids."""
    chosen = _chosen(request)
    if not chosen:
        return 0
    plants = {
        one.pk: one
        for one in Plant.objects.filter(organisation=request.viewer.organisation, pk__in=chosen.values())
    }
    if len(plants) != len(chosen) or len(set(chosen.values())) != len(chosen):
        raise Conflict(
            gettext("A plant was chosen twice, or is not yours."), path="site", code="PLANT_CHOSEN_TWICE"
        )
    at = clock.now()
    with transaction.atomic():
        outside = [one.external_plant_id for one in plants.values() if one.connection_id != connection.pk]
        attach_plants(connection=connection, external_plant_ids=outside)
        written = note_site_ids(
            connection_id=connection.pk,
            organisation_id=request.viewer.organisation.pk,
            ids={plant_id: UUID(site_id) for site_id, plant_id in chosen.items()},
            may_replace=(),
            at=at,
        )
        request.viewer.record(
            "sites.mapped",
            at=at,
            subject=connection.name,
            subject_path=reverse("console:connect:sites", args=[connection.pk]),
            after={plants[pk].external_plant_id: site for site, pk in chosen.items() if pk in written},
        )
    return len(written)


def _chosen(request: ConsoleRequest) -> dict[str, int]:
    """{site id: plant id} of the selects that name a plant."""
    found = {}
    for name, value in list(request.POST.items())[: 2 * MOST_SITES]:
        site_id = name.removeprefix("site-")
        plant_id = number_of(str(value))
        if name != site_id and plant_id is not None and _uuid(site_id) is not None:
            found[site_id] = plant_id
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
