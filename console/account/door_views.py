"""Coming in and going out: password, code, sign-out, one-time links, and the organisation that staff look at."""

from datetime import datetime, timedelta
from typing import Any

import django_otp
from django.conf import settings
from django.contrib.auth import login, logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.access import CHOSEN
from console.account.asking import (
    PersonRequest,
    address_of,
    own_path,
    part,
    refused,
    signed_in,
    typed,
    with_wait,
)
from console.account.browsers import browser_words
from esm import clock
from people.errors import LinkDead, SignInRefused, TooManyAttempts
from people.models import TotpDevice
from people.selectors.links import living_link
from people.selectors.people import has_factor
from people.services.acts import Doer, write_down
from people.services.factors import check_code
from people.services.links import Newcomer, join, set_password_by_link
from people.services.sign_in import (
    BROWSER_COOKIE_AGE_S,
    Credentials,
    check_password,
    is_marked_for,
    mark_for,
)
from people.sessions import ADDRESS, BROWSER
from plants.errors import DomainError
from plants.models import Organisation, User
from plants.texts import number_of
from trading_api.paths import is_admin

BROWSER_COOKIE = "busbar_browser"
WAITING = "people.waits_for_code"
"""Session key: who gave the right password and owes the code; nobody is signed in by it."""
_CODE_WITHIN = timedelta(minutes=5)
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_ORGANISATIONS_SHOWN = 50


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """User name and password."""
    onward = own_path(request, request.POST.get("next") or request.GET.get("next", ""))
    if request.method == "GET":
        if isinstance(request.user, User):
            return redirect(_onward_for(request.user, onward))
        return _sign_in_page(request, onward)
    at = clock.now()
    given = Credentials(
        username=typed(request.POST, "username", most=150).strip(),
        password=typed(request.POST, "password", most=1000),
        address=address_of(request),
        browser_mark=request.COOKIES.get(BROWSER_COOKIE, ""),
    )
    try:
        user = check_password(given=given, at=at)
    except TooManyAttempts as error:
        return with_wait(_sign_in_page(request, onward, **refused(error)), error)
    except SignInRefused as error:
        return _sign_in_page(request, onward, status=422, username=given.username, **refused(error))
    if not has_factor(user):
        return _enter(request, user, onward=onward, at=at)
    request.session.flush()
    request.session[WAITING] = {"user": user.pk, "at": at.isoformat(), "next": onward}
    return redirect("console:account:code")


def _sign_in_page(request: HttpRequest, onward: str, *, status: int = 200, **context: Any) -> HttpResponse:
    return part(
        request, "console/account/sign_in.html", {"next": onward, "username": "", **context}, status=status
    )


@never_cache
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step: a code of the app, or a recovery code."""
    at = clock.now()
    waiting = _waiting(request, at)
    if waiting is None:
        return redirect(settings.LOGIN_URL)
    user, onward = waiting
    if request.method == "GET":
        return part(request, "console/account/code.html", {})
    try:
        typed_code = typed(request.POST, "code", most=40)
        device = check_code(user=user, code=typed_code, address=address_of(request), at=at)
    except (SignInRefused, TooManyAttempts) as error:
        return with_wait(part(request, "console/account/code.html", refused(error), status=422), error)
    return _enter(request, user, onward=onward, at=at, device=device)


def _waiting(request: HttpRequest, at: datetime) -> tuple[User, str] | None:
    found = request.session.get(WAITING)
    if found is None or at - datetime.fromisoformat(found["at"]) > _CODE_WITHIN:
        return None
    user = User.objects.filter(pk=found["user"], is_active=True).first()
    return None if user is None else (user, found["next"])


@transaction.atomic
def _enter(
    request: HttpRequest, user: User, *, onward: str, at: datetime, device: TotpDevice | None = None
) -> HttpResponse:
    """A new session for the person; whatever the browser held before is gone."""
    request.session.flush()
    login(request, user, backend=_BACKEND)
    request.session[ADDRESS] = address_of(request)
    request.session[BROWSER] = browser_words(request.META.get("HTTP_USER_AGENT", ""))
    if device is not None:
        django_otp.login(request, device)
    doer = Doer(user=user, organisation_id=user.organisation_id, address=address_of(request))
    write_down(
        doer,
        "session.started",
        at=at,
        after={"second_factor": device is not None, "browser": request.session[BROWSER]},
    )
    response = redirect(_onward_for(user, onward))
    if not is_marked_for(user, request.COOKIES.get(BROWSER_COOKIE, "")):
        response.set_cookie(
            BROWSER_COOKIE,
            mark_for(user),
            max_age=BROWSER_COOKIE_AGE_S,
            path=resolve_url(settings.LOGIN_URL),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def _onward_for(user: User, onward: str) -> str:
    """Where the person goes on; the admin is for staff alone, and would send others back here."""
    if is_admin(onward) and (user.organisation_id is not None or not user.is_staff):
        onward = ""
    return onward or resolve_url(settings.LOGIN_REDIRECT_URL)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends this session."""
    if isinstance(request.user, User):
        user = request.user
        doer = Doer(user=user, organisation_id=user.organisation_id, address=address_of(request))
        write_down(doer, "session.ended", at=clock.now())
        logout(request)
    return redirect(settings.LOGIN_URL)


@require_http_methods(["GET", "POST"])
@signed_in
def choose(request: PersonRequest) -> HttpResponse:
    """Staff choose the organisation that they look at; others are told that they belong to none."""
    person = request.person
    if person.organisation_id is not None:
        return redirect(settings.LOGIN_REDIRECT_URL)
    text = typed(request.GET, "q", most=80).strip()
    context: dict[str, Any] = {"is_staff": person.is_staff, "text": text, "person": person}
    if not person.is_staff:
        return part(request, "console/account/choose.html", context, status=403)
    if request.method == "POST":
        chosen = Organisation.objects.filter(pk=number_of(request.POST.get("organisation", "")) or 0).first()
        if chosen is not None:
            request.session[CHOSEN] = chosen.pk
            doer = Doer(user=person, organisation_id=chosen.pk, address=request.doer.address)
            write_down(doer, "organisation.entered", at=clock.now(), subject=chosen.name)
            return redirect(settings.LOGIN_REDIRECT_URL)
        context["error"] = {"text": _("There is no such organisation."), "path": "", "code": "NOT_FOUND"}
    found = Organisation.objects.filter(name__icontains=text) if text else Organisation.objects.all()
    rows = list(found.order_by("name")[: _ORGANISATIONS_SHOWN + 1])
    context |= {
        "organisations": rows[:_ORGANISATIONS_SHOWN],
        "more": len(rows) > _ORGANISATIONS_SHOWN,
        "chosen": request.session.get(CHOSEN),
    }
    return part(request, "console/account/choose.html", context, status=422 if "error" in context else 200)


@never_cache
@require_http_methods(["GET", "POST"])
def one_time_link(request: HttpRequest, secret: str) -> HttpResponse:
    """An invitation, or a new password: what the link is for stands on its page."""
    at = clock.now()
    try:
        link = living_link(secret, at=at)
    except LinkDead as error:
        return part(request, "console/account/link_dead.html", refused(error), status=410)
    template = "console/account/new_password.html" if link.user else "console/account/join.html"
    first, _gap, last = link.name.partition(" ")
    fields = {"username": link.email or "", "first_name": first, "last_name": last}
    if request.method == "GET":
        return part(request, template, {"link": link, "typed": fields})
    fields = {name: typed(request.POST, name, most=150) for name in fields}
    password, again = typed(request.POST, "password", most=1000), typed(request.POST, "again", most=1000)
    if password != again:
        differ = {"text": _("The two passwords differ."), "path": "again", "code": "DIFFERENT"}
        return part(request, template, {"link": link, "typed": fields, "error": differ}, status=422)
    try:
        address = address_of(request)
        if link.user:
            set_password_by_link(secret=secret, password=password, address=address, at=at)
        else:
            join(secret=secret, newcomer=Newcomer(password=password, **fields), address=address, at=at)
    except LinkDead as gone:
        return part(request, "console/account/link_dead.html", refused(gone), status=410)
    except DomainError as wrong:
        return part(request, template, {"link": link, "typed": fields, **refused(wrong)}, status=422)
    return redirect("console:account:welcome")


@never_cache
@require_GET
def welcome(request: HttpRequest) -> HttpResponse:
    """The password is set: sign in with it (that is where the second factor is asked for)."""
    return _sign_in_page(request, "", done=_("Your password is set. Sign in with it."))
