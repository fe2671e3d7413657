"""Sending from the admin: choose a plant, fill in, review the exact effect, send; emergencies and their release.

Send is two steps, and the second carries an idempotency key: a double click sends once. What the review shows is what
was checked against plant, assets, limits, scopes, switches and latch a moment before; sending checks it all again.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from dispatch.admin.forms import (
    COMMAND_FORMS,
    CommandForm,
    DeviceForm,
    EmergencyForm,
    ReasonForm,
    SetpointForm,
)
from dispatch.admin.looks import latch_chip
from dispatch.models import Command, Kind
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandRequest
from dispatch.selectors import open_latch
from dispatch.services.commands import check, submit
from dispatch.services.emergency import release, send_emergency
from dispatch.states import State
from dispatch.validity import with_end
from dispatch.words import command_title, released_text
from esm import clock
from plants.admin.base import without_secrets
from plants.admin.looks import mode_chip
from plants.admin.marks import NOTHING, ago, change_url, fresh, lines, moment, zone_of
from plants.admin.pages import Page, PageForm, posted, run_page, show_page
from plants.admin.refusals import REFUSALS, attempt, problems_of, texts_of
from plants.admin.theme import autocomplete
from plants.models import Plant
from plants.words import grid_text, label_text, percent_text
from vcp import (
    Emergency,
    EmergencyType,
    Family,
    Mode,
    SiteSetpoint,
    format_timestamp,
    must_be_signed,
    to_wire,
)

MAX_PLANTS = 200
_TABS = ((Kind.SITE_SETPOINT, "Setpoint"), (Kind.DEVICE, "Devices"), (Kind.MODE, "Mode"))


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person as the one who asks."""
    user: Any = request.user
    return Actor(name=user.get_username(), user=user)


class ChoosePlantForm(PageForm):
    """Which plant is meant."""

    plant = forms.ModelChoiceField(queryset=Plant.objects.all(), help_text="Type a name or an external id.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["plant"]
        field.widget = autocomplete(Command._meta.get_field("plant"))
        field.widget.choices = field.choices


def _plants() -> Any:
    rows = Plant.objects.select_related("connection", "organisation", "state")
    return without_secrets(rows, "connection")


def send_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Choose, fill in, review, send."""
    asked = request.GET.get("plant", "")
    if not asked.isdecimal():
        return _choose_plant(model_admin, request)
    plant: Plant = get_object_or_404(_plants(), pk=int(asked))
    kind = request.GET.get("kind", "")
    form_type = COMMAND_FORMS.get(kind, SetpointForm)
    with timezone.override(zone_of(plant.time_zone)):
        form = form_type(posted(request), plant=plant)
        if request.method == "POST" and form.is_valid():
            done = _act(model_admin, request, form)
            if done is not None:
                return done
    return show_page(
        model_admin,
        request,
        page=_form_page(plant, form),
        form=form,
        template="admin/dispatch/command/send.html",
    )


def _choose_plant(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    form = ChoosePlantForm(posted(request))
    page = Page(title="Send a command", lead="Choose the plant first.", submit="Continue")
    here = reverse("admin:dispatch_command_send")
    return run_page(
        model_admin,
        request,
        page=page,
        form=form,
        act=lambda found: redirect(f"{here}?plant={found['plant'].pk}"),
    )


def _act(model_admin: "ModelAdmin[Any]", request: HttpRequest, form: CommandForm) -> HttpResponse | None:
    """What the pressed button asks for; None shows the form again."""
    match request.POST.get("do"):
        case "send":
            return _send(request, form)
        case "review":
            return _review(model_admin, request, form)
        case "dry_run":
            data = _completed(request.POST, form)
            checked = _bound(form, data)
            if _check(form, checked) is not None:
                messages.success(request, "Dry run: this fits. Nothing was stored or sent.")
    return None


def _completed(posted: QueryDict, form: CommandForm) -> QueryDict:
    """The form's data with what the reviewed request must hold still: its start and its idempotency key."""
    data = posted.copy()
    if isinstance(form, SetpointForm) and not form.cleaned_data["valid_from"]:
        starts = form.cleaned_data["due_at"] or clock.now()
        data["valid_from"] = format_timestamp(starts)
    data["idempotency_key"] = str(uuid.uuid4())
    return data


def _bound(form: CommandForm, data: QueryDict) -> CommandForm:
    again = type(form)(data, plant=form.plant)
    again.is_valid()
    return again


def _check(form: CommandForm, completed: CommandForm) -> CommandRequest | None:
    """The request if it would be taken now; else the form says why not."""

    def work() -> CommandRequest:
        request = completed.command_request()
        check(
            organisation_id=form.plant.organisation_id,
            request=request,
            at=clock.now(),
            policy=current_policy(),
        )
        return request

    return attempt(form, work, field_of=form.field_of)


def _review(model_admin: "ModelAdmin[Any]", request: HttpRequest, form: CommandForm) -> HttpResponse | None:
    completed = _bound(form, _completed(request.POST, form))
    asked = _check(form, completed)
    if asked is None:
        return None
    page = _review_page(form.plant, asked)
    return show_page(
        model_admin, request, page=page, form=completed, template="admin/dispatch/command/review.html"
    )


def _send(request: HttpRequest, form: CommandForm) -> HttpResponse | None:
    done = attempt(
        form,
        lambda: submit(
            organisation_id=form.plant.organisation_id,
            request=form.command_request(),
            actor=actor_of(request),
            at=clock.now(),
            policy=current_policy(),
        ),
        field_of=form.field_of,
    )
    if done is None:
        return None
    if done.created:
        messages.success(
            request, f"Command #{done.command.pk} for {form.plant.name} is {done.command.state.lower()}."
        )
    else:
        messages.info(request, f"Command #{done.command.pk} had already been sent by this form.")
    return redirect(change_url(done.command))


def _form_page(plant: Plant, form: CommandForm) -> Page:
    here = reverse("admin:dispatch_command_send")
    latch = open_latch(plant_id=plant.pk)
    return Page(
        title=f"Send a command to {plant.name}",
        submit="Review",
        facts=plant_facts(plant),
        back=change_url(plant),
        extra={
            "plant": plant,
            "latch": latch,
            "latch_chip": latch_chip(latch.type) if latch is not None else "",
            "tabs": [
                (title, f"{here}?plant={plant.pk}&kind={kind.value}", kind == form.kind)
                for kind, title in _TABS
            ],
            "device_rows": form.rows() if isinstance(form, DeviceForm) else [],
        },
    )


def plant_facts(plant: Plant) -> list[tuple[str, object]]:
    """What a person should have before the eyes when asking this plant for something."""
    now = clock.now()
    state = getattr(plant, "state", None)
    facts: list[tuple[str, object]] = [
        ("Plant", format_html('<a class="text-link" href="{}">{}</a>', change_url(plant), plant)),
        ("Connection", mode_chip(plant.connection) if plant.connection else NOTHING),
        ("Its clock", moment(now, zone=plant.time_zone)),
    ]
    if state is not None and state.measured_at is not None:
        facts += [
            ("Now", f"{grid_text(state.grid_power_kw)}, SoC {percent_text(state.soc_pct)}"),
            ("Data", fresh(state.measured_at, now=now)),
        ]
    return facts


def _review_page(plant: Plant, asked: CommandRequest) -> Page:
    wire = to_wire(asked.payload)
    family = {Kind.SITE_SETPOINT: Family.COMMAND_SITE_SETPOINT, Kind.DEVICE: Family.COMMAND_DEVICE}.get(
        asked.kind, Family.COMMAND_MODE
    )
    connection = plant.connection
    signed = connection is not None and must_be_signed(family, connection.signed_families)
    title = command_title(asked.kind, wire)
    return Page(
        title=f"{title}: send it to {plant.name}?",
        submit="Send",
        facts=plant_facts(plant),
        effects=[
            _when_text(plant, asked),
            _until_text(plant, asked),
            f"One message on {family.value}, {'signed' if signed else 'not signed'}.",
            "Checked just now against assets, limits, scopes, switches and emergencies; it is checked again when sent.",
        ],
        extra={"wire": json.dumps(wire, indent=2, ensure_ascii=False), "kind": asked.kind.value},
    )


def _when_text(plant: Plant, asked: CommandRequest) -> object:
    if asked.due_at is None:
        return "It is signed and put into the outbox at once."
    when = moment(asked.due_at, zone=plant.time_zone)
    return format_html("It is signed and sent at {}; until then it can be cancelled.", when)


def _until_text(plant: Plant, asked: CommandRequest) -> object:
    """Of what is sent: a setpoint without an end of its own has the plant's."""
    payload = with_end(asked.payload, plant, asked.due_at or clock.now())
    if not isinstance(payload, SiteSetpoint | Mode):
        return "It holds until another command: a stop is a second command with its own time."
    if payload.valid_until is None:
        return "It holds until something replaces it."
    return format_html("It holds until {}.", moment(payload.valid_until, zone=plant.time_zone))


# --- emergencies ----------------------------------------------------------------------------------------------


def emergency_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """One page that names the plants and what happens; the button does it."""
    ids = [int(text) for text in request.GET.get("plants", "").split(",") if text.isdecimal()][
        : MAX_PLANTS + 1
    ]
    plants = (
        list(_plants().filter(pk__in=ids).order_by("name")[:MAX_PLANTS]) if len(ids) <= MAX_PLANTS else []
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
    plant: Plant = get_object_or_404(_plants(), pk=plant_id)
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
