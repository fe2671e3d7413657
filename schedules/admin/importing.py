"""Plans from a file: uploaded, shown with what is wrong and what would change, then confirmed as drafts."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dispatch.admin.sending import actor_of
from esm import clock
from plants.admin.pages import Page, PageForm, posted, run_page, show_page
from plants.admin.refusals import REFUSALS, problems_of, texts_of
from plants.errors import NotFound
from plants.models import Organisation
from plants.words import local_text
from schedules.admin.looks import counted
from schedules.csv_plans import COLUMNS, MAX_BYTES, MAX_ROWS
from schedules.models import PlanUpload
from schedules.services.importing import ImportPreview, PlanPreview, confirm_import, preview_import
from schedules.services.uploads import drop_upload, find_upload, keep_upload

_SHOWN_PROBLEMS = 200
_SHOWN_PLANS = 100
_SHOWN_CHANGES = 12
_LIST = "admin:schedules_dayplan_changelist"


class UploadForm(PageForm):
    """The file, and whose plants it speaks of."""

    organisation = forms.ModelChoiceField(queryset=Organisation.objects.order_by("name"), empty_label=None)
    file = forms.FileField(
        label="CSV file",
        help_text=f"Columns: {', '.join(COLUMNS)}. At most {MAX_ROWS:,} rows and {MAX_BYTES // 1024 // 1024} MB.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
    )


class ConfirmForm(PageForm):
    """The preview that is confirmed."""

    digest = forms.CharField(widget=forms.HiddenInput)
    PATHS = {"file": "digest"}


def import_view(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Upload a file; what it would do is shown next."""
    form = UploadForm(posted(request), request.FILES or None)
    page = Page(
        title="Import day plans",
        lead="What is wrong and what would change is shown first. Imported plans are drafts.",
        submit="Show what it would do",
        back=reverse(_LIST),
        multipart=True,
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        content = asked["file"].read(MAX_BYTES + 1)
        person: Any = request.user
        preview_import(organisation_id=asked["organisation"].pk, content=content)  # unreadable: said here
        kept = keep_upload(
            organisation_id=asked["organisation"].pk,
            content=content,
            name=asked["file"].name,
            by=person,
            at=clock.now(),
        )
        return redirect("admin:schedules_dayplan_import_confirm", kept.pk)

    return run_page(model_admin, request, page=page, form=form, act=act)


def confirm_view(model_admin: "ModelAdmin[Any]", request: HttpRequest, upload_id: int) -> HttpResponse:
    """What the file would do, and the button that does it."""
    person: Any = request.user
    try:
        upload = find_upload(upload_id=upload_id, by=person)
    except NotFound as gone:
        words = local_text(gone.words)
        messages.warning(request, f"{words[:1].upper()}{words[1:]}.")
        return redirect("admin:schedules_dayplan_import")
    if request.method == "POST" and request.POST.get("do") == "drop":
        drop_upload(upload_id=upload.pk)
        messages.info(request, "The file is thrown away. Nothing was imported.")
        return redirect(_LIST)
    preview = preview_import(organisation_id=upload.organisation_id, content=bytes(upload.content))
    form = ConfirmForm(posted(request), initial={"digest": preview.digest})
    if request.method == "POST" and form.is_valid():
        try:
            return _confirm(request, upload, form.cleaned_data["digest"])
        except REFUSALS as refused:  # what is shown may be older than what is planned now: shown anew
            messages.error(request, texts_of(problems_of(refused)))
            return redirect(request.path)
    return show_page(
        model_admin,
        request,
        page=_preview_page(upload, preview),
        form=form,
        template="admin/schedules/import.html",
    )


def _preview_page(upload: PlanUpload, preview: ImportPreview) -> Page:
    plans, wrong = len(preview.plans), len(preview.problems)
    title = f"{upload.name}: {counted(plans, 'plan')} in {counted(preview.rows, 'row')}"
    if wrong:
        until = "Nothing is imported until the file has none: correct it and upload it again."
        lead = f"{counted(wrong, 'problem')}. {until}"
    elif not plans:
        lead = "There is no row in this file."
    else:
        lead = "Nothing is wrong in this file. Each plan becomes a draft; what is published stays in force."
    return Page(
        title=title,
        lead=lead,
        submit=f"Import {counted(plans, 'plan')}",
        back=reverse("admin:schedules_dayplan_import"),
        extra={
            "problems": preview.problems[:_SHOWN_PROBLEMS],
            "more_problems": max(0, wrong - _SHOWN_PROBLEMS),
            "plans": [_plan_row(one) for one in preview.plans[:_SHOWN_PLANS]],
            "more_plans": max(0, plans - _SHOWN_PLANS),
            "can_import": not wrong and plans > 0,
        },
    )


def _plan_row(plan: PlanPreview) -> dict[str, object]:
    """One plan of the file against what is planned for that day."""
    against = plan.against
    return {
        "plant": plan.external_plant_id,
        "day": f"{plan.day:%a} {plan.day.day} {plan.day:%B %Y}",
        "slots": len(plan.slots),
        "against": None
        if against is None
        else f"version {against.number}, {against.get_state_display().lower()}",
        "changes": plan.change_texts()[:_SHOWN_CHANGES],
        "more": max(0, len(plan.changes) - _SHOWN_CHANGES),
        "count": len(plan.changes),
    }


def _confirm(request: HttpRequest, upload: PlanUpload, digest: str) -> HttpResponse:
    made = confirm_import(
        organisation_id=upload.organisation_id,
        content=bytes(upload.content),
        digest=digest,
        actor=actor_of(request),
        at=clock.now(),
        name=upload.name,
    )
    drop_upload(upload_id=upload.pk)
    messages.success(request, f"{counted(len(made), 'draft')} made from {upload.name}. Check, then publish.")
    return redirect(_LIST)
