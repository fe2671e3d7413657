"""The five steps of connecting a Voke: which are done, which is looked at; each has an address of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext

from console.access import Viewer
from console.connect import runs
from esm import clock
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from trading_api.models import PullJournal

PASTE, CHECK, SITES, REVERSE, DONE = "paste", "check", "sites", "reverse", "done"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step: `state` is done, now or open."""

    name: str
    title: str
    url: str
    state: str
    number: int


def connection_of(viewer: Viewer, connection_id: int) -> Connection:
    """One of the organisation's connections without its secrets; another's is as unknown as none."""
    rows = Connection.objects.filter(organisation=viewer.organisation, pk=connection_id).defer(*SECRET_FIELDS)
    connection = rows.first()
    if connection is None:
        raise Http404
    return connection


def check_subject(connection: Connection) -> str:
    """What a connection's check is called among the runs."""
    return f"check.{connection.pk}"


def stages(connection: Connection | None, *, now: str) -> Sequence[Stage]:
    """The steps as they stand; None = nothing is imported yet. Few queries."""
    done = {PASTE} if connection is not None else set()
    if connection is not None:
        done |= _done(connection)
    titles = {
        PASTE: gettext("Paste"),
        CHECK: gettext("Check"),
        SITES: gettext("Map sites"),
        REVERSE: gettext("Reverse channel"),
        DONE: gettext("Activate"),
    }
    return [
        Stage(
            name=name,
            title=title,
            url=_url(name, connection),
            state="now" if name == now else "done" if name in done else "open",
            number=number,
        )
        for number, (name, title) in enumerate(titles.items(), start=1)
    ]


def _done(connection: Connection) -> set[str]:
    found = set()
    run = runs.read(check_subject(connection), at=clock.now())
    if run is not None and not run.running and not any(line["verdict"] == "FAILED" for line in run.lines):
        found.add(CHECK)
    if Plant.objects.filter(connection=connection, voke_uuid__isnull=False).exists():
        found.add(SITES)
    if has_pulled(connection.organisation_id):
        found.add(REVERSE)
    if connection.mode == "ACTIVE":
        found.add(DONE)
    return found


def has_pulled(organisation_id: int) -> bool:
    """Whether Voke has pulled anything with credentials that are enabled."""
    # One join that ends at the first row: as a condition of the credentials it read every pull.
    rows = PullJournal.objects.filter(
        organisation_id=organisation_id,
        status__lt=400,
        credential__organisation_id=organisation_id,
        credential__enabled=True,
    )
    return rows.exists()


def _url(name: str, connection: Connection | None) -> str:
    if connection is None:
        return reverse("console:connect:new") if name == PASTE else ""
    pages = {PASTE: "detail", CHECK: "check", SITES: "sites", REVERSE: "reverse", DONE: "detail"}
    return reverse(f"console:connect:{pages[name]}", args=[connection.pk])
