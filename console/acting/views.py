"""The command box: fill in, check as you type, dry run, review, send; a part of a page for HTMX, else a page.

A form is read on the plant's wall clock. 200 with the new state, 422 with the form and its errors, 404 for a plant of
another organisation.
"""

import json
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.access import ConsoleRequest, page
from console.acting.asked import Asked, Route, envelope_of, is_signed
from console.acting.box import Box, banner_context, box_context
from console.acting.finding import Finding, fails
from console.acting.findings import effects_of, findings_of, standing_against
from console.acting.forms import TABS, BoxForm, DeviceForm
from console.acting.refusals import attempt, codes_of, problems_of, sentence, tell
from console.acting.sending import Sent, locked_situation, problems_against, seen_of, send
from console.acting.situation import Situation, situation_of
from dispatch.models import Command
from dispatch.selectors import last_commands
from dispatch.words import command_title
from esm import clock
from people.rights import Right
from plants.models import Plant
from plants.texts import number_of
from plants.words import label_text
from vcp import ProtocolError, format_timestamp, to_wire


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part of a page is asked for."""
    return bool(request.headers.get("HX-Request"))


def situation_or_404(request: ConsoleRequest, plant_id: int) -> Situation:
    """What is in force at a plant of the viewer's organisation."""
    found = situation_of(organisation_id=request.viewer.organisation.pk, plant_id=plant_id, at=clock.now())
    if found is None:
        raise Http404(_("No such plant"))
    return found


def in_dialog(
    request: ConsoleRequest, situation: Situation, part: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """A question as a dialog, or as a page of its own where there is no JavaScript."""
    facts = {**context, "situation": situation, "plant": situation.plant, "part": f"console/acting/{part}"}
    facts["back"] = reverse("console:acting:page", args=[situation.plant.pk])
    name = "_dialog.html" if is_htmx(request) else "dialog_page.html"
    return render(request, f"console/acting/{name}", facts, status=status)


@page()
@require_GET
def act(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """The page of its own: what is in force, the box, the last commands."""
    situation = situation_or_404(request, plant_id)
    box = Box.of(situation, tab=request.GET.get("tab", ""), asset=request.GET.get("asset", ""))
    found = _sent_shown(request, situation)
    context = _page_context(box, request) | ({} if found is None else sent_context(found))
    return render(request, "console/acting/page.html", context)


def _page_context(box: Box, request: ConsoleRequest) -> dict[str, Any]:
    plant = box.situation.plant
    state = box.situation.state
    return {
        "plant": plant,
        "rows": _rows_of(plant),
        "mode_now": "" if state is None else label_text(state.mode),
        **banner_context(box.situation),
        **box_context(box, request.viewer),
    }


def _rows_of(plant: Plant) -> list[tuple[Command, str]]:
    return [(one, command_title(one.kind, one.payload)) for one in last_commands(plant_id=plant.pk, limit=8)]


@page()
@require_GET
def rows(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """The last commands, as they are now."""
    plant = get_object_or_404(Plant, organisation=request.viewer.organisation, pk=plant_id)
    return render(request, "console/acting/_rows.html", {"plant": plant, "rows": _rows_of(plant)})


def _sent_shown(request: ConsoleRequest, situation: Situation) -> Command | None:
    asked = number_of(request.GET.get("sent", ""))
    if asked is None:
        return None
    return Command.objects.select_related("plant").filter(plant=situation.plant, pk=asked).first()


@page()
@require_GET
def box(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """The box on another tab."""
    situation = situation_or_404(request, plant_id)
    asked = Box.of(situation, tab=request.GET.get("tab", ""), asset=request.GET.get("asset", ""))
    if not is_htmx(request):
        return redirect(f"{reverse('console:acting:page', args=[plant_id])}?{request.GET.urlencode()}")
    context = {"situation": situation, "plant": situation.plant, **box_context(asked, request.viewer)}
    return render(request, "console/acting/_form.html", context)


@page()
@require_GET
def banner(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """What stands above the plan, as it is now."""
    situation = situation_or_404(request, plant_id)
    return render(
        request, "console/acting/_banner.html", {"plant": situation.plant, **banner_context(situation)}
    )


@page()
@require_GET
def sent(request: ConsoleRequest, plant_id: int, command_id: int) -> HttpResponse:
    """How far a command has come that was sent from here."""
    rows = Command.objects.filter(organisation=request.viewer.organisation, plant_id=plant_id)
    command = get_object_or_404(rows.select_related("plant"), pk=command_id)
    return render(request, "console/acting/_sent.html", sent_context(command, created=True))


def sent_context(command: Command, *, created: bool = True) -> dict[str, Any]:
    """For `_sent.html`: a command that was sent from here, as the database has it."""
    title = command_title(command.kind, command.payload)
    return {"sent": command, "sent_title": title, "created": created, "plant": command.plant}


# --- before it is sent ------------------------------------------------------------------------------------------------


def _form(request: ConsoleRequest, situation: Situation, tab: str) -> BoxForm:
    form_type = TABS.get(tab)
    if form_type is None:
        raise Http404(_("No such tab"))
    return form_type(request.POST, situation=situation)


def _asked(form: BoxForm) -> Asked | None:
    """What a form asks for; None = it is not valid, and says why."""
    if not form.is_valid():
        return None
    try:
        return form.asked()
    except ProtocolError as error:
        tell(form, problems_of(error), form.field_of)
        return None


def _findings(form: BoxForm, asked: Asked, situation: Situation) -> list[Finding]:
    asset = form.chosen if isinstance(form, DeviceForm) else None
    return findings_of(asked, situation, problems_against(asked, situation), asset=asset)


def _form_findings(form: BoxForm) -> list[Finding]:
    """What keeps a form from being read; an empty number is no news while somebody types."""
    untyped = "amount" in form.errors and not form.data.get("amount", "").strip()
    return [
        fails(
            sentence(str(error.message % error.params if error.params else error.message)),
            code=str(error.code),
        )
        for name, errors in form.errors.items()
        for error in errors.as_data()
        if error.code != "required" and not (untyped and name == "amount")
    ]


@page(Right.ACT)
@require_POST
def check(request: ConsoleRequest, plant_id: int, tab: str) -> HttpResponse:
    """As you type: what stands for and against it."""
    situation = situation_or_404(request, plant_id)
    with timezone.override(ZoneInfo(situation.zone)):
        form = _form(request, situation, tab)
        asked = _asked(form)
        if asked is None:
            found = [*standing_against(situation), *_form_findings(form)]
        else:
            found = _findings(form, asked, situation)
    blocked = asked is None or any(one.family == "fail" for one in found)
    return render(
        request, "console/acting/_findings.html", {"findings": found, "blocked": blocked, "asked": asked}
    )


@page(Right.ACT)
@require_POST
def dry_run(request: ConsoleRequest, plant_id: int, tab: str) -> HttpResponse:
    """The full check, with everything listed and the payload as it would be sent; nothing is stored."""
    situation = situation_or_404(request, plant_id)
    with timezone.override(ZoneInfo(situation.zone)):
        form = _form(request, situation, tab)
        asked = _asked(form)
        if asked is None:
            return _form_again(request, situation, form)
        return in_dialog(request, situation, "_dry_run.html", _preview(form, asked, situation))


def _preview(form: BoxForm, asked: Asked, situation: Situation) -> dict[str, Any]:
    routing_key, envelope = envelope_of(asked, situation)
    found = _findings(form, asked, situation)
    return {
        "asked": asked,
        "findings": found,
        "blocked": any(one.family == "fail" for one in found),
        "effects": effects_of(asked, situation),
        "is_override": asked.route is Route.OVERRIDE,
        "is_signed": is_signed(asked, situation),
        "routing_key": routing_key,
        "envelope": json.dumps(envelope, indent=2, ensure_ascii=False),
        "stop": None if asked.stop is None else json.dumps(to_wire(asked.stop), indent=2, ensure_ascii=False),
    }


@page(Right.ACT)
@require_POST
def review(request: ConsoleRequest, plant_id: int, tab: str) -> HttpResponse:
    """The exact effect, and the button that sends it."""
    situation = situation_or_404(request, plant_id)
    with timezone.override(ZoneInfo(situation.zone)):
        form = _form(request, situation, tab)
        asked = _asked(form)
        if asked is None:
            return _form_again(request, situation, form)
        refusals = problems_against(asked, situation)
        if refusals:
            tell(form, refusals, form.field_of)
            return _form_again(request, situation, form)
        return _review_of(request, situation, form, asked)


def _review_of(
    request: ConsoleRequest, situation: Situation, form: BoxForm, asked: Asked, *, status: int = 200
) -> HttpResponse:
    carried = request.POST.copy()
    carried["fixed_from"] = format_timestamp(form.starts_at)
    carried["fixed_until"] = "" if asked.until_at is None else format_timestamp(asked.until_at)
    carried["seen"] = seen_of(asked, situation)
    carried["key"] = asked.key or str(uuid.uuid4())
    hidden = [(name, value) for name in form.fields if name != "reason" for value in carried.getlist(name)]
    context = {
        **_preview(form, asked, situation),
        "form": form,
        "hidden": hidden,
        "needs_reason": asked.route is Route.OVERRIDE,
        "reason_given": form.TAKES_REASON,
        "until_at": asked.until_at,
    }
    return in_dialog(request, situation, "_review.html", context, status=status)


def _form_again(request: ConsoleRequest, situation: Situation, form: BoxForm) -> HttpResponse:
    """422: the box with its errors at their fields."""
    asked = Box(situation=situation, form=form)
    if not is_htmx(request):
        return render(request, "console/acting/page.html", _page_context(asked, request), status=422)
    context = {"situation": situation, "plant": situation.plant, **box_context(asked, request.viewer)}
    return _retargeted(render(request, "console/acting/_form.html", context, status=422), "#act-box")


def _retargeted(answer: HttpResponse, target: str) -> HttpResponse:
    answer["HX-Retarget"], answer["HX-Reswap"] = target, "outerHTML"
    return answer


# --- sending ----------------------------------------------------------------------------------------------------------


@page(Right.ACT)
@require_POST
def send_reviewed(request: ConsoleRequest, plant_id: int, tab: str) -> HttpResponse:
    """Send what was reviewed, once."""
    with transaction.atomic():
        situation = locked_situation(
            organisation_id=request.viewer.organisation.pk, plant_id=plant_id, at=clock.now()
        )
        if situation is None:
            raise Http404(_("No such plant"))
        with timezone.override(ZoneInfo(situation.zone)):
            return _send(request, situation, tab)


def _send(request: ConsoleRequest, situation: Situation, tab: str) -> HttpResponse:
    form = _form(request, situation, tab)
    asked = _asked(form)
    if asked is None or not form.cleaned_data["seen"] or asked.key is None:
        return _form_again(request, situation, form)
    fixed, seen = asked, form.cleaned_data["seen"]
    done = attempt(
        form,
        lambda: send(asked=fixed, seen=seen, situation=situation, viewer=request.viewer),
        field_of=form.field_of,
    )
    if done is None:
        return _refused(request, situation, form, asked)
    return _after_sending(request, situation, done)


def _refused(request: ConsoleRequest, situation: Situation, form: BoxForm, asked: Asked) -> HttpResponse:
    """A reason that is missing is asked for again; everything else needs another look at the form."""
    codes = codes_of(form)
    if set(codes) <= {"reason"} or "REVIEW_OUTDATED" in codes.get("", []):
        return _review_of(request, situation, form, asked, status=422)
    return _form_again(request, situation, form)


def _after_sending(request: ConsoleRequest, situation: Situation, done: Sent) -> HttpResponse:
    if not is_htmx(request):
        here = reverse("console:acting:page", args=[situation.plant.pk])
        return redirect(f"{here}?sent={done.command.pk}")
    done.command.refresh_from_db()
    return above_changed(request, situation, **sent_context(done.command, created=done.created))


def above_changed(request: ConsoleRequest, situation: Situation, **context: Any) -> HttpResponse:
    """After an act: the dialog goes, the banner and what was sent are shown as the database has them."""
    now = situation_of(
        organisation_id=situation.plant.organisation_id, plant_id=situation.plant.pk, at=situation.at
    )
    facts = {
        **context,
        "viewer": request.viewer,
        "plant": situation.plant,
        **banner_context(now or situation),
    }
    answer = HttpResponse(render_to_string("console/acting/_done.html", facts, request=request))
    answer["HX-Trigger-After-Settle"] = "acting:done"
    return answer
