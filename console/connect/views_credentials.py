"""Credentials of the reverse channel: issued, renewed, disabled. A secret is in one answer and nowhere else."""

import hashlib
import secrets
from dataclasses import dataclass

from django.core.cache import cache
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.access import ConsoleRequest, page
from console.connect.steps import REVERSE, connection_of, has_pulled, stages
from esm import clock
from people.rights import Right
from plants.errors import DomainError
from plants.words import local_text
from trading_api.models import Credential
from trading_api.selectors_pulls import last_pull
from trading_api.services.credentials import (
    IssuedCredentials,
    disable_credential,
    enable_credential,
    issue_credentials,
    renew_secret,
)

PER_PAGE = 50
_FORM_LIVES_S = 86_400
_WORDS = {
    "renew": "credential.renewed",
    "disable": "credential.disabled",
    "enable": "credential.enabled",
}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What Voke gets, once."""

    base_url: str
    client_id: str
    secret: str
    curl: str


@page(Right.CONNECT)
@require_GET
def step(request: ConsoleRequest, connection_id: int) -> HttpResponse:
    """The reverse channel as a step of connecting."""
    connection = connection_of(request.viewer, connection_id)
    context = {**_context(request), "connection": connection, "stages": stages(connection, now=REVERSE)}
    return render(request, "console/connect/reverse.html", context)


@page(Right.CONNECT)
@require_GET
def credentials(request: ConsoleRequest) -> HttpResponse:
    """The credentials of the organisation a page at a time, those that are in use first."""
    return render(request, "console/connect/reverse.html", _context(request))


def _context(request: ConsoleRequest) -> dict[str, object]:
    whose = request.viewer.organisation.pk
    rows = Credential.objects.filter(organisation_id=whose).order_by("-enabled", "client_id")
    shown = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return {
        "credentials": shown,
        "before": shown.previous_page_number() if shown.has_previous() else None,
        "following": shown.next_page_number() if shown.has_next() else None,
        "has_pulled": has_pulled(whose),
        "last": last_pull(organisation_id=whose),
        "base_url": _base_url(request),
        "form_key": secrets.token_hex(16),
    }


@never_cache
@page(Right.CONNECT)
@require_POST
def issue(request: ConsoleRequest) -> HttpResponse:
    """A new client id and its secret, shown in this answer only."""
    at, key = clock.now(), _key(request)
    if key and not cache.add(key, "1", timeout=_FORM_LIVES_S):
        text = gettext("This form issued credentials already; their secret was shown then.")
        return render(request, "console/connect/_given.html", {"problem": text}, status=409)
    try:
        with transaction.atomic():
            issued = issue_credentials(
                organisation=request.viewer.organisation, at=at, label=request.POST.get("label", "").strip()
            )
            _record(request, "credential.issued", issued.credential)
    except DomainError as error:
        if key:
            cache.delete(key)
        return render(
            request, "console/connect/_given.html", {"problem": local_text(error.words)}, status=422
        )
    return _shown_once(request, issued)


def _key(request: ConsoleRequest) -> str:
    """What the cache knows a form by that issues once; '' = the form names none."""
    given = request.POST.get("form_key", "")
    text = f"{request.viewer.organisation.pk} {given}"
    return f"console.issue.{hashlib.sha256(text.encode()).hexdigest()}" if given else ""


@never_cache
@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def change(request: ConsoleRequest, credential_id: int, word: str) -> HttpResponse:
    """GET asks, POST renews, disables or enables."""
    rows = Credential.objects.filter(organisation=request.viewer.organisation, pk=credential_id)
    credential = rows.first()
    if credential is None or word not in _WORDS:
        raise Http404
    if request.method == "GET":
        return render(request, "console/connect/_credential.html", {"credential": credential, "word": word})
    seen = request.POST.get("seen", "")
    with transaction.atomic():
        credential = rows.select_for_update(of=("self",)).get()
        if word == "renew" and seen and seen != str(credential.revision):
            text = gettext("It has a newer secret by now, which was shown then. Look again.")
            return render(request, "console/connect/_given.html", {"problem": text}, status=409)
        issued = None
        if word == "renew" or credential.enabled != (word == "enable"):  # else it is so already
            issued = _change(credential, word)
            _record(request, _WORDS[word], credential)
    if issued is not None:
        return _shown_once(request, issued)
    return HttpResponse(status=204, headers={"HX-Redirect": reverse("console:connect:credentials")})


def _change(credential: Credential, word: str) -> IssuedCredentials | None:
    match word:
        case "renew":
            return renew_secret(credential=credential)
        case "disable":
            disable_credential(credential=credential)
        case _:
            enable_credential(credential=credential)
    return None


def _record(request: ConsoleRequest, action: str, credential: Credential) -> None:
    request.viewer.record(
        action,
        at=clock.now(),
        subject=credential.client_id,
        subject_path=reverse("console:connect:credentials"),
        after={"client_id": credential.client_id, "label": credential.label},
    )


def _shown_once(request: ConsoleRequest, issued: IssuedCredentials) -> HttpResponse:
    base_url, secret = _base_url(request), issued.secret.reveal()
    given = Given(
        base_url=base_url,
        client_id=issued.credential.client_id,
        secret=secret,
        curl=(
            f"curl -sS -X POST {base_url}/trading/token -H 'Content-Type: application/json' "
            f'-d \'{{"clientId":"{issued.credential.client_id}","clientSecret":"{secret}"}}\''
        ),
    )
    return render(request, "console/connect/_given.html", {"given": given})


def _base_url(request: ConsoleRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")
