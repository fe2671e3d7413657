"""A person's own page: how pages look, password, second factor, where they are signed in, what they did lately."""

from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from console.account.asking import PersonRequest, is_partial, part, refused, signed_in, typed, with_wait
from console.account.factor_views import factor_state
from console.account.words import action_words
from esm import clock
from people.selectors.audit import AuditFilter, entries
from people.selectors.sessions import sessions_of
from people.services.acts import write_down
from people.services.passwords import change_password
from people.services.sessions import end_session as end_one
from people.services.sessions import end_sessions as end_others
from people.services.theme import set_theme
from plants.errors import DomainError
from plants.words import local_text

_LATELY = 6


@require_GET
@signed_in
def own(request: PersonRequest) -> HttpResponse:
    """The page."""
    return _page(request, {})


def _page(request: PersonRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    at = clock.now()
    lately, _more = entries(of=AuditFilter(organisation_id=None, user_id=request.person.pk), limit=_LATELY)
    whole = {
        **factor_state(request),
        "layout": request.layout,
        "nav": "account",
        "person": request.person,
        "sessions": sessions_of(request.person, this=request.session.session_key, at=at),
        "lately": [(entry, action_words(entry.action)) for entry in lately],
        **context,
    }
    return part(request, "console/account/own.html", whole, status=status)


@require_POST
@signed_in
def theme(request: PersonRequest) -> HttpResponse:
    """How pages look for this person, on every device."""
    try:
        set_theme(user=request.person, theme=request.POST.get("theme", ""))
    except DomainError as error:
        return HttpResponse(local_text(error.words), status=422, content_type="text/plain; charset=utf-8")
    if request.POST.get("from") == "page":
        return redirect("console:account:own")
    return HttpResponse(status=204)


@require_POST
@signed_in
def password(request: PersonRequest) -> HttpResponse:
    """A new password; every other session ends."""
    new = typed(request.POST, "new", most=1000)
    if new != typed(request.POST, "again", most=1000):
        error = {"text": _("The two passwords differ."), "path": "again", "code": "DIFFERENT"}
        return _card(request, "password", {"error": error}, status=422)
    try:
        ended = change_password(
            doer=request.doer,
            old=typed(request.POST, "old", most=1000),
            new=new,
            keep_session=request.session.session_key,
            at=clock.now(),
        )
    except DomainError as wrong:
        return with_wait(_card(request, "password", refused(wrong), status=422), wrong)
    update_session_auth_hash(request, request.person)
    text = ngettext(
        "Your password is changed. %(count)d other session was ended.",
        "Your password is changed. %(count)d other sessions were ended.",
        ended,
    ) % {"count": ended}
    return _card(request, "password", {"done": text})


@require_POST
@signed_in
def end_session(request: PersonRequest) -> HttpResponse:
    """Ends one other session, or all others."""
    at, this = clock.now(), request.session.session_key
    public = typed(request.POST, "session", most=32)
    if public:
        mine = {one.public for one in sessions_of(request.person, this=this, at=at) if one.is_this}
        count = 0 if public in mine else int(end_one(user=request.person, public=public))
    else:
        count = end_others(user=request.person, keep=this)
    if count:
        write_down(request.doer, "account.sessions_ended", at=at, after={"sessions_ended": count})
    text = ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", count) % {
        "count": count
    }
    sessions = sessions_of(request.person, this=this, at=at)
    return _card(request, "sessions", {"done": text, "sessions": sessions})


def _card(request: PersonRequest, name: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """The card alone for a script; the whole page otherwise, with the words in that card."""
    if is_partial(request):
        return part(
            request,
            f"console/account/parts/{name}.html",
            {"person": request.person, **context},
            status=status,
        )
    told = {f"{name}_{key}": value for key, value in context.items()}
    return _page(request, told, status=status)
