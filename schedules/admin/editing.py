"""A day's slots edited as a sheet: typed, filled in spans, kept as a draft, checked.

What was typed is never lost: a refusal (somebody else changed the day meanwhile, a row that is wrong) shows the sheet
again as it was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from dispatch.admin.sending import actor_of
from esm import clock
from plants.admin.base import without_secrets
from plants.admin.marks import zone_name
from plants.admin.pages import Page, PageForm, posted, show_page
from plants.admin.refusals import attempt
from plants.errors import Invalid
from plants.models import Plant
from schedules.admin.findings import news
from schedules.admin.looks import counted
from schedules.admin.sheet import DIRECTIONS, UNITS, Row, Sheet
from schedules.models import OPEN, DayPlan, PlanVersion
from schedules.selectors.marks import mark_of
from schedules.selectors.versions import newest_versions, slots_of
from schedules.services.drafts import check_version, refuse_days, save_draft
from schedules.slots import PlannedSlot, grid_of_day


class EditForm(PageForm):
    """What goes with the sheet."""

    note = forms.CharField(required=False, max_length=500, help_text="Why this plan; kept with the version.")
    seen = forms.IntegerField(widget=forms.HiddenInput)


@dataclass(frozen=True, kw_only=True)
class _Day:
    """What is edited: the plant, the day, its plan (None = not made yet) and the version that speaks for it."""

    plant: Plant
    day: date
    plan: DayPlan | None
    version: PlanVersion | None

    @property
    def zone(self) -> str:
        return zone_name(self.plant.time_zone if self.plan is None else self.plan.time_zone)

    def sheet(self) -> Sheet:
        grid = grid_of_day(self.day, zone=self.zone, minutes=self.plant.slot_minutes)
        return Sheet(grid, zone=self.zone)


def edit_view(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plant_id: int, day_text: str
) -> HttpResponse:
    """The sheet of one day; `do` says what the pressed button asks for."""
    edited = _find(plant_id, day_text)
    sheet = edited.sheet()
    form = EditForm(posted(request), initial=_initial(edited))
    if request.method == "POST" and form.is_valid():
        sheet.take_fields(request.POST.dict())
        done = _act(request, edited, form, sheet)
        if done is not None:
            return done
    elif request.method == "POST":
        sheet.take_fields(request.POST.dict())
    else:
        _fill_in(edited, sheet)
    return show_page(
        model_admin,
        request,
        page=_page(edited, sheet),
        form=form,
        template="admin/schedules/edit.html",
    )


def _find(plant_id: int, day_text: str) -> _Day:
    plant: Plant = get_object_or_404(
        without_secrets(Plant.objects.select_related("connection"), "connection"), pk=plant_id
    )
    try:
        day = date.fromisoformat(day_text)
        refuse_days([day], path="day")
    except (ValueError, Invalid):
        raise Http404 from None
    plan = DayPlan.objects.filter(plant=plant, day=day).first()
    version = None if plan is None else newest_versions(plan_ids=[plan.pk]).get(plan.pk)
    return _Day(plant=plant, day=day, plan=plan, version=version)


def _initial(edited: _Day) -> dict[str, object]:
    seen = mark_of(
        organisation_id=edited.plant.organisation_id,
        external_plant_id=edited.plant.external_plant_id,
        day=edited.day,
    )
    note = edited.version.note if edited.version is not None and edited.version.state in OPEN else ""
    return {"seen": seen, "note": note}


def _fill_in(edited: _Day, sheet: Sheet) -> None:
    if edited.version is None:
        return
    slots = slots_of(version_ids=[edited.version.pk]).get(edited.version.pk, [])
    sheet.take_slots(slots)
    if edited.version.state in OPEN:
        _put_notes(sheet, slots, news(edited.version.problems))


def _put_notes(sheet: Sheet, slots: Sequence[PlannedSlot], problems: Sequence[Mapping[str, object]]) -> None:
    """What the last check found, in the rows that it speaks of."""
    rows = {row.span.start_at: row for row in sheet.rows}
    for problem in problems:
        index = problem.get("slot")
        row = rows.get(slots[index].start_at) if isinstance(index, int) and index < len(slots) else None
        if row is not None:
            row.notes = [*row.notes, problem]


def _act(request: HttpRequest, edited: _Day, form: EditForm, sheet: Sheet) -> HttpResponse | None:
    match request.POST.get("do"):
        case "fill":
            _fill(request, sheet)
        case "save":
            return _save(request, edited, form, sheet, check=False)
        case "check":
            return _save(request, edited, form, sheet, check=True)
    return None


def _fill(request: HttpRequest, sheet: Sheet) -> None:
    try:
        first, last = int(request.POST.get("fill_first", "")), int(request.POST.get("fill_last", ""))
    except ValueError:
        messages.error(request, "Choose from when to when.")
        return
    like = Row(
        index=0,
        span=sheet.rows[0].span,
        label="",
        direction=request.POST.get("fill_direction", ""),
        value=request.POST.get("fill_value", "").strip() if request.POST.get("fill_direction") else "",
        unit=request.POST.get("fill_unit", "kW"),
        without="fill_without" in request.POST,
        high="fill_high" in request.POST,
    )
    count = sheet.fill(first, last, like)
    if count == 0:
        messages.error(request, "The end lies before the beginning.")
    else:
        messages.info(request, f"{count} slots are filled in. Nothing is saved yet.")


def _save(
    request: HttpRequest, edited: _Day, form: EditForm, sheet: Sheet, *, check: bool
) -> HttpResponse | None:
    slots = sheet.slots()
    if slots is None:
        wrong = sum(1 for row in sheet.rows if row.error)
        form.add_error(None, f"Nothing is saved: {wrong} of the slots can't be read. See their rows.")
        return None
    version = attempt(form, lambda: _store(request, edited, form, slots, check=check))
    if version is None:
        return None
    if check and version.state in OPEN:
        _say_findings(request, version)
    else:
        messages.success(request, f"Version {version.number} is saved as a draft. Nothing is sent yet.")
    return redirect("admin:schedules_dayplan_change", version.plan_id)


def _store(
    request: HttpRequest, edited: _Day, form: EditForm, slots: Sequence[PlannedSlot], *, check: bool
) -> PlanVersion:
    at = clock.now()
    version = save_draft(
        organisation_id=edited.plant.organisation_id,
        external_plant_id=edited.plant.external_plant_id,
        day=edited.day,
        slots=slots,
        actor=actor_of(request),
        at=at,
        note=form.cleaned_data["note"],
        seen=form.cleaned_data["seen"],
    )
    if check:
        check_version(
            organisation_id=edited.plant.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            at=at,
        )
        version.refresh_from_db()
    return version


def _say_findings(request: HttpRequest, version: PlanVersion) -> None:
    found = news(version.problems)
    errors = sum(1 for one in found if one.get("severity") == "ERROR")
    if errors:
        text = f"{counted(errors, 'error')} must be changed before it can be published; see the slots below."
        messages.error(request, f"Version {version.number} is saved. {text}")
    elif found:
        text = f"{counted(len(found), 'warning')} to be accepted when it is published; see the slots below."
        messages.warning(request, f"Version {version.number} is checked. {text}")
    else:
        messages.success(request, f"Version {version.number} is checked: nothing stands against it.")


def _page(edited: _Day, sheet: Sheet) -> Page:
    return Page(
        title=f"{edited.plant.name}, {edited.day:%A} {edited.day.day} {edited.day:%B %Y}",
        lead=_lead(edited),
        submit="Save and check",
        extra={
            "sheet": sheet,
            "directions": DIRECTIONS.items(),
            "units": list(UNITS),
            "plan": edited.plan,
        },
    )


def _lead(edited: _Day) -> str:
    minutes, zone = edited.plant.slot_minutes, edited.zone
    text = f"Slots of {minutes} minutes on the clock of {zone}."
    if edited.version is None:
        return f"{text} Nothing is planned yet."
    if edited.version.state in OPEN:
        return f"{text} You edit version {edited.version.number}, which is not published."
    word = edited.version.get_state_display().lower()
    return f"{text} Version {edited.version.number} is {word}: saving makes the next one."
