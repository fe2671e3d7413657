"""The organisation's people: who may do what, invitations, and what an admin does for a person who is stuck."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.access import ConsoleRequest, page
from console.account.asking import doer_of, is_partial, part, refused, typed
from console.account.mailing import mail_link
from console.account.words import action_words, matrix_lines, role_word
from esm import clock
from people.rights import Right, Role
from people.selectors.audit import AuditFilter, entries
from people.selectors.links import open_invitations
from people.selectors.people import counts_of, people_of, person_of
from people.services.acts import Doer
from people.services.links import IssuedLink, invite, offer_new_password, withdraw_link
from people.services.members import change_role, deactivate, reactivate, reset_factor
from plants.errors import DomainError, NotFound
from plants.models import User
from plants.words import local_text

_LATELY = 8
_NAV = {"nav": "people"}


@require_GET
@page(Right.MANAGE)
def people(request: ConsoleRequest) -> HttpResponse:
    """The list; searched and paged by the address."""
    return _list(request, {})


def _list(request: ConsoleRequest, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    organisation_id = request.viewer.organisation.pk
    text, after = typed(request.GET, "q", most=80).strip(), typed(request.GET, "after", most=150)
    rows, following = people_of(organisation_id=organisation_id, text=text, after=after)
    whole = {
        **_NAV,
        "rows": [(row, role_word(row.role)) for row in rows],
        "following": following,
        "text": text,
        "after": after,
        "counts": counts_of(organisation_id),
        "invitations": [
            (link, role_word(Role(link.role)))
            for link in open_invitations(organisation_id=organisation_id, at=clock.now())
        ],
        "roles": _roles(),
        "matrix": matrix_lines(),
        "required": settings.TWO_FACTOR == "required",
        "request_key": secrets.token_hex(16),
        **context,
    }
    return part(request, "console/account/people.html", whole, status=status)


def _roles() -> list[tuple[str, str, str]]:
    """Key, word and meaning of each role."""
    return [(role.value, role_word(role), str(role.label).partition(": ")[2]) for role in Role]


@require_POST
@page(Right.MANAGE)
def invite_person(request: ConsoleRequest) -> HttpResponse:
    """Makes an invitation; its link stands on the answer and nowhere else."""
    asked = {name: typed(request.POST, name, most=200) for name in ("name", "email", "role", "request_key")}
    try:
        issued = invite(doer=doer_of(request), at=clock.now(), **asked)
    except DomainError as error:
        return _list(request, {"typed": asked, "inviting": True, **refused(error)}, status=422)
    return _list(request, {"issued": _issued(request, issued)})


@require_POST
@page(Right.MANAGE)
def withdraw(request: ConsoleRequest, link_id: int) -> HttpResponse:
    """Nobody gets in by this invitation any more."""
    try:
        withdraw_link(doer=doer_of(request), link_id=link_id, at=clock.now())
    except NotFound as error:
        return _list(request, {"told": local_text(error.words)}, status=404)
    return _list(request, {"told": _("The invitation is withdrawn.")})


@require_GET
@page(Right.MANAGE)
def person(request: ConsoleRequest, person_id: int) -> HttpResponse:
    """One person: role, second factor, password, whether they may sign in, what they did lately."""
    return _person(request, person_id, {})


def _person(
    request: ConsoleRequest, person_id: int, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    organisation_id = request.viewer.organisation.pk
    row = person_of(organisation_id=organisation_id, user_id=person_id)
    if row is None:
        raise Http404
    lately, _more = entries(of=AuditFilter(organisation_id=organisation_id, user_id=person_id), limit=_LATELY)
    whole = {
        **_NAV,
        "row": row,
        "role_word": role_word(row.role),
        "is_self": row.id == request.viewer.user.pk,
        "roles": _roles(),
        "lately": [(entry, action_words(entry.action)) for entry in lately],
        **context,
    }
    template = "parts/person.html" if is_partial(request) else "person.html"
    return part(request, f"console/account/{template}", whole, status=status)


@require_POST
@page(Right.MANAGE)
def change(request: ConsoleRequest, person_id: int, act: str) -> HttpResponse:
    """One change of a person; the answer shows them as they are afterwards."""
    do = _ACTS.get(act)
    if do is None:
        raise Http404
    try:
        context = do(request, doer_of(request), person_id, clock.now())
    except NotFound:
        raise Http404 from None
    except DomainError as error:
        return _person(request, person_id, {"acted": act, **refused(error)}, status=422)
    if not is_partial(request) and "issued" not in context:
        return redirect("console:account:person", person_id)
    return _person(request, person_id, context)


def _change_role(request: HttpRequest, doer: Doer, person_id: int, at: datetime) -> dict[str, Any]:
    user = change_role(doer=doer, user_id=person_id, role=typed(request.POST, "role", most=8), at=at)
    return {"told": _("The role is %(role)s now.") % {"role": role_word(Role(user.role))}}


def _deactivate(request: HttpRequest, doer: Doer, person_id: int, at: datetime) -> dict[str, Any]:
    deactivate(doer=doer, user_id=person_id, reason=_reason(request), at=at)
    return {"told": _("Signed out everywhere, and can't sign in any more.")}


def _reactivate(request: HttpRequest, doer: Doer, person_id: int, at: datetime) -> dict[str, Any]:
    reactivate(doer=doer, user_id=person_id, at=at)
    return {"told": _("May sign in again.")}


def _reset_factor(request: HttpRequest, doer: Doer, person_id: int, at: datetime) -> dict[str, Any]:
    reset_factor(doer=doer, user_id=person_id, reason=_reason(request), at=at)
    return {"told": _("The second factor is gone, and every session with it.")}


def _new_password(request: ConsoleRequest, doer: Doer, person_id: int, at: datetime) -> dict[str, Any]:
    user = User.objects.filter(pk=person_id, organisation_id=doer.home, is_active=True).first()
    if user is None:
        raise NotFound(_("There is no such person in this organisation."))
    return {"issued": _issued(request, offer_new_password(doer=doer, user=user, at=at))}


_ACTS: Mapping[str, Callable[[Any, Doer, int, datetime], dict[str, Any]]] = {
    "role": _change_role,
    "deactivate": _deactivate,
    "activate": _reactivate,
    "reset-factor": _reset_factor,
    "new-password": _new_password,
}


def _reason(request: HttpRequest) -> str:
    return typed(request.POST, "reason", most=500).strip()


def _issued(request: ConsoleRequest, issued: IssuedLink) -> dict[str, Any]:
    """The link as it is shown once, and what became of the mail."""
    path = reverse("console:account:link", args=[issued.secret.reveal()])
    url = request.build_absolute_uri(path)
    mailed = mail_link(issued.link, url=url, by=request.viewer.name)
    return {"url": url, "link": issued.link, "mailed": mailed}
