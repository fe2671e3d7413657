"""The second factor of the person who is signed in: set up, replace, remove, new recovery codes."""

from datetime import datetime
from typing import Any

import django_otp
import segno
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.account.asking import PersonRequest, is_partial, part, refused, signed_in, typed, with_wait
from esm import clock
from people.errors import SignInRefused, TooManyAttempts
from people.middleware import is_verified, needs_set_up
from people.selectors.people import has_factor
from people.services.acts import write_down
from people.services.factors import (
    Enrolment,
    begin_enrolment,
    check_code,
    confirm_enrolment,
    is_enrolling,
    make_recovery_codes,
    remove_factor,
)
from people.services.sessions import end_sessions
from plants.encryption import Secret
from plants.errors import Conflict, DomainError

_FACTOR = "console/account/parts/factor.html"


@require_GET
@signed_in
def second_factor(request: PersonRequest) -> HttpResponse:
    """The page of its own: where people are led who must have one."""
    return _page(request, factor_state(request))


@require_POST
@signed_in
def start(request: PersonRequest) -> HttpResponse:
    """Shows the picture for the app. Who has an app already gives its code first."""
    at = clock.now()
    if has_factor(request.person):
        try:
            _take_code(request, at)
        except (SignInRefused, TooManyAttempts) as error:
            return _refuse(request, error, {"asking": "replace"})
    enrolment = begin_enrolment(user=request.person, at=at)
    return _answer(request, _picture(enrolment))


@require_POST
@signed_in
def confirm(request: PersonRequest) -> HttpResponse:
    """The app's first code: from now on it is asked for. Shows the recovery codes, once; the picture never again."""
    at, person = clock.now(), request.person
    try:
        device, codes = confirm_enrolment(
            doer=request.doer,
            code=typed(request.POST, "code", most=40),
            keep_session=request.session.session_key,
            at=at,
        )
    except DomainError as error:
        return _refuse(request, error, {"confirming": is_enrolling(user=person, at=at)})
    request.session.cycle_key()
    django_otp.login(request, device)
    return _answer(request, _shown(codes))


@require_POST
@signed_in
def remove(request: PersonRequest) -> HttpResponse:
    """Takes the second factor away, for its code; where one is required it can only be replaced."""
    at = clock.now()
    try:
        if settings.TWO_FACTOR == "required":
            raise Conflict(
                _("This installation requires a second factor: replace it instead."), code="REQUIRED"
            )
        _take_code(request, at)
    except DomainError as error:
        return _refuse(request, error, {"asking": "remove"})
    with transaction.atomic():
        remove_factor(user=request.person)
        ended = end_sessions(user=request.person, keep=request.session.session_key)
        write_down(request.doer, "account.factor_removed", at=at, after={"sessions_ended": ended})
    request.session.pop(django_otp.DEVICE_ID_SESSION_KEY, None)
    return _answer(request, {"done": _("The second factor is gone. Your password alone opens your account.")})


@require_POST
@signed_in
def new_codes(request: PersonRequest) -> HttpResponse:
    """New recovery codes, for a code of the app; the old ones are dead."""
    at = clock.now()
    try:
        _take_code(request, at)
        with transaction.atomic():
            codes = make_recovery_codes(user=request.person, at=at)
            write_down(request.doer, "account.recovery_codes_made", at=at)
    except DomainError as error:
        return _refuse(request, error, {"asking": "codes"})
    return _answer(request, _shown(codes))


def factor_state(request: PersonRequest) -> dict[str, Any]:
    """What the card shows of it."""
    return {
        "has_factor": has_factor(request.person),
        "required": settings.TWO_FACTOR == "required",
        "must_set_up": needs_set_up(request),
        "verified": is_verified(request),
    }


def _take_code(request: PersonRequest, at: datetime) -> None:
    check_code(
        user=request.person,
        code=typed(request.POST, "code", most=40),
        address=request.doer.address,
        at=at,
    )


def _refuse(request: PersonRequest, error: DomainError, context: dict[str, Any]) -> HttpResponse:
    return with_wait(_answer(request, {**context, **refused(error)}, status=422), error)


def _picture(enrolment: Enrolment) -> dict[str, Any]:
    """The QR code as SVG, drawn here: the secret goes to nobody else. The text is for typing."""
    drawn = segno.make(enrolment.uri.reveal(), error="m").svg_inline(
        border=3, dark="#000", light="#fff", omitsize=True
    )
    text = enrolment.secret.reveal()
    groups = " ".join(text[start : start + 4] for start in range(0, len(text), 4))
    return {"qr": mark_safe(drawn), "secret": groups}  # noqa: S308 - segno's own drawing, no text of others


def _shown(codes: list[Secret]) -> dict[str, Any]:
    return {"codes": [code.reveal() for code in codes]}


def _answer(request: PersonRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    whole = {**factor_state(request), **context}
    return (
        part(request, _FACTOR, whole, status=status) if is_partial(request) else _page(request, whole, status)
    )


def _page(request: PersonRequest, context: dict[str, Any], status: int = 200) -> HttpResponse:
    if not context["must_set_up"] and not context.keys() & {"qr", "codes", "asking", "done", "error"}:
        return redirect("console:account:own")
    return part(
        request, "console/account/second_factor.html", {"layout": request.layout, **context}, status=status
    )
