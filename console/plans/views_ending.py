"""Throwing a draft away, and ending a published plan without a successor: each asks first and says what happens."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from console.access import ConsoleRequest, page
from console.plans.asking import day_path, to_address
from console.plans.day import PlannedDay, find_day
from console.plans.effects import cancel_effects
from console.plans.words import day_words
from esm import clock
from people.rights import Right
from plants.errors import DomainError, Invalid
from plants.texts import number_of
from schedules.models import PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.services.drafts import discard_draft
from schedules.services.publishing import cancel_plan

MOST_REASON = 500


@require_http_methods(["GET", "POST"])
@page(Right.ACT)
def discard_part(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Ask, then throw the draft away; it stays in the history."""
    found = find_day(request.viewer.organisation, plant_id, day)
    version = found.open_version
    if request.method == "GET":
        return _dialog(request, "discard", found, version)
    asked = found.version(number_of(request.POST.get("version", "")))
    if asked is not None and asked.state == PlanState.CANCELLED:
        return to_address(request, day_path(found))
    if version is None or asked != version:
        return _dialog(request, "discard", found, version, status=409, changed=True)
    try:
        _discard(request, found, version)
    except DomainError as error:
        return _dialog(request, "discard", found, version, status=409, error=error)
    return to_address(request, day_path(found))


def _discard(request: ConsoleRequest, day: PlannedDay, version: PlanVersion) -> None:
    viewer, at = request.viewer, clock.now()
    with transaction.atomic():
        discard_draft(
            organisation_id=viewer.organisation.pk, version_id=version.pk, actor=viewer.actor, at=at
        )
        viewer.record("plan.discarded", subject=_named(day, version), subject_path=day_path(day), at=at)


@require_http_methods(["GET", "POST"])
@page(Right.ACT)
def cancel_part(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Ask why, then end the published plan."""
    found = find_day(request.viewer.organisation, plant_id, day)
    version = found.published
    if request.method == "GET":
        return _dialog(request, "cancel", found, version)
    asked = found.version(number_of(request.POST.get("version", "")))
    if asked is not None and asked.state == PlanState.CANCELLED:
        return to_address(request, day_path(found))
    if version is None or asked != version:
        return _dialog(request, "cancel", found, version, status=409, changed=True)
    try:
        _cancel(request, found, version, request.POST.get("reason", "")[:MOST_REASON])
    except Invalid as error:
        return _dialog(request, "cancel", found, version, status=422, error=error)
    except DomainError as error:
        return _dialog(request, "cancel", found, version, status=409, error=error)
    return to_address(request, day_path(found))


def _cancel(request: ConsoleRequest, day: PlannedDay, version: PlanVersion, reason: str) -> None:
    viewer, at = request.viewer, clock.now()
    with transaction.atomic():
        cancel_plan(
            organisation_id=viewer.organisation.pk,
            version_id=version.pk,
            actor=viewer.actor,
            reason=reason,
            at=at,
            policy=current_schedule_policy(),
        )
        viewer.record(
            "plan.cancelled",
            subject=_named(day, version),
            subject_path=day_path(day),
            reason=reason,
            before={"version": version.number},
            at=at,
        )


def _named(day: PlannedDay, version: PlanVersion) -> str:
    return f"{day.plant.external_plant_id} {day.day} v{version.number}"


def _dialog(
    request: ConsoleRequest,
    kind: str,
    day: PlannedDay,
    version: PlanVersion | None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    effects = []
    if version is not None and kind == "cancel":
        effects = cancel_effects(day, version, at=clock.now())
    context = {
        "kind": kind,
        "day": day,
        "version": version,
        "title_day": day_words(day.day),
        "effects": effects,
        "gone": gettext("Another version stands there by now. Look again."),
        **more,
    }
    return render(request, "console/plans/_ending.html", context, status=status)
