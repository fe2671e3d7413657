"""Overrides: what stands above the plans and until when; begun, prolonged, ended on pages that say what happens."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import ModelAdmin
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from dispatch.admin.forms import ReasonForm
from dispatch.admin.sending import ChoosePlantForm, actor_of, plant_facts
from dispatch.models import Kind
from dispatch.words import command_title
from esm import clock
from plants.admin.base import MachineOwned, without_secrets
from plants.admin.marks import NOTHING, ago, change_url, link, moment, stack, zone_name, zone_of
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.theme import (
    ActionVariant,
    AutocompleteSelectFilter,
    DropdownFilter,
    RelatedDropdownFilter,
    action,
    display,
    local_time_input,
)
from plants.models import Plant
from plants.texts import number_of
from plants.words import label_text, limit_text
from schedules.admin.looks import override_chip
from schedules.diffs import slot_text
from schedules.models import Override
from schedules.policy import current_schedule_policy
from schedules.selectors.overrides import open_override
from schedules.selectors.plans import slots_ahead
from schedules.services.overrides import begin_override, end_override, extend_override
from vcp import Direction, Priority, SetpointType, SiteSetpoint

_LIST = "admin:schedules_override_changelist"
_LENGTHS = ((15, "15 minutes"), (30, "30 minutes"), (60, "1 hour"), (120, "2 hours"), (240, "4 hours"))


class UntilForm(PageForm):
    """How long, and why."""

    minutes = forms.TypedChoiceField(
        label="For",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[("", "until the time below"), *((str(minutes), text) for minutes, text in _LENGTHS)],
        initial="60",
    )
    until = forms.DateTimeField(
        required=False, widget=local_time_input(), label="Until", help_text="On the plant's clock."
    )
    reason = forms.CharField(
        max_length=500, widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept with the override."
    )
    PATHS = {"until": "until"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("minutes", "until"):
            field: Any = self.fields[name]
            field.conditional = True  # one of the two: the page calls neither optional

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and (cleaned.get("minutes") is None) == (cleaned.get("until") is None):
            self.add_error("until", "Choose a length or write a time, one of the two")
        return cleaned

    def until_at(self, at: datetime) -> datetime:
        """When it ends."""
        minutes = self.cleaned_data["minutes"]
        until: datetime = at + timedelta(minutes=minutes) if minutes else self.cleaned_data["until"]
        return until


class BeginForm(UntilForm):
    """What the site shall do instead of its plan."""

    direction = forms.ChoiceField(choices=[(one.value, label_text(one.value)) for one in Direction])
    power_kw = forms.FloatField(min_value=0, label="Power, kW")
    include_consumption = forms.BooleanField(
        required=False,
        initial=True,
        label="Include consumption",
        help_text="The target is meant at the grid connection, local consumption included.",
    )
    field_order = ("direction", "power_kw", "include_consumption", "minutes", "until", "reason")
    PATHS = {
        **UntilForm.PATHS,
        "payload.targetValueKw": "power_kw",
        "payload.direction": "direction",
        "payload.validUntil": "until",
        "validUntil": "until",
        "targetValueKw": "power_kw",
    }

    def __init__(self, *args: Any, plant: Plant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limits = f"import {limit_text(plant.max_import_kw)}, export {limit_text(plant.max_export_kw)}"
        self.fields["power_kw"].help_text = f"Limits of the site: {limits}."

    def setpoint(self, at: datetime) -> SiteSetpoint:
        """The ask; priority and times are the override's own."""
        return SiteSetpoint(
            type=SetpointType.POWER,
            direction=Direction(self.cleaned_data["direction"]),
            target_value_kw=self.cleaned_data["power_kw"],
            include_consumption=self.cleaned_data["include_consumption"],
            priority=Priority.HIGH,
            valid_from=at,
            valid_until=self.until_at(at),
        )


class OpenFilter(DropdownFilter):
    """In force or over."""

    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "In force"), ("no", "Over")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("yes", "no"):
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


@admin.register(Override)
class OverrideAdmin(MachineOwned):
    list_display = ("plant_link", "state", "asked", "ends", "begun", "who")
    list_filter = (
        OpenFilter,
        ("plant", AutocompleteSelectFilter),
        ("organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id", "by_name", "reason")
    search_help_text = "Plant, person or reason"
    ordering = (Case(When(ended_at__isnull=True, then=0), default=1), "-id")
    actions_list = ["begin_link"]
    actions_detail = ["end", "prolong"]
    fields = ("plant_link", "state", "asked", "begun", "ends", "who", "reason", "ended", "command_link")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Override]":
        return super().get_queryset(request).select_related("plant", "command")

    def get_urls(self) -> list[Any]:
        own = [path("begin/", self.admin_site.admin_view(self.begin), name="schedules_override_begin")]
        return own + super().get_urls()

    # --- beginning, ending ------------------------------------------------------------------------------------

    @action(
        description="Begin an override",
        url_path="begin-one",
        icon="pan_tool",
        variant=ActionVariant.PRIMARY,
        permissions=["publish"],
    )
    def begin_link(self, request: HttpRequest) -> HttpResponse:
        """To the form."""
        return redirect("admin:schedules_override_begin")

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Choose a plant, then say what it shall do and for how long."""
        require(request, "schedules.publish_plan")
        asked = number_of(request.GET.get("plant", ""))
        if asked is None:
            return _choose(self, request)
        rows = Plant.objects.select_related("connection", "organisation", "state")
        plant: Plant = get_object_or_404(without_secrets(rows, "connection"), pk=asked)
        at = clock.now()
        form = BeginForm(posted(request), plant=plant)

        def act(_asked: dict[str, Any]) -> HttpResponse:
            made = begin_override(
                organisation_id=plant.organisation_id,
                external_plant_id=plant.external_plant_id,
                payload=form.setpoint(at),
                until_at=form.until_at(at),
                actor=actor_of(request),
                reason=form.cleaned_data["reason"],
                at=at,
                policy=current_schedule_policy(),
            )
            messages.success(
                request, f"The override of {plant.name} is in force. Its command is followed here."
            )
            return redirect(change_url(made))

        page = Page(
            title=f"Override the plan of {plant.name}",
            submit="Begin the override",
            facts=[*plant_facts(plant), ("Plan", _running_text(plant, at))],
            effects=_begin_effects(plant, at),
            back=reverse(_LIST),
        )
        with timezone.override(zone_of(plant.time_zone)):
            return run_page(self, request, page=page, form=form, act=act)

    @action(
        description="End it",
        url_path="end",
        icon="stop_circle",
        variant=ActionVariant.PRIMARY,
        permissions=["change_open"],
    )
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End an override before its time."""
        row: Override = found_or_404(self, request, object_id)
        at = clock.now()

        def act(asked: dict[str, Any]) -> HttpResponse:
            end_override(
                organisation_id=row.organisation_id,
                override_id=row.pk,
                actor=actor_of(request),
                reason=asked["reason"],
                at=clock.now(),
                policy=current_schedule_policy(),
            )
            messages.success(request, f"The override of {row.plant.name} is over.")
            return redirect(change_url(row))

        page = Page(
            title=f"End the override of {row.plant.name}?",
            submit="End the override",
            facts=_facts(row, at),
            effects=(_resume_text(row.plant, at),),
            back=change_url(row),
        )
        return run_page(self, request, page=page, form=ReasonForm(posted(request)), act=act, row=row)

    @action(description="Change its end", url_path="prolong", icon="more_time", permissions=["change_open"])
    def prolong(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let it last longer, or shorter."""
        row: Override = found_or_404(self, request, object_id)
        at = clock.now()
        form = UntilForm(posted(request))

        def act(asked: dict[str, Any]) -> HttpResponse:
            made = extend_override(
                organisation_id=row.organisation_id,
                override_id=row.pk,
                until_at=form.until_at(at),
                actor=actor_of(request),
                reason=asked["reason"],
                at=at,
                policy=current_schedule_policy(),
            )
            messages.success(request, f"The override of {row.plant.name} has another end now.")
            return redirect(change_url(made))

        page = Page(
            title=f"When shall the override of {row.plant.name} end?",
            submit="Change the end",
            facts=_facts(row, at),
            effects=(
                "The same setpoint is sent once more with the new end; the one in force is replaced by it.",
            ),
            back=change_url(row),
        )
        with timezone.override(zone_of(row.plant.time_zone)):
            return run_page(self, request, page=page, form=form, act=act, row=row)

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may put something above a plan."""
        return request.user.has_perm("schedules.publish_plan")

    def has_change_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may, while it is in force."""
        if not self.has_publish_permission(request):
            return False
        return object_id is None or Override.objects.filter(pk=object_id, ended_at__isnull=True).exists()

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: Override) -> SafeString:
        return stack(row.plant.name, row.plant.external_plant_id)

    @display(description="State", ordering="ended_at")
    def state(self, row: Override) -> SafeString:
        return override_chip(row)

    @display(description="Asked for")
    def asked(self, row: Override) -> str:
        return command_title(Kind.SITE_SETPOINT, row.payload)

    @display(description="Ends", ordering="until_at")
    def ends(self, row: Override) -> SafeString:
        zone = row.plant.time_zone
        if row.ended_at is not None:
            return stack("Ended", moment(row.ended_at, zone=zone))
        return stack(ago(row.until_at, now=clock.now(), zone=zone), moment(row.until_at, zone=zone))

    @display(description="Begun", ordering="begun_at")
    def begun(self, row: Override) -> SafeString:
        return moment(row.begun_at, zone=row.plant.time_zone)

    @display(description="By", ordering="by_name")
    def who(self, row: Override) -> SafeString:
        return stack(row.by_name, row.reason[:80])

    @display(description="How it ended")
    def ended(self, row: Override) -> SafeString | str:
        if row.ended_at is None:
            return NOTHING
        by = f", {row.ended_by_name}" if row.ended_by_name else ""
        return f"{row.get_end_cause_display()}{by}"

    @display(description="Command")
    def command_link(self, row: Override) -> SafeString:
        return NOTHING if row.command is None else link(row.command)


def _choose(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    page = Page(
        title="Begin an override", lead="Choose the plant first.", submit="Continue", back=reverse(_LIST)
    )
    here = reverse("admin:schedules_override_begin")
    return run_page(
        model_admin,
        request,
        page=page,
        form=ChoosePlantForm(posted(request)),
        act=lambda found: redirect(f"{here}?plant={found['plant'].pk}"),
    )


def _facts(row: Override, at: datetime) -> list[tuple[str, object]]:
    zone = row.plant.time_zone
    return [
        ("Asked for", command_title(Kind.SITE_SETPOINT, row.payload)),
        ("By", row.by_name),
        ("Ends", ago(row.until_at, now=at, zone=zone)),
        ("Plan", _running_text(row.plant, at)),
    ]


def _running_text(plant: Plant, at: datetime) -> str:
    slot = slots_ahead(plant_id=plant.pk, at=at).current
    return "Nothing is planned for now" if slot is None else slot_text(slot, zone=zone_name(plant.time_zone))


def _begin_effects(plant: Plant, at: datetime) -> tuple[str, ...]:
    opened = open_override(plant_id=plant.pk, at=at)
    effects = (
        "A setpoint of high priority is sent at once. It ends by itself at the time that you choose.",
        "Slots of the plan are pre-empted until then; afterwards the slot that is current then goes on.",
        "An emergency ends it.",
    )
    if opened is None:
        return effects
    return (f"The override of {opened.by_name} is in force and is replaced by this one.", *effects)


def _resume_text(plant: Plant, at: datetime) -> str:
    slot = slots_ahead(plant_id=plant.pk, at=at).current
    if slot is None:
        return "Nothing is planned for now: what is sent follows the plant's cancel policy."
    return f"The plan goes on at once with {slot_text(slot, zone=zone_name(plant.time_zone))}."
