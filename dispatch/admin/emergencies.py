"""Emergencies of named plants and their release: a page that says what happens, and the button that does it."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from dispatch.admin.forms import EmergencyForm, ReasonForm
from dispatch.admin.looks import latch_chip
from dispatch.admin.sending import actor_of, plant_facts, plants_to_send_to
from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.requests import CommandRequest
from dispatch.selectors import open_latch
from dispatch.services.emergency import release, send_emergency
from dispatch.states import State
from dispatch.words import released_text
from esm import clock
from plants.admin.marks import ago, change_url, lines
from plants.admin.pages import Page, posted, run_page, show_page
from plants.admin.refusals import REFUSALS, problems_of, texts_of
from plants.models import Plant
from plants.texts import numbers_of
from plants.words import label_text
from vcp import Emergency, EmergencyType

MAX_PLANTS = 200


def emergency_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """One page that names the plants and what happens; the button does it."""
    ids = numbers_of(request.GET.get("plants", "").split(","))[: MAX_PLANTS + 1]
    plants = (
        list(plants_to_send_to().filter(pk__in=ids).order_by("name")[:MAX_PLANTS])
        if len(ids) <= MAX_PLANTS
        else []
    )
    if not plants:
        messages.error(request, f"Choose between 1 and {MAX_PLANTS} plants first.")
        return redirect("admin:plants_plant_changelist")
    form = EmergencyForm(posted(request), plants=len(plants), initial={"key": str(uuid.uuid4())})
    if request.method == "POST" and form.is_valid():
        done = _send_emergencies(request, form, plants)
        if done is not None:
            return done
    return show_page(model_admin, request, page=_emergency_page(plants), form=form)


def _emergency_page(plants: Sequence[Plant]) -> Page:
    one = plants[0]
    named = one.name if len(plants) == 1 else f"{len(plants)} plants"
    return Page(
        title=f"Emergency for {named}?",
        submit=f"Send the emergency to {named}",
        facts=plant_facts(one) if len(plants) == 1 else [("Plants", lines(plant for plant in plants))],
        effects=(
            "The emergency goes before everything else in the outbox and is issued again until it is delivered.",
            "Commands of the plant that were not sent yet are taken back.",
            "The plant is latched: nothing else is sent to it until a person releases it with a reason.",
        ),
        back=change_url(one) if len(plants) == 1 else reverse("admin:plants_plant_changelist"),
        danger=True,
    )


def _send_emergencies(
    request: HttpRequest, form: EmergencyForm, plants: Sequence[Plant]
) -> HttpResponse | None:
    """Each plant for itself: one that can't be reached must not spare the others."""
    sent: list[Command] = []
    refused: list[str] = []
    key = form.cleaned_data["key"]
    for plant in plants:
        try:
            submitted = send_emergency(
                organisation_id=plant.organisation_id,
                request=CommandRequest(
                    external_plant_id=plant.external_plant_id,
                    payload=Emergency(
                        type=EmergencyType(form.cleaned_data["type"]), reason=form.cleaned_data["reason"]
                    ),
                    reason=form.cleaned_data["reason"],
                    batch_ref=f"emergency-{key[:8]}" if len(plants) > 1 else "",
                    idempotency_key=f"{key}:{plant.pk}",
                ),
                actor=actor_of(request),
                at=clock.now(),
                policy=current_policy(),
            )
            sent.append(submitted.command)
        except REFUSALS as error:
            refused.append(f"{plant.name}: {texts_of(problems_of(error))}")
    for text in refused:
        form.add_error(None, text)
    if not sent:
        return None
    return _after_emergencies(request, sent, refused)


def _after_emergencies(request: HttpRequest, sent: Sequence[Command], refused: Sequence[str]) -> HttpResponse:
    messages.warning(request, f"Emergency sent to {'1 plant' if len(sent) == 1 else f'{len(sent)} plants'}.")
    for text in refused:
        messages.error(request, f"Not sent to {text}")
    if len(sent) == 1:
        return redirect(change_url(sent[0]))
    return redirect(f"{reverse('admin:dispatch_command_changelist')}?q={sent[0].batch_ref}")


def release_view(model_admin: "ModelAdmin[Any]", request: HttpRequest, plant_id: int) -> HttpResponse:
    """Release a plant's emergency with a reason."""
    plant: Plant = get_object_or_404(plants_to_send_to(), pk=plant_id)
    latch = open_latch(plant_id=plant.pk)
    if latch is None:
        messages.info(request, f"{plant.name} has no emergency to release.")
        return redirect(change_url(plant))
    form = ReasonForm(posted(request))
    page = Page(
        title=f"Release the emergency of {plant.name}?",
        submit="Release",
        facts=[
            ("Emergency", latch_chip(latch.type)),
            ("Set by", latch.set_by_name),
            ("Set", ago(latch.set_at, now=clock.now(), zone=plant.time_zone)),
            *plant_facts(plant),
        ],
        effects=(
            f"The base mode of the plant is sent: {label_text(plant.base_mode)}.",
            "Commands and plans may be sent to the plant again.",
            "If the emergency has not left yet, it is taken back.",
        ),
        back=change_url(plant),
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        command = release(
            organisation_id=plant.organisation_id,
            external_plant_id=plant.external_plant_id,
            actor=actor_of(request),
            reason=asked["reason"],
            at=clock.now(),
            policy=current_policy(),
        )
        level = messages.WARNING if command.state == State.CANCELLED else messages.SUCCESS
        messages.add_message(request, level, released_text(plant.name, command))
        return redirect(change_url(command))

    return run_page(model_admin, request, page=page, form=form, act=act, row=plant)
