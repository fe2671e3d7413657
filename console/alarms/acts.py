"""What people do in the inbox. Nothing of it goes to Voke: it may be taken back, and the page says so.

Each act is one service call and one entry of the audit in one transaction. It answers the pane as the database has it
now: 200, 422 with what is wrong at its field; 409, to htmx 200 and a notice, when somebody else was first.
"""

import json
from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from console.access import ConsoleRequest, page
from console.alarms.asked import asked_of
from console.alarms.missing import missing
from console.alarms.shown import inbox_of, name_of
from console.alarms.views import answer, wants_part
from esm import clock
from people.rights import Right
from plants.errors import Conflict, DomainError, Invalid, NotFound
from plants.models import AlarmCase, AlarmNote, User
from plants.selectors.alarm_inbox import PAGE, case_of
from plants.services.alarm_care import acknowledge, assign, close, comment, reopen, take_back
from plants.texts import number_of, numbers_of
from plants.words import local_text, stored_label

_Act = Callable[[AlarmCase, datetime], AlarmNote]


@require_POST
@page(Right.ACT)
def acknowledge_it(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """Seen, and cared for by this person."""
    key, by = _key(request), request.viewer.user
    return _do(
        request,
        case_id,
        lambda case, at: acknowledge(case_id=case.pk, by=by, request_key=key, at=at),
        action="alarm.acknowledged",
        said=gettext("Acknowledged"),
        undo="take_back",
    )


@require_POST
@page(Right.ACT)
def take_it_back(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """It was acknowledged by mistake."""
    key, by = _key(request), request.viewer.user
    return _do(
        request,
        case_id,
        lambda case, at: take_back(case_id=case.pk, by=by, request_key=key, at=at),
        action="alarm.acknowledgement_taken_back",
        said=gettext("Acknowledgement taken back"),
    )


@require_POST
@page(Right.ACT)
def assign_it(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """`owner`: me, '' (nobody) or the id of somebody of the organisation."""
    key, by, wanted = _key(request), request.viewer.user, request.POST.get("owner", "")

    def act(case: AlarmCase, at: datetime) -> AlarmNote:
        owner = _owner(wanted, request.viewer.user)
        return assign(case_id=case.pk, owner=owner, by=by, request_key=key, at=at)

    return _do(request, case_id, act, action="alarm.assigned", said=gettext("Assigned"))


def _owner(wanted: str, me: User) -> User | None:
    if wanted == "me":
        return me
    if not wanted:
        return None
    number = number_of(wanted)
    person = None if number is None else User.objects.filter(pk=number).first()
    if person is None:
        raise Invalid(gettext("Choose one of the people."), path="owner", code="NOT_A_MEMBER")
    return person


@require_POST
@page(Right.ACT)
def comment_on_it(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """Say something."""
    key, by, text = _key(request), request.viewer.user, request.POST.get("text", "")
    return _do(
        request,
        case_id,
        lambda case, at: comment(case_id=case.pk, text=text, by=by, request_key=key, at=at),
        action="alarm.commented",
        said="",
        kept={"text": text},
    )


@require_POST
@page(Right.ACT)
def close_it(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """Put it away; with a reason while it is raised."""
    key, by, why = _key(request), request.viewer.user, request.POST.get("why", "")
    return _do(
        request,
        case_id,
        lambda case, at: close(case_id=case.pk, why=why, by=by, request_key=key, at=at),
        action="alarm.closed",
        said=gettext("Closed"),
        undo="reopen",
        kept={"why": why},
    )


@require_POST
@page(Right.ACT)
def reopen_it(request: ConsoleRequest, case_id: int) -> HttpResponseBase:
    """Back into the inbox."""
    key, by = _key(request), request.viewer.user
    return _do(
        request,
        case_id,
        lambda case, at: reopen(case_id=case.pk, by=by, request_key=key, at=at),
        action="alarm.reopened",
        said=gettext("Opened again"),
    )


@require_POST
@page(Right.ACT)
def close_cleared(request: ConsoleRequest) -> HttpResponseBase:
    """Close what is over of those that the page showed (`ids`); what was raised again since stays."""
    viewer, at = request.viewer, clock.now()
    shown = numbers_of(request.POST.get("ids", "")[:2000].split(","))
    cases = inbox_of(viewer).cases().filter(pk__in=shown[:PAGE], closed_at__isnull=True, is_raised=False)
    closed = 0
    for case in cases.order_by("pk"):
        with transaction.atomic():
            try:
                close(case_id=case.pk, why="", by=viewer.user, at=at)
            except (Conflict, Invalid):  # closed by somebody, or raised again meanwhile
                continue
            _record(request, case, "alarm.closed", at)
            closed += 1
    asked = asked_of(request.GET.dict())
    address = f"{reverse('console:alarms:list')}{asked.query}"
    if wants_part(request):
        return HttpResponse(status=204, headers={"HX-Redirect": address, "X-Closed": str(closed)})
    return redirect(address)


# --- parts ------------------------------------------------------------------------------------------------------------


def _key(request: ConsoleRequest) -> str:
    return request.POST.get("request_key", "")[:64]


def _do(
    request: ConsoleRequest,
    case_id: int,
    act: _Act,
    *,
    action: str,
    said: str,
    undo: str = "",
    kept: dict[str, str] | None = None,
) -> HttpResponseBase:
    """Do it, write it down, answer the pane. `undo` names the page that takes it back, `kept` what was typed."""
    at, inbox = clock.now(), inbox_of(request.viewer)
    try:
        before = case_of(inbox, case_id=case_id)
    except NotFound:
        return missing(request)
    try:
        with transaction.atomic():
            note = act(before, at)
            if not note.repeated:
                _record(request, before, action, at, reason=note.text)
    except (Invalid, Conflict) as error:
        # Of two at once the second gets what the first has made of it: to a page that is no failure.
        status = 422 if isinstance(error, Invalid) else 200 if wants_part(request) else 409
        now = case_of(inbox, case_id=case_id)
        return answer(
            request, now, status=status, problem=_problem(error), kept=kept or {}, open_form=error.path
        )
    if not wants_part(request):
        return redirect(
            f"{reverse('console:alarms:case', args=[case_id])}{asked_of(request.GET.dict()).query}"
        )
    response = answer(request, case_of(inbox, case_id=case_id))
    told = {
        "id": case_id,
        "said": said,
        "undo": reverse(f"console:alarms:{undo}", args=[case_id]) if undo else "",
    }
    response["HX-Trigger"] = json.dumps({"alarm-done": told})
    return response


def _record(request: ConsoleRequest, case: AlarmCase, action: str, at: datetime, *, reason: str = "") -> None:
    after = inbox_of(request.viewer).cases().select_related("owner").get(pk=case.pk)
    place = case.plant.name if case.plant is not None else ""
    request.viewer.record(
        action,
        at=at,
        subject=f"{stored_label(case.code)}, {place}" if place else stored_label(case.code),
        subject_path=reverse("console:alarms:case", args=[case.pk]),
        reason=reason,
        before=_state(case),
        after=_state(after),
    )


def _state(case: AlarmCase) -> dict[str, object]:
    return {
        "owner": None if case.owner is None else name_of(case.owner),
        "acknowledged": case.acknowledged_at is not None,
        "closed": case.closed_at is not None,
    }


def _problem(error: DomainError) -> dict[str, str]:
    words = {
        "ALREADY_ACKNOWLEDGED": gettext("Somebody else was first: see below who has acknowledged it."),
        "ALREADY_CLOSED": gettext("It is closed meanwhile: open it again to work on it."),
        "NOT_ACKNOWLEDGED": gettext("The acknowledgement was taken back already."),
        "NOT_CLOSED": gettext("It is open already."),
        "REASON_REQUIRED": gettext("It is still raised. Say why it can be closed."),
        "REQUIRED": gettext("Write something first."),
        "TOO_LONG": gettext("That is too long."),
        "NOT_A_MEMBER": gettext("This person can't own the alarm. Choose one of the list."),
    }
    return {"code": error.code, "path": error.path, "text": words.get(error.code, local_text(error.words))}
