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
from plants.admin.marks import change_url
from plants.admin.pages import Page, PageForm, posted, run_page
from plants.models import CancelPolicy, Plant, ScheduleCarrier
from schedules.admin.choosing import date_input
from schedules.admin.plan_list import news
from schedules.diffs import diff
from schedules.models import DayPlan, PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.versions import slots_of
from schedules.services.copying import MOST_DAYS, copy_day
from schedules.services.drafts import OPEN, check_version, discard_draft
from schedules.services.publishing import cancel_plan, publish, republish
from schedules.slots import current_slot, span_text

_SHOWN_CHANGES = 40
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
    """Whether the warnings are accepted; only asked where there are any."""

    accept_warnings = forms.BooleanField(required=False, label="Publish in spite of the warnings")

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
    if problems:
        messages.warning(request, f"{len(problems)} findings; see the slots below.")
    else:
        messages.success(request, f"Version {version.number} is checked: nothing stands against it.")
    return redirect(change_url(plan))


def publish_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """Say what will be sent, and publish."""
    warnings = sum(1 for one in version.problems if one.get("severity") == "WARNING")
    page = Page(
        title=f"Publish the plan of {_named(plan)}?",
        submit="Publish",
        effects=publish_effects(plan, version),
        back=change_url(plan),
        extra={"found": findings_of(version)},
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        done = publish(
            organisation_id=plan.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            at=clock.now(),
            policy=current_schedule_policy(),
            accept_warnings=asked.get("accept_warnings", False),
        )
        messages.success(request, f"Version {done.number} is published. Its slots are followed below.")
        return redirect(change_url(plan))

    form = PublishForm(posted(request), warnings=warnings)
    return run_page(
        model_admin, request, page=page, form=form, act=act, row=plan, template="admin/schedules/publish.html"
    )


def publish_effects(plan: DayPlan, version: PlanVersion) -> list[str]:
    """What publishing would do, in sentences."""
    at, plant, zone = clock.now(), plan.plant, plan.time_zone
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

    def act(_asked: dict[str, Any]) -> HttpResponse:
        discard_draft(
            organisation_id=plan.organisation_id,
            version_id=version.pk,
            actor=actor_of(request),
            at=clock.now(),
        )
        messages.success(request, f"Version {version.number} is discarded.")
        return redirect(change_url(plan))

    return run_page(model_admin, request, page=page, form=PageForm(posted(request)), act=act, row=plan)


def cancel_page(
    model_admin: "ModelAdmin[Any]", request: HttpRequest, plan: DayPlan, version: PlanVersion
) -> HttpResponse:
    """End the plan without a successor."""
    page = Page(
        title=f"Cancel the plan of {_named(plan)}?",
        submit="Cancel the plan",
        effects=cancel_effects(plan.plant, version),
        back=change_url(plan),
        danger=True,
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
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

    return run_page(model_admin, request, page=page, form=ReasonForm(posted(request)), act=act, row=plan)


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
    warnings = sum(1 for one in version.problems if one.get("severity") == "WARNING")
    carrier = _CARRIERS[ScheduleCarrier(plan.plant.schedule_carrier)]
    page = Page(
        title=f"Hand the plan of {_named(plan)} over?",
        submit="Hand over",
        effects=(
            f"The same slots become the next version, carried out by {carrier}.",
            "What is in force stays until the new carrier has taken over: no gap, nothing twice.",
        ),
        back=change_url(plan),
        extra={"found": findings_of(version)},
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
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

    form = PublishForm(posted(request), warnings=max(1, warnings))
    return run_page(
        model_admin, request, page=page, form=form, act=act, row=plan, template="admin/schedules/publish.html"
    )


def findings_of(version: PlanVersion) -> list[dict[str, object]]:
    """What stands against a version, each with the time of its slot; slots that are over are no news."""
    told = news(version.problems)
    if not told:
        return []
    slots = slots_of(version_ids=[version.pk]).get(version.pk, [])
    zone = version.plan.time_zone
    return [
        {**one, "when": span_text(slots[index], zone=zone)}
        if isinstance(index := one.get("slot"), int) and index < len(slots)
        else dict(one)
        for one in told
    ]


def _named(plan: DayPlan) -> str:
    return f"{plan.plant.name}, {plan.day:%a} {plan.day.day} {plan.day:%B}"
