"""Pasting a bundle: shown at once as it was understood, imported as a connection that observes, or put into one."""

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from console.access import ConsoleRequest, page
from console.connect.pasted import Understood, understand
from console.connect.steps import PASTE, connection_of, stages
from dispatch.policy import current_policy
from dispatch.services.takeover import take_over
from esm import clock
from people.rights import Right
from plants.errors import Conflict, DomainError, Invalid, Several
from plants.models import Connection
from plants.selectors.connections import SECRET_FIELDS
from plants.services.connection_settings import replace_secrets
from plants.services.connections import import_bundle
from plants.texts import number_of
from vcp import KeyDecoding, ProtocolError

_REFUSED = "ADDRESS_REFUSED"


@never_cache
@sensitive_post_parameters("bundle")
@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def new(request: ConsoleRequest) -> HttpResponse:
    """The first step. The pasted text is never written back into the page."""
    if request.method == "GET":
        return _form(request)
    try:
        connection = _import(request)
    except DomainError as error:
        return _form(request, problems=_problems(error))
    address = reverse("console:connect:check", args=[connection.pk])
    return _on(request, address)


@never_cache
@sensitive_post_parameters("bundle")
@page(Right.CONNECT)
@require_POST
def read(request: ConsoleRequest) -> HttpResponse:
    """How the pasted text is understood, while it is typed; nothing is stored."""
    text = request.POST.get("bundle", "")
    if not text.strip():
        return HttpResponse("")
    try:
        found = understand(text)
    except Invalid as error:
        return render(request, "console/connect/_understood.html", {"problems": [error]})
    context = {"found": found, "rival": _rival(request, found), "refused": found.host_code == _REFUSED}
    return render(request, "console/connect/_understood.html", context)


@never_cache
@sensitive_post_parameters("bundle")
@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def replace(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """A new bundle for a connection: Voke issued a new key; plants, mode and history stay."""
    connection = connection_of(request.viewer, connection_id)
    context: dict[str, object] = {"connection": connection, "problems": []}
    if request.method == "POST":
        try:
            _replace(request, connection)
        except DomainError as error:
            context["problems"] = _problems(error)
        else:
            return _on(request, reverse("console:connect:check", args=[connection.pk]))
    status = 422 if context["problems"] else 200
    return render(request, "console/connect/bundle.html", context, status=status)


def _replace(request: ConsoleRequest, connection: Connection) -> None:
    found = _usable(request.POST.get("bundle", ""))
    at = clock.now()
    with transaction.atomic():
        try:
            replace_secrets(
                connection=connection,
                bundle=found.bundle,
                key_decoding=KeyDecoding(connection.key_decoding),
            )
        except ProtocolError as error:
            raise Invalid(error.words, path=error.path or "bundle", code=error.code) from None
        request.viewer.record(
            "connection.bundle_replaced",
            at=at,
            subject=connection.name,
            subject_path=reverse("console:connect:detail", args=[connection.pk]),
            after={"vhost": found.bundle.vhost, "key_id": found.bundle.key_id},
        )


def _import(request: ConsoleRequest) -> Connection:
    posted, at = request.POST, clock.now()
    found = _usable(posted.get("bundle", ""))
    decoding = posted.get("key_decoding", KeyDecoding.HEX.value)
    if decoding not in {kind.value for kind in KeyDecoding}:
        raise Invalid(gettext("not a way to read the key"), path="key_decoding", code="INVALID")
    with transaction.atomic():
        connection = import_bundle(
            organisation=request.viewer.organisation,
            bundle=found.bundle,
            name=posted.get("name", "").strip() or "Voke",
            source=posted.get("source", "").strip() or "busbar",
            scopes=[],
            sign_emergency=settings.SIGN_EMERGENCY,
            key_decoding=KeyDecoding(decoding),
            at=at,
        )
        taken = _take_over(request, connection)
        request.viewer.record(
            "connection.imported",
            at=at,
            subject=connection.name,
            subject_path=reverse("console:connect:detail", args=[connection.pk]),
            after={
                "vhost": connection.vhost,
                "host": next(one.text for one in found.members if one.name == "host"),
                "takes_over": taken,
            },
        )
    return connection


def _take_over(request: ConsoleRequest, connection: Connection) -> str:
    """The name of the connection whose plants moved, '' = none was asked for."""
    wanted = request.POST.get("takes_over", "")
    if not wanted:
        return ""
    old = _own(request).filter(pk=number_of(wanted) or 0).first()
    if old is None:
        raise Invalid(gettext("there is no such connection"), path="takes_over", code="NOT_FOUND")
    take_over(old=old, new=connection, at=clock.now(), policy=current_policy())
    return old.name


def _usable(text: str) -> Understood:
    found = understand(text)
    if found.host_code == _REFUSED:
        raise Conflict(found.host_problem, path="bundle.amqpsUri", code=_REFUSED)
    return found


def _rival(request: ConsoleRequest, found: Understood) -> Connection | None:
    """A connection of the organisation with the same slug at Voke, which the new one could take over from."""
    rows = _own(request).filter(slug=found.bundle.slug, succeeded_by__isnull=True, retired_at__isnull=True)
    return rows.order_by("pk").first()


def _own(request: ConsoleRequest) -> "QuerySet[Connection]":
    return Connection.objects.filter(organisation=request.viewer.organisation).defer(*SECRET_FIELDS)


def _problems(error: DomainError) -> Sequence[DomainError]:
    return error.problems if isinstance(error, Several) else [error]


def _form(request: ConsoleRequest, *, problems: Sequence[DomainError] = ()) -> HttpResponse:
    context = {
        "stages": stages(None, now=PASTE),
        "problems": problems,
        "name": request.POST.get("name", "Voke"),
        "source": request.POST.get("source", "busbar"),
        "decodings": [(kind.value, kind.value) for kind in KeyDecoding],
    }
    return render(request, "console/connect/new.html", context, status=422 if problems else 200)


def _on(request: ConsoleRequest, address: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
