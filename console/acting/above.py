"""What stands above a plan: emergencies and their release, overrides and their end; each asked again, with a reason."""

import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from console.access import ConsoleRequest, page
from console.acting.forms import EmergencyForm, ExtendForm, ReasonForm
from console.acting.refusals import attempt, codes_of
from console.acting.sending import locked_situation
from console.acting.situation import Situation
from console.acting.standing import slot_ask
from console.acting.views import above_changed, in_dialog, is_htmx, sent_context, situation_or_404
from console.language import stored
from dispatch.models import Command, Kind
from dispatch.policy import current_policy
from dispatch.requests import CommandRequest
from dispatch.services.emergency import release, send_emergency
from dispatch.states import State
from dispatch.words import cause_text, command_title
from esm import clock
from people.rights import Right
from plants.errors import Conflict
from plants.words import label_text
from schedules.models import Override
from schedules.policy import current_schedule_policy
from schedules.services.overrides import end_override, extend_override
from vcp import Emergency, EmergencyType, to_wire

_both = require_http_methods(["GET", "POST"])


def _locked_or_404(request: ConsoleRequest, plant_id: int) -> Situation:
    found = locked_situation(
        organisation_id=request.viewer.organisation.pk, plant_id=plant_id, at=clock.now()
    )
    if found is None:
        raise Http404(_("No such plant"))
    return found


def _asked_again(
    request: ConsoleRequest, situation: Situation, part: str, form: forms.Form, **facts: Any
) -> HttpResponse:
    context = {"form": form, "codes": codes_of(form), **facts}
    return in_dialog(request, situation, part, context, status=422 if form.is_bound else 200)


def _done(
    request: ConsoleRequest, situation: Situation, command: Command | None, notice: str = ""
) -> HttpResponse:
    if not is_htmx(request):
        here = reverse("console:acting:page", args=[situation.plant.pk])
        return redirect(here if command is None else f"{here}?sent={command.pk}")
    if command is None:
        return above_changed(request, situation, notice=notice)
    command.refresh_from_db()
    return above_changed(request, situation, **sent_context(command), notice=notice)


def _page_of(situation: Situation) -> str:
    return reverse("console:acting:page", args=[situation.plant.pk])


# --- emergencies ------------------------------------------------------------------------------------------------------


@page(Right.ACT)
@_both
def emergency(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """STOP or HOLD: what is sent and what stops, then the button that is held."""
    if request.method == "GET":
        situation = situation_or_404(request, plant_id)
        form = EmergencyForm(initial={"key": str(uuid.uuid4()), "type": "STOP"})
        return _asked_again(request, situation, "_emergency.html", form)
    with transaction.atomic():
        situation = _locked_or_404(request, plant_id)
        form = EmergencyForm(request.POST)
        done = _send_emergency(request, situation, form) if form.is_valid() else None
        if done is None:
            return _asked_again(request, situation, "_emergency.html", form)
        return _done(request, situation, done)


def _send_emergency(request: ConsoleRequest, situation: Situation, form: EmergencyForm) -> Command | None:
    plant, asked = situation.plant, form.cleaned_data

    def work() -> Command:
        payload = Emergency(type=EmergencyType(asked["type"]), reason=asked["reason"])
        done = send_emergency(
            organisation_id=plant.organisation_id,
            request=CommandRequest(
                external_plant_id=plant.external_plant_id,
                payload=payload,
                reason=asked["reason"],
                idempotency_key=asked["key"],
            ),
            actor=request.viewer.actor,
            at=situation.at,
            policy=current_policy(),
        )
        if done.created:
            request.viewer.record(
                "emergency.sent",
                at=situation.at,
                subject=f"{plant.name}: {asked['type']}",
                subject_path=_page_of(situation),
                reason=asked["reason"],
                after={"command": done.command.pk, "payload": to_wire(payload)},
            )
        return done.command

    return attempt(form, work, field_of={"payload.reason": "reason", "payload.type": "type"}.get)


@page(Right.ACT)
@_both
def release_emergency(request: ConsoleRequest, plant_id: int) -> HttpResponse:
    """Release what holds the plant; its base mode is sent."""
    if request.method == "GET":
        situation = situation_or_404(request, plant_id)
        latch = situation.latch
        form = ReasonForm(initial={"seen": None if latch is None else latch.pk})
        return _asked_again(request, situation, "_release.html", form, **_release_facts(situation))
    with transaction.atomic():
        situation = _locked_or_404(request, plant_id)
        if situation.latch is None:
            return _done(request, situation, None, _("It had been released already."))
        form = ReasonForm(request.POST)
        done = _release(request, situation, form) if form.is_valid() else None
        if done is None:
            return _asked_again(request, situation, "_release.html", form, **_release_facts(situation))
        return _done(request, situation, done, _released_notice(done))


def _release_facts(situation: Situation) -> dict[str, Any]:
    return {"latch": situation.latch, "base_mode": label_text(situation.plant.base_mode)}


def _release(request: ConsoleRequest, situation: Situation, form: ReasonForm) -> Command | None:
    plant, reason, latch = situation.plant, form.cleaned_data["reason"], situation.latch

    def work() -> Command:
        if latch is None or latch.pk != form.cleaned_data["seen"]:
            raise Conflict(
                _("another emergency is in force by now; look at it first"), code="REVIEW_OUTDATED"
            )
        command = release(
            organisation_id=plant.organisation_id,
            external_plant_id=plant.external_plant_id,
            actor=request.viewer.actor,
            reason=reason,
            at=situation.at,
            policy=current_policy(),
        )
        request.viewer.record(
            "emergency.released",
            at=situation.at,
            subject=f"{plant.name}: {latch.type}",
            subject_path=_page_of(situation),
            reason=reason,
            before={"latch": latch.type, "set_by": latch.set_by_name},
            after={"command": command.pk, "payload": command.payload},
        )
        return command

    return attempt(form, work, field_of={"reason": "reason"}.get)


def _released_notice(command: Command) -> str:
    """Says where the base mode could not be sent."""
    if command.state != State.CANCELLED:
        return ""
    return _("Released, but the base mode was not sent: %(why)s.") % {"why": cause_text(command.cause)}


# --- overrides --------------------------------------------------------------------------------------------------------


def _override(situation: Situation, override_id: int) -> Override:
    rows = Override.objects.filter(plant=situation.plant, organisation_id=situation.plant.organisation_id)
    found = rows.select_related("command").filter(pk=override_id).first()
    if found is None:
        raise Http404(_("No such override"))
    return found


def _override_facts(situation: Situation, row: Override) -> dict[str, Any]:
    ahead = situation.ahead
    return {
        "override": row,
        "override_title": command_title(Kind.SITE_SETPOINT, row.payload),
        "resumes_now": "" if ahead.current is None else slot_ask(ahead.current),
        "cancel_policy": situation.plant.get_cancel_policy_display(),
    }


@page(Right.ACT)
@_both
def extend(request: ConsoleRequest, plant_id: int, override_id: int) -> HttpResponse:
    """Let an override last longer, or shorter."""
    if request.method == "GET":
        situation = situation_or_404(request, plant_id)
        row = _override(situation, override_id)
        form = ExtendForm(initial={"key": str(uuid.uuid4()), "reason": row.reason})
        return _asked_again(request, situation, "_extend.html", form, **_override_facts(situation, row))
    with transaction.atomic():
        situation = _locked_or_404(request, plant_id)
        row = _override(situation, override_id)
        with timezone.override(ZoneInfo(situation.zone)):
            form = ExtendForm(request.POST)
            made = _extend(request, situation, row, form) if form.is_valid() else None
            if made is None:
                return _asked_again(
                    request, situation, "_extend.html", form, **_override_facts(situation, row)
                )
        return _done(request, situation, made.command)


def _extend(
    request: ConsoleRequest, situation: Situation, row: Override, form: ExtendForm
) -> Override | None:
    asked, until_at = form.cleaned_data, form.until_from(row.until_at)

    def work() -> Override:
        made = extend_override(
            organisation_id=row.organisation_id,
            override_id=row.pk,
            until_at=until_at,
            actor=request.viewer.actor,
            reason=asked["reason"],
            at=situation.at,
            policy=current_schedule_policy(),
            idempotency_key=asked["key"],
        )
        if row.ended_at is None:
            request.viewer.record(
                "override.extended",
                at=situation.at,
                subject=stored(
                    lambda: f"{situation.plant.name}: {command_title(Kind.SITE_SETPOINT, row.payload)}"
                ),
                subject_path=_page_of(situation),
                reason=asked["reason"],
                before={"until": row.until_at.isoformat()},
                after={"until": until_at.isoformat(), "command": made.command_id},
            )
        return made

    def field_of(path: str) -> str | None:
        if path in ("until", "payload.validUntil"):
            return "until_at" if asked["until"] == "at" else "until"
        return path if path == "reason" else None

    return attempt(form, work, field_of=field_of)


@page(Right.ACT)
@_both
def end(request: ConsoleRequest, plant_id: int, override_id: int) -> HttpResponse:
    """End an override before its time; the question says what resumes."""
    if request.method == "GET":
        situation = situation_or_404(request, plant_id)
        row = _override(situation, override_id)
        form = ReasonForm(initial={"seen": row.pk})
        return _asked_again(request, situation, "_end.html", form, **_override_facts(situation, row))
    with transaction.atomic():
        situation = _locked_or_404(request, plant_id)
        row = _override(situation, override_id)
        if row.ended_at is not None:
            return _done(request, situation, None, _("The override had ended already."))
        form = ReasonForm(request.POST)
        ended = _end(request, situation, row, form) if form.is_valid() else None
        if ended is None:
            return _asked_again(request, situation, "_end.html", form, **_override_facts(situation, row))
        return _done(request, situation, None, _("The override is over."))


def _end(request: ConsoleRequest, situation: Situation, row: Override, form: ReasonForm) -> Override | None:
    reason = form.cleaned_data["reason"]

    def work() -> Override:
        ended = end_override(
            organisation_id=row.organisation_id,
            override_id=row.pk,
            actor=request.viewer.actor,
            reason=reason,
            at=situation.at,
            policy=current_schedule_policy(),
        )
        request.viewer.record(
            "override.ended",
            at=situation.at,
            subject=stored(
                lambda: f"{situation.plant.name}: {command_title(Kind.SITE_SETPOINT, row.payload)}"
            ),
            subject_path=_page_of(situation),
            reason=reason,
            before={"until": row.until_at.isoformat()},
        )
        return ended

    return attempt(form, work, field_of={"reason": "reason"}.get)
