"""What a person decides about a plan: check, publish, discard, cancel, copy, hand over; each page says what happens."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dispatch.admin.forms import ReasonForm
from dispatch.admin.sending import actor_of
from esm import clock
from plants.admin.marks import change_url, zone_name
from plants.admin.pages import Page, PageForm, posted, run_page, show_page
from plants.admin.refusals import REFUSALS, problems_of, texts_of
from plants.models import CancelPolicy, Plant, ScheduleCarrier
from plants.texts import number_of
from schedules.admin.choosing import date_input
from schedules.admin.findings import findings_of, news
from schedules.admin.looks import counted
from schedules.conflicts import news_of
from schedules.diffs import diff
from schedules.models import OPEN, DayPlan, PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.marks import review_marks_of
from schedules.selectors.versions import slots_of
from schedules.services.copying import MOST_DAYS, copy_day
from schedules.services.drafts import check_version, discard_draft, find_problems, stored_problem
from schedules.services.publishing import cancel_plan, publish, republish
from schedules.slots import current_slot, span_text

_SHOWN_CHANGES = 40
_SHOWN_ERRORS = 3
_CARRIERS = {
    ScheduleCarrier.DISPATCHER: "our dispatcher, with a site setpoint for each slot",
    ScheduleCarrier.VOKE: "Voke, as a schedule of its own",
}
_CANCELS = {
    CancelPolicy.BASE_MODE: "the plant's base mode is sent",
    CancelPolicy.EXPIRE: "nothing is sent, and it ends with its validUntil",
    CancelPolicy.ZERO: "a setpoint of 0\u202fkW is sent",
}


class PublishForm(PageForm):
    """What was looked at, and whether its warnings are accepted: only asked where there are any."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)
    accept_warnings = forms.BooleanField(
        label="Publish in spite of the warnings",
        error_messages={"required": "There are warnings: accept them, or change the plan."},
    )

    def __init__(self, *args: Any, warnings: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not warnings:
            del self.fields["accept_warnings"]


class VersionForm(PageForm):
    """Which version the page spoke of: by the time of the answer another may stand in its place."""

    version = forms.CharField(required=False, widget=forms.HiddenInput, max_length=64)

    def is_about(self, version: PlanVersion) -> bool:
        """Whether it is still that one."""
        return self.cleaned_data["version"] in ("", str(version.pk))


class CancelForm(ReasonForm, VersionForm):
    """Why, and what."""


class HandOverForm(VersionForm, PageForm):
    """Whether the warnings are accepted, where there are any."""

    accept_warnings = forms.BooleanField(
        label="Hand over in spite of the warnings",
        error_messages={"required": "There are warnings: accept them, or change the plan."},
    )

    def __init__(self, *args: Any, warnings: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not warnings:
            del self.fields["accept_warnings"]


class CopyForm(PageForm):
    """To which days."""

    first_day = forms.DateField(widget=date_input(), label="To")
    last_day = forms.DateField(
        widget=date_input(), required=False, label="Until", help_text="Empty: only that day."
    )
    weekdays_only = forms.BooleanField(required=False, label="Leave Saturdays and Sundays out")
    overwrite = forms.BooleanField(required=False, label="Replace drafts that are there already")
    PATHS = {"toDays": "first_day"}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first is not None and last is not None and last < first:
            self.add_error("last_day", "Lies before the first day")
        elif first is not None and last is not None and (last - first).days >= MOST_DAYS:
            self.add_error("last_day", f"At most {MOST_DAYS} days at once")
        return cleaned

    def days(self) -> list[date]:
        """The chosen days in the order of time."""
        first = self.cleaned_data["first_day"]
        last = self.cleaned_data["last_day"] or first
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        return [day for day in every if not self.cleaned_data["weekdays_only"] or day.weekday() < 5]


def open_version(plan: DayPlan) -> PlanVersion | None:
    """The version that is edited."""
    return plan.versions.filter(state__in=OPEN).first()


def published_version(plan: DayPlan) -> PlanVersion | None:
    """The version in force."""
    return plan.versions.filter(state=PlanState.PUBLISHED).first()


def check_now(request: HttpRequest, plan: DayPlan, version: PlanVersion) -> HttpResponse:
    """Let the rules run over the open version; what they find stands on the plan's page."""
    problems = check_version(
        organisation_id=plan.organisation_id, version_id=version.pk, actor=actor_of(request), at=clock.now()
    )
    found = len(news_of(problems))
    if found:
        messages.warning(request, f"{counted(found, 'finding')}; see the slots below.")
    else:
        messages.success(request, f"Version {version.number} is checked: nothing stands against it.")
    return redirect(change_url(plan))


def publish_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """Say what will be sent, and publish what was looked at.

    Not within `attempt`: what a refusal found is kept, and the page is shown anew with it.
    """
    form = PublishForm(
        posted(request), warnings=len(news(version.problems)), initial={"seen": mark_of_plan(plan)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            done = publish(
                organisation_id=plan.organisation_id,
                version_id=version.pk,
                actor=actor_of(request),
                at=clock.now(),
                policy=current_schedule_policy(),
                accept_warnings=form.cleaned_data.get("accept_warnings", False),
                seen=seen_in(form),
            )
        except REFUSALS as refused:
            messages.error(request, _refused_text(refused))
            version.refresh_from_db()
            return redirect(request.path if version.state == PlanState.CHECKED else change_url(plan))
        messages.success(request, f"Version {done.number} is published. Its slots are followed below.")
        return redirect(change_url(plan))
    page = Page(
        title=f"Publish the plan of {_named(plan)}?",
        submit="Publish",
        effects=publish_effects(plan, version),
        back=change_url(plan),
        extra={"found": findings_of([version])[version.pk]},
    )
    return show_page(
        model_admin, request, page=page, form=form, row=plan, template="admin/schedules/publish.html"
    )


def seen_in(form: forms.Form) -> int:
    """The mark that came back with a form; nonsense is no mark that any plan has."""
    mark = number_of(form.cleaned_data["seen"])
    return -1 if mark is None else mark


def _refused_text(refused: Exception) -> str:
    """Why not, in a line; many errors are counted, each stands at its slot on the plan's page."""
    found = problems_of(refused)
    if len(found) <= _SHOWN_ERRORS:
        return f"Not published. {texts_of(found)}"
    return f"Not published: {len(found)} errors stand against it. {texts_of(found[:_SHOWN_ERRORS])}"


def publish_effects(plan: DayPlan, version: PlanVersion) -> list[str]:
    """What publishing would do, in sentences."""
    at, plant, zone = clock.now(), plan.plant, zone_name(plan.time_zone)
    before = published_version(plan)
    slots = slots_of(version_ids=[one.pk for one in (version, before) if one is not None])
    new = slots.get(version.pk, [])
    left = [slot for slot in new if slot.end_at > at]
    carrier = _CARRIERS[ScheduleCarrier(plant.schedule_carrier)]
    effects = [f"{len(left)} of {len(new)} slots are not over; they are carried out by {carrier}."]
    running = current_slot(left, at)
    if running is not None:
        effects.append(f"The slot that runs now ({span_text(running, zone=zone)}) is sent at once.")
    if before is not None:
        changes = [one for one in diff(slots.get(before.pk, []), new) if one.span.end_at > at]
        effects.append(
            f"Version {before.number} ends. {len(changes)} spans differ from it; what is the same is not sent again."
        )
        effects += [change.text(zone=zone) for change in changes[:_SHOWN_CHANGES]]
        if len(changes) > _SHOWN_CHANGES:
            effects.append(f"and {len(changes) - _SHOWN_CHANGES} more.")
    return effects


def discard_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """Throw the open version away."""
    page = Page(
        title=f"Discard version {version.number} of {_named(plan)}?",
        submit="Discard",
        effects=("It stays in the history. Nothing of it was ever sent.",),
        back=change_url(plan),
        danger=True,
    )

    form = VersionForm(posted(request), initial={"version": version.pk})

    def act(_asked: dict[str, Any]) -> HttpResponse:
        if not form.is_about(version):
            return _look_again(request, plan)
        discard_draft(
            organisation_id=plan.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            at=clock.now(),
        )
        messages.success(request, f"Version {version.number} is discarded.")
        return redirect(change_url(plan))

    return run_page(model_admin, request, page=page, form=form, act=act, row=plan)


def _look_again(request: HttpRequest, plan: DayPlan) -> HttpResponse:
    messages.error(request, "Nothing was done: another version stands there by now. Look again.")
    return redirect(change_url(plan))


def cancel_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """End the plan without a successor."""
    page = Page(
        title=f"Cancel the plan of {_named(plan)}?",
        lead=f"Version {version.number} is in force.",
        submit="Cancel the plan",
        effects=cancel_effects(plan.plant, version),
        back=change_url(plan),
        danger=True,
    )

    form = CancelForm(posted(request), initial={"version": version.pk})

    def act(asked: dict[str, Any]) -> HttpResponse:
        if not form.is_about(version):
            return _look_again(request, plan)
        cancel_plan(
            organisation_id=plan.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            reason=asked["reason"],
            at=clock.now(),
            policy=current_schedule_policy(),
        )
        messages.success(request, "The plan is cancelled. Nothing more of it is sent.")
        return redirect(change_url(plan))

    return run_page(model_admin, request, page=page, form=form, act=act, row=plan)


def cancel_effects(plant: Plant, version: PlanVersion) -> Sequence[str]:
    """What cancelling would send."""
    if version.carrier == ScheduleCarrier.VOKE:
        return (
            "Voke is told to cancel its schedules of this plan at once.",
            "Slots that ran stay as they were.",
        )
    return (
        "Slots to come are withdrawn: nothing of them is sent.",
        f"For what Voke has already, {_CANCELS[CancelPolicy(plant.cancel_policy)]} (the plant's policy).",
    )


def copy_page(model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan) -> HttpResponse:
    """Make drafts of other days from this one."""
    form = CopyForm(posted(request), initial={"first_day": plan.day + timedelta(days=1)})
    page = Page(
        title=f"Copy the plan of {_named(plan)}",
        lead="By the wall clock: what is planned for 14:00 is planned for 14:00. The copies are drafts.",
        submit="Copy",
        back=change_url(plan),
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        made = copy_day(
            organisation_id=plan.organisation_id,
            external_plant_id=plan.plant.external_plant_id,
            from_day=plan.day,
            to_days=form.days(),
            actor=actor_of(request),
            at=clock.now(),
            overwrite=asked["overwrite"],
        )
        messages.success(request, f"{len(made)} drafts are made. Check and publish them.")
        for one in made:
            for note in one.notes:
                messages.warning(request, f"{one.version.plan.day:%a %d %b}: {note}")
        return redirect(change_url(made[0].version.plan) if len(made) == 1 else change_url(plan))

    return run_page(model_admin, request, page=page, form=form, act=act, row=plan)


def hand_over_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """Let the plant's other carrier carry the published plan out."""
    at = clock.now()
    version.problems = [stored_problem(one) for one in find_problems(version, at=at)]
    warnings = len(news(version.problems))
    carrier = _CARRIERS[ScheduleCarrier(plan.plant.schedule_carrier)]
    page = Page(
        title=f"Hand the plan of {_named(plan)} over?",
        submit="Hand over",
        effects=(
            f"The same slots become the next version, carried out by {carrier}.",
            "What is in force stays until the new carrier has taken over: no gap, nothing twice.",
        ),
        back=change_url(plan),
        extra={"found": findings_of([version])[version.pk]},
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        if not form.is_about(version):
            return _look_again(request, plan)
        done = republish(
            organisation_id=plan.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            at=clock.now(),
            policy=current_schedule_policy(),
            accept_warnings=asked.get("accept_warnings", False),
        )
        messages.success(request, f"Version {done.number} is carried out by {carrier}.")
        return redirect(change_url(plan))

    form = HandOverForm(posted(request), warnings=warnings, initial={"version": version.pk})
    return run_page(
        model_admin, request, page=page, form=form, act=act, row=plan, template="admin/schedules/publish.html"
    )


def mark_of_plan(plan: DayPlan) -> int:
    """What `publish` compares."""
    return review_marks_of(plan_ids=[plan.pk]).get(plan.pk, 0)


def _named(plan: DayPlan) -> str:
    return f"{plan.plant.name}, {plan.day:%a} {plan.day.day} {plan.day:%B}"
