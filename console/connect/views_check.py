"""The checks of a connection, one by one as they come: the same code as `manage.py check_connection`."""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods

from console.access import ConsoleRequest, page
from console.connect import runs
from console.connect.steps import CHECK, check_subject, connection_of, stages
from console.language import stored
from esm import clock
from link.checkup import CHECKS, CheckOptions, CheckResult, checks
from people.rights import Right
from plants.models import Connection
from plants.selectors.connections import SECRET_FIELDS
from plants.words import local_packed

_TITLES = {
    "address": gettext_noop("Stored address"),
    "host": gettext_noop("Host name"),
    "port": gettext_noop("Port"),
    "tls": gettext_noop("TLS and certificate"),
    "login": gettext_noop("Login"),
    "vhost": gettext_noop("Virtual host"),
    "queues": gettext_noop("Queues"),
    "publish": gettext_noop("May publish"),
    "events": gettext_noop("Events arrive"),
    "signature": gettext_noop("Signature accepted"),
    "clock": gettext_noop("Clocks"),
    "rest": gettext_noop("REST key and sites"),
}


@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def check(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """GET shows the last run and its steps; POST begins one."""
    connection = connection_of(request.viewer, connection_id)
    full = ""
    if request.method == "POST":
        probe = request.POST.get("publish") == "on"
        try:
            runs.start(check_subject(connection), _work(connection.pk, probe=probe), clock=clock.now)
        except runs.TooManyRuns:
            full = gettext("Other checks are running. Try again in a minute.")
        else:
            request.viewer.record("connection.checked", at=clock.now(), subject=connection.name)
    context = {**_context(connection), "full": full, "stages": stages(connection, now=CHECK)}
    template = "_lines.html" if request.method == "POST" else "check.html"
    return render(request, f"console/connect/{template}", context)


@page(Right.CONNECT)
@require_GET
def lines(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """What the run has found so far."""
    connection = connection_of(request.viewer, connection_id)
    return render(request, "console/connect/_lines.html", _context(connection))


def _context(connection: Connection) -> dict[str, object]:
    run = runs.read(check_subject(connection), at=clock.now())
    told = {} if run is None else {line["step"]: _told(line) for line in run.lines}
    steps = [
        {"step": one.step.value, "title": gettext(_TITLES[one.step.value]), "line": told.get(one.step.value)}
        for one in CHECKS
    ]
    current = next((one["step"] for one in steps if one["line"] is None), "") if run and run.running else ""
    return {"connection": connection, "run": run, "steps": steps, "current": current, "mail": _mail(run)}


def _work(connection_id: int, *, probe: bool) -> runs.Work:
    options = CheckOptions(
        ca_file=settings.AMQP_CA_FILE or None,
        over_network=settings.LINK_TRANSPORT == "amqps",
        publish=probe,
        ack_timeout_s=settings.ACK_TIMEOUT_S,
    )

    def work(tell: Callable[[runs.Line], None]) -> None:
        connection = Connection.objects.defer(*SECRET_FIELDS).get(pk=connection_id)
        for result in checks(connection, clock=clock.now, options=options):
            tell(_line(result))

    return work


def _line(result: CheckResult) -> runs.Line:
    return {
        "step": result.step.value,
        "verdict": result.verdict.value,
        "code": result.code,
        "words": result.words.packed(),
        "fix": result.fix.packed(),
    }


def _told(line: runs.Line) -> runs.Line:
    """A line in the page's language: the run had none, and knew nothing of who would read it."""
    return {**line, "words": local_packed(line["words"]), "fix": local_packed(line["fix"])}


def _mail(run: runs.Run | None) -> str:
    """A text for Voke's people, in English: what was found, without a secret; '' when nothing failed."""
    if run is None or not any(line["verdict"] == "FAILED" for line in run.lines):
        return ""
    found = [
        f"{line['verdict']:<8} {_TITLES[line['step']]}: {stored(partial(local_packed, line['words']))}"
        for line in run.lines
    ]
    begun = f"{run.begun_at:%Y-%m-%d %H:%M:%S} UTC"
    return "\n".join([f"We checked our connection to Voke at {begun}:", "", *found])
