"""Sending from the admin: choose a plant, fill in, review the exact effect, send.

Send is two steps, and the second carries an idempotency key: a double click sends once. What the review shows is what
was checked against plant, assets, limits, scopes, switches and latch a moment before; sending checks it all again.
"""

import json
import uuid
from datetime import datetime, timedelta
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
    SetpointForm,
)
from dispatch.admin.looks import latch_chip
from dispatch.models import Command, Kind
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandRequest
from dispatch.selectors import open_latch
from dispatch.services.commands import Submitted, check, submit
from dispatch.services.timed import check_timed, submit_timed
from dispatch.stops import stop_of
from dispatch.timed_policy import current_timed_policy
from dispatch.validity import with_end
from dispatch.words import command_title, device_text
from esm import clock
from plants.admin.base import without_secrets
from plants.admin.looks import mode_chip
from plants.admin.marks import NOTHING, change_url, fresh, moment, zone_of
from plants.admin.pages import Page, PageForm, posted, run_page, show_page
from plants.admin.refusals import attempt
from plants.admin.theme import autocomplete
from plants.models import Plant
from plants.texts import number_of
from plants.words import age_text, grid_text, percent_text
from vcp import (
    DeviceBatch,
    Family,
    Mode,
    SiteSetpoint,
    format_timestamp,
    must_be_signed,
    to_wire,
)

End = tuple[datetime | None, timedelta | None]
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


def plants_to_send_to() -> Any:
    """Plants with what their pages of sending show of them."""
    rows = Plant.objects.select_related("connection", "organisation", "state")
    return without_secrets(rows, "connection")


def send_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Choose, fill in, review, send."""
    asked = number_of(request.GET.get("plant", ""))
    if asked is None:
        return _choose_plant(model_admin, request)
    plant: Plant = get_object_or_404(plants_to_send_to(), pk=asked)
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
            data = _completed(request.POST, form, clock.now())
            checked = _bound(form, data)
            if _check(form, checked) is not None:
                messages.success(request, "Dry run: this fits. Nothing was stored or sent.")
    return None


def _completed(posted: QueryDict, form: CommandForm, at: datetime) -> QueryDict:
    """The form's data with what the reviewed request must hold still: its start and its idempotency key."""
    data = posted.copy()
    if isinstance(form, SetpointForm) and not form.cleaned_data["valid_from"]:
        starts = form.cleaned_data["due_at"] or at
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
        request, end = completed.command_request(), end_of(completed)
        facts: dict[str, Any] = {
            "organisation_id": form.plant.organisation_id,
            "request": request,
            "at": clock.now(),
            "policy": current_policy(),
        }
        if end is None:
            check(**facts)
        else:
            check_timed(**facts, timed=current_timed_policy(), stop_at=end[0], duration=end[1])
        return request

    return attempt(form, work, field_of=form.field_of)


def _review(model_admin: "ModelAdmin[Any]", request: HttpRequest, form: CommandForm) -> HttpResponse | None:
    at = clock.now()
    data = _completed(request.POST, form, at)
    completed = _bound(form, data)
    asked = _check(form, completed)
    if asked is None:
        return None
    if isinstance(asked.payload, SiteSetpoint) and asked.payload.valid_until is None:
        # What is shown is what is sent: the plant's time counts from now, not from the second click.
        ended = with_end(asked.payload, form.plant, max(asked.due_at or at, at))
        data["valid_until"] = to_wire(ended)["validUntil"]
        completed = _bound(form, data)
        asked = completed.command_request()
    page = _review_page(form.plant, asked, end_of(completed), at)
    return show_page(
        model_admin, request, page=page, form=completed, template="admin/dispatch/command/review.html"
    )


def _send(request: HttpRequest, form: CommandForm) -> HttpResponse | None:
    def work() -> Submitted:
        end = end_of(form)
        facts: dict[str, Any] = {
            "organisation_id": form.plant.organisation_id,
            "request": form.command_request(),
            "actor": actor_of(request),
            "at": clock.now(),
            "policy": current_policy(),
        }
        if end is None:
            return submit(**facts)
        return submit_timed(**facts, timed=current_timed_policy(), stop_at=end[0], duration=end[1])

    done = attempt(form, work, field_of=form.field_of)
    if done is None:
        return None
    if done.created:
        messages.success(
            request, f"Command #{done.command.pk} for {form.plant.name} is {done.command.state.lower()}."
        )
    else:
        messages.info(request, f"Command #{done.command.pk} had already been sent by this form.")
    return redirect(change_url(done.command))


def end_of(form: CommandForm) -> End | None:
    """(instant, duration) of the stop that a form of devices asks for; None = no stop of its own."""
    return form.end() if isinstance(form, DeviceForm) else None


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


def _review_page(plant: Plant, asked: CommandRequest, end: End | None, at: datetime) -> Page:
    wire = to_wire(asked.payload)
    family = {Kind.SITE_SETPOINT: Family.COMMAND_SITE_SETPOINT, Kind.DEVICE: Family.COMMAND_DEVICE}.get(
        asked.kind, Family.COMMAND_MODE
    )
    connection = plant.connection
    signed = connection is not None and must_be_signed(family, connection.signed_families)
    title = command_title(asked.kind, wire)
    stop = _stop_wire(asked) if end is not None else None
    return Page(
        title=f"{title}: send it to {plant.name}?",
        submit="Send",
        facts=plant_facts(plant),
        effects=[
            _when_text(plant, asked),
            *(_stop_texts(plant, asked, end, stop, at) if end and stop else [_until_text(plant, asked, at)]),
            f"One message on {family.value}, {'signed' if signed else 'not signed'}.",
            "Checked just now against assets, limits, scopes, switches and emergencies; it is checked again when sent.",
        ],
        extra={"wire": _json(wire), "stop_wire": stop and _json(stop), "kind": asked.kind.value},
    )


def _stop_wire(asked: CommandRequest) -> dict[str, Any] | None:
    stop = stop_of(asked.payload) if isinstance(asked.payload, DeviceBatch) else None
    return None if stop is None else to_wire(stop)


def _stop_texts(
    plant: Plant, asked: CommandRequest, end: End, stop: dict[str, Any], at: datetime
) -> list[object]:
    """That the end is a command of its own, and when it goes out."""
    stop_at, duration = end
    devices = ", ".join(device_text(one) for one in stop["commands"])
    starts_at = max(asked.due_at or at, at)
    if stop_at is not None:
        when: object = moment(stop_at, zone=plant.time_zone)
    else:
        after = duration or timedelta()
        counted = "after it is sent" if asked.due_at is None else "after its start"
        when = format_html(
            "{} ({} {})", moment(starts_at + after, zone=plant.time_zone), age_text(after), counted
        )
    return [
        format_html("Its end is a second command, {}, which goes out at {}.", devices, when),
        "The stop is made, checked and signed then, and made again if it comes to nothing.",
        "Once it is sent, cancelling it sends its stop at once.",
    ]


def _json(wire: dict[str, Any]) -> str:
    return json.dumps(wire, indent=2, ensure_ascii=False)


def _when_text(plant: Plant, asked: CommandRequest) -> object:
    if asked.due_at is None:
        return "It is signed and put into the outbox at once."
    when = moment(asked.due_at, zone=plant.time_zone)
    return format_html("It is signed and sent at {}; until then it can be cancelled.", when)


def _until_text(plant: Plant, asked: CommandRequest, at: datetime) -> object:
    """The end as it is on the wire, and a start that is later than the message."""
    payload = asked.payload
    if not isinstance(payload, SiteSetpoint | Mode):
        return "It has no end of its own: it runs until another command for its devices."
    if payload.valid_until is None:
        return "It holds until another mode is set."
    until = payload.valid_until
    end = moment(until, zone=plant.time_zone, precise=until.microsecond > 0)
    if isinstance(payload, SiteSetpoint) and payload.valid_from > max(asked.due_at or at, at):
        return format_html(
            "It holds from {} until {}.", moment(payload.valid_from, zone=plant.time_zone), end
        )
    return format_html("It holds until {}.", end)
