"""Publishing many plans at once: what stands against each is shown and accepted together, each has its own result."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dispatch.admin.sending import actor_of
from esm import clock
from plants.admin.pages import Page, PageForm, posted, require, show_page
from plants.admin.refusals import problems_of, texts_of
from plants.texts import numbers_of
from schedules.admin.findings import findings_of
from schedules.admin.looks import counted
from schedules.models import PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.marks import review_marks_of
from schedules.services.publishing import MOST_AT_ONCE, publish_many


class PublishManyForm(PageForm):
    """What was looked at, and whether its warnings are accepted: only asked where there are any."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)
    accept_warnings = forms.BooleanField(
        label="Publish all of them in spite of the warnings",
        error_messages={
            "required": "There are warnings: accept them, or take their plans out of the choice."
        },
    )

    def __init__(self, *args: Any, warnings: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not warnings:
            del self.fields["accept_warnings"]


def publish_many_page(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """What would be published, with its warnings; then a result for each."""
    require(request, "schedules.publish_plan")
    ids = numbers_of(request.GET.get("versions", "").split(","))
    rows = PlanVersion.objects.filter(pk__in=ids[:MOST_AT_ONCE], state=PlanState.CHECKED)
    versions = list(rows.select_related("plan__plant").order_by("plan__day", "plan__plant__name"))
    if not versions:
        messages.error(request, "None of the selected plans has a checked draft. Check them first.")
        return redirect("admin:schedules_dayplan_changelist")
    found = findings_of(versions)
    warnings = sum(len(one) for one in found.values())
    marks = review_marks_of(plan_ids=[version.plan_id for version in versions])
    seen = {version.pk: marks.get(version.plan_id, 0) for version in versions}
    form = PublishManyForm(posted(request), warnings=warnings, initial={"seen": _seen_text(seen)})
    page = Page(
        title=f"Publish {counted(len(versions), 'plan')}?",
        submit=f"Publish {counted(len(versions), 'plan')}",
        lead=f"{counted(warnings, 'warning')} to be accepted."
        if warnings
        else "Nothing stands against them.",
        back=reverse("admin:schedules_dayplan_changelist"),
        extra={"rows": [(version, found[version.pk]) for version in versions]},
    )

    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["seen"] == _seen_text(seen):
            _publish_all(request, versions, seen)
            return redirect("admin:schedules_dayplan_changelist")
        messages.error(request, "Nothing is published: plans changed meanwhile. Look again.")
        return redirect(request.get_full_path())
    return show_page(model_admin, request, page=page, form=form, template="admin/schedules/publish_many.html")


def _publish_all(request: HttpRequest, versions: list[PlanVersion], seen: Mapping[int, int]) -> None:
    by_organisation: dict[int, list[PlanVersion]] = {}
    for version in versions:
        by_organisation.setdefault(version.plan.organisation_id, []).append(version)
    done = 0
    names = {version.pk: f"{version.plan.plant.name}, {version.plan.day}" for version in versions}
    for organisation_id, group in by_organisation.items():
        answers = publish_many(
            organisation_id=organisation_id,
            version_ids=[version.pk for version in group],
            actor=actor_of(request),
            at=clock.now(),
            policy=current_schedule_policy(),
            accept_warnings=True,
            seen=seen,
        )
        for answer in answers:
            if answer.error is None:
                done += 1
                continue
            words = texts_of(problems_of(answer.error))
            messages.error(request, f"{names[answer.version_id]} is not published: {words}")
    if done:
        messages.success(request, f"{counted(done, 'plan')} published.")


def _seen_text(seen: Mapping[int, int]) -> str:
    """What of each plan was looked at, short enough for a field."""
    text = ",".join(f"{version}:{mark}" for version, mark in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()
