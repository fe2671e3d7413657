"""What may be done about a command: take it back, after a review of what that sends; ask once more why it is silent.

Both are safe to repeat: a second taking back finds what the first did, a second check is refused while one runs.
"""

import uuid
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from console.access import ConsoleRequest, page
from console.commands.filters import filters_of
from console.commands.life import Life
from console.commands.pages import command_context, life_or_404
from console.commands.taking_back import effects_of, is_offered, refusal_text, told
from console.commands.words import full_title
from console.language import stored
from dispatch.policy import current_policy
from dispatch.services.checking_again import check_again
from dispatch.services.retracting import retract
from esm import clock
from people.rights import Right
from plants.errors import DomainError
from plants.words import local_text

LONGEST_REASON = 500


@page(Right.ACT)
def cancel(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """The review, then the act."""
    life = life_or_404(request.viewer, command_id, at=clock.now())
    if request.method != "POST":
        return _review(request, life)
    reason = str(request.POST.get("reason", "")).strip()
    problem = _problem(reason)
    if problem:
        return _review(request, life, reason=reason, error=problem, status=422)
    try:
        with transaction.atomic():
            row = retract(
                command_id=command_id,
                organisation_id=request.viewer.organisation.pk,
                actor=request.viewer.actor,
                reason=reason,
                at=life.at,
                policy=current_policy(),
            )
            request.viewer.record(
                "command.taken_back",
                at=life.at,
                subject=stored(lambda: f"#{command_id} {full_title(life.command)}"),
                subject_path=reverse("console:commands:command", args=[command_id]),
                reason=reason,
                before={"state": life.command.state},
                after={"how": "UNSENT" if row is None else str(row.how)},
            )
    except DomainError as refusal:
        return _review(request, life, reason=reason, refusal=refusal_text(refusal), status=409)
    return _done(request, command_id, told(life, row))


def _problem(reason: str) -> str:
    if not reason:
        return _("Say why: the reason is kept with the command.")
    if len(reason) > LONGEST_REASON:
        return _("At most %(most)s characters.") % {"most": LONGEST_REASON}
    return "" if reason.isprintable() else _("Only text in one line, please.")


def _review(request: ConsoleRequest, life: Life, *, status: int = 200, **more: Any) -> HttpResponse:
    """What would be sent, and a reason to give."""
    context: dict[str, Any] = {
        "life": life,
        "command": life.command,
        "plant": life.command.plant,
        "title": full_title(life.command),
        "effects": [],
        "form_key": request.POST.get("form_key") or uuid.uuid4().hex,
        "filters": filters_of({}),
        **more,
    }
    try:
        context["effects"] = effects_of(life)
        if not is_offered(life) and not more:
            context["refusal"] = _("There is nothing to take back any more.")
    except DomainError as refusal:
        context["refusal"] = refusal_text(refusal)
    if request.headers.get("HX-Request"):
        answer = render(request, "console/commands/_cancel_dialog.html", context, status=status)
        answer["HX-Retarget"] = "#dialogs"
        answer["HX-Reswap"] = "innerHTML"
        return answer
    return render(request, "console/commands/cancel.html", context, status=status)


@page(Right.ACT)
def check(request: ConsoleRequest, command_id: int) -> HttpResponseBase:
    """Look into a silence once more."""
    address = reverse("console:commands:command", args=[command_id])
    life = life_or_404(request.viewer, command_id, at=clock.now())
    if request.method != "POST":
        return redirect(address)
    try:
        with transaction.atomic():
            check_again(
                command_id=command_id,
                organisation_id=request.viewer.organisation.pk,
                actor=request.viewer.actor,
                at=life.at,
            )
            request.viewer.record(
                "command.checked_again",
                at=life.at,
                subject=stored(lambda: f"#{command_id} {full_title(life.command)}"),
                subject_path=address,
            )
    except DomainError as refusal:
        return _done(request, command_id, ("doubt", _refused(refusal)))
    return _done(request, command_id, ("move", _("It is looked into again; the answer appears here.")))


_REFUSED = {
    "NOTHING_TO_EXPLAIN": gettext_noop("There is no silence to explain any more."),
    "CHECKED_JUST_NOW": gettext_noop("It was looked into just now, or still is: the answer appears here."),
}


def _refused(refusal: DomainError) -> str:
    return _(_REFUSED[refusal.code]) if refusal.code in _REFUSED else local_text(refusal.words)


def _done(request: ConsoleRequest, command_id: int, notice: tuple[str, str]) -> HttpResponseBase:
    """The command as the database holds it now."""
    if not request.headers.get("HX-Request"):
        return redirect("console:commands:command", command_id)
    life = life_or_404(request.viewer, command_id, at=clock.now())
    context = command_context(request.viewer, life, {}, notice=notice) | {"filters": filters_of({})}
    return render(request, "console/commands/_command.html", context)
