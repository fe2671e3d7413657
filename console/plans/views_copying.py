"""Copying a day: to other days as drafts, or from the last planned day into an empty one."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from console.access import ConsoleRequest, page
from console.plans.asking import day_path, to_address
from console.plans.day import PlannedDay, find_day, read_day
from console.plans.words import day_words
from esm import clock
from people.rights import Right
from plants.errors import DomainError
from plants.words import local_text
from schedules.services.copying import MOST_DAYS, CopiedDay, copy_day


class CopyForm(forms.Form):
    """To which days."""

    first_day = forms.DateField(label=gettext_lazy("To"))
    last_day = forms.DateField(label=gettext_lazy("Until"), required=False)
    weekdays_only = forms.BooleanField(required=False)
    overwrite = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first is not None and last is not None and last < first:
            self.add_error("last_day", gettext("Lies before the first day"))
        elif first is not None and last is not None and (last - first).days >= MOST_DAYS:
            self.add_error("last_day", gettext("At most %(n)d days at once") % {"n": MOST_DAYS})
        return cleaned

    def days(self, *, without: date) -> list[date]:
        """The chosen days in the order of time, but the copied one itself."""
        first = self.cleaned_data["first_day"]
        last = self.cleaned_data["last_day"] or first
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        weekdays = self.cleaned_data["weekdays_only"]
        return [day for day in every if day != without and (not weekdays or day.weekday() < 5)]


@require_http_methods(["GET", "POST"])
@page(Right.ACT)
def copy_part(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Ask for the days, then make their drafts."""
    found = find_day(request.viewer.organisation, plant_id, day)
    if request.method == "GET":
        form = CopyForm(initial={"first_day": (found.day + timedelta(days=1)).isoformat()})
        return _dialog(request, found, form)
    form = CopyForm(request.POST)
    if not form.is_valid():
        return _dialog(request, found, form, status=422)
    try:
        made = _copy(request, found, form)
    except DomainError as error:
        field = "first_day" if error.path == "toDays" else None
        form.add_error(field, local_text(error.words))
        return _dialog(request, found, form, status=422, code=error.code)
    return _dialog(request, found, form, made=[_made_row(found, one) for one in made])


def _copy(request: ConsoleRequest, day: PlannedDay, form: CopyForm) -> list[CopiedDay]:
    viewer, at = request.viewer, clock.now()
    days = form.days(without=day.day)
    version = day.speaking
    with transaction.atomic():
        made = copy_day(
            organisation_id=viewer.organisation.pk,
            external_plant_id=day.plant.external_plant_id,
            from_day=day.day,
            to_days=days,
            actor=viewer.actor,
            at=at,
            version_id=None if version is None else version.pk,
            overwrite=form.cleaned_data["overwrite"],
        )
        viewer.record(
            "plan.copied",
            subject=f"{day.plant.external_plant_id} {day.day}",
            subject_path=day_path(day),
            after={"days": [f"{one:%Y-%m-%d}" for one in days]},
            at=at,
        )
    return made


def _made_row(day: PlannedDay, one: CopiedDay) -> dict[str, Any]:
    target = one.version.plan.day
    return {
        "day": day_words(target),
        "number": one.version.number,
        "url": reverse("console:plans:day", args=[day.plant.pk, target.isoformat()]),
        "notes": one.notes,
    }


@require_POST
@page(Right.ACT)
def fill_endpoint(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Begin an empty day with what another one plans (`from`)."""
    found = find_day(request.viewer.organisation, plant_id, day)
    viewer, at = request.viewer, clock.now()
    source = read_day(request.POST.get("from", ""))
    try:
        with transaction.atomic():
            copy_day(
                organisation_id=viewer.organisation.pk,
                external_plant_id=found.plant.external_plant_id,
                from_day=source,
                to_days=[found.day],
                actor=viewer.actor,
                at=at,
            )
            viewer.record(
                "plan.copied",
                subject=f"{found.plant.external_plant_id} {source:%Y-%m-%d}",
                subject_path=day_path(found),
                after={"days": [f"{found.day:%Y-%m-%d}"]},
                at=at,
            )
    except DomainError as error:
        if error.code != "DRAFT_EXISTS":
            return render(request, "console/plans/_refused.html", {"error": error}, status=422)
    return to_address(request, day_path(found))


def _dialog(
    request: ConsoleRequest, day: PlannedDay, form: CopyForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"day": day, "form": form, "title_day": day_words(day.day), **more}
    return render(request, "console/plans/_copy.html", context, status=status)
