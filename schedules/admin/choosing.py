"""Which plant and which day is meant: the first step of planning."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dispatch.models import Command
from esm import clock
from metering.days import local_day_of
from plants.admin.marks import zone_name
from plants.admin.pages import Page, PageForm, posted, run_page
from plants.admin.theme import autocomplete, widgets
from plants.models import Plant
from schedules.services.drafts import refuse_days


def date_input() -> forms.DateInput:
    """The browser's own picker of a date."""
    return forms.DateInput(
        format="%Y-%m-%d", attrs={"type": "date", "class": " ".join(widgets.INPUT_CLASSES)}
    )


class ChooseDayForm(PageForm):
    """A plant and a day of its own calendar; empty = the next one."""

    plant = forms.ModelChoiceField(queryset=Plant.objects.all(), help_text="Type a name or an external id.")
    day = forms.DateField(
        required=False, widget=date_input(), help_text="Of the plant's calendar. Empty: tomorrow."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["plant"]
        field.widget = autocomplete(Command._meta.get_field("plant"))
        field.widget.choices = field.choices


def choose_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Choose, then edit that day."""
    form = ChooseDayForm(posted(request), initial={"plant": request.GET.get("plant")})
    page = Page(
        title="Plan a day",
        lead="Choose plant and day first. A plan that is there already is opened as it is.",
        submit="Continue",
        back=reverse("admin:schedules_dayplan_changelist"),
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        plant: Plant = asked["plant"]
        day = asked["day"]
        if day is not None:
            refuse_days([day], path="day")
        else:
            day = local_day_of(clock.now(), zone=zone_name(plant.time_zone)).day + timedelta(days=1)
        return redirect("admin:schedules_dayplan_edit", plant.pk, day.isoformat())

    return run_page(model_admin, request, page=page, form=form, act=act)
