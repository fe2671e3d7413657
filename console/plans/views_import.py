"""Plans from a CSV file: uploaded, shown row by row with what is wrong and what would change, then kept as drafts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from console.access import ConsoleRequest, page
from console.plans.asking import to_address
from console.plans.words import day_words
from esm import clock
from metering.days import local_day
from people.rights import Right
from plants.errors import DomainError, Invalid, NotFound, Several
from plants.models import Plant
from schedules.csv_plans import COLUMNS, MAX_BYTES, MAX_ROWS
from schedules.models import PlanUpload, PlanVersion
from schedules.services.importing import ImportPreview, PlanPreview, confirm_import, preview_import
from schedules.services.uploads import drop_upload, find_upload, keep_upload
from vcp.said import said

_SHOWN_PROBLEMS = 200
_SHOWN_PLANS = 100
_SHOWN_CHANGES = 12


@require_http_methods(["GET", "POST"])
@page(Right.ACT)
def upload_page(request: ConsoleRequest) -> HttpResponseBase:
    """Take the file; what it would do is shown next, nothing is kept as a plan yet."""
    if request.method == "GET":
        return render(request, "console/plans/import.html", _asked())
    file = request.FILES.get("file")
    try:
        if file is None:
            raise Invalid(said("choose a file"), path="file", code="NO_FILE")
        content = file.read(MAX_BYTES + 1)
        preview_import(organisation_id=request.viewer.organisation.pk, content=content)
        kept = keep_upload(
            organisation_id=request.viewer.organisation.pk,
            content=content,
            name=file.name or "plans.csv",
            by=request.viewer.user,
            at=clock.now(),
        )
    except DomainError as error:
        return render(request, "console/plans/import.html", _asked(error=error), status=422)
    return redirect("console:plans:import_preview", kept.pk)


def _asked(*, error: DomainError | None = None) -> dict[str, Any]:
    """What the page that asks for a file shows."""
    return {
        "columns": COLUMNS,
        "most_rows": MAX_ROWS,
        "most_mb": MAX_BYTES // 1024 // 1024,
        "error": error,
    }


@require_http_methods(["GET", "POST"])
@page(Right.ACT)
def preview_page(request: ConsoleRequest, upload_id: int) -> HttpResponseBase:
    """What the file would do, and the button that does it."""
    upload = _own_upload(request, upload_id)
    if upload is None:
        return render(request, "console/plans/import_gone.html", status=404)
    if request.method == "POST" and request.POST.get("do") == "drop":
        drop_upload(upload_id=upload.pk)
        return to_address(request, reverse("console:plans:list"))
    error: DomainError | None = None
    if request.method == "POST":
        try:
            made = _confirm(request, upload, request.POST.get("digest", ""))
        except DomainError as refused:  # what is shown may be older than what is planned now: shown anew
            error = refused
        else:
            return to_address(request, _where(made))
    try:
        preview = preview_import(organisation_id=upload.organisation_id, content=bytes(upload.content))
    except DomainError as unreadable:  # it was kept before the rules of files changed
        return render(request, "console/plans/import.html", _asked(error=unreadable), status=422)
    return _preview(request, upload, preview, error)


def _own_upload(request: ConsoleRequest, upload_id: int) -> PlanUpload | None:
    try:
        upload = find_upload(upload_id=upload_id, by=request.viewer.user)
    except NotFound:
        return None
    return upload if upload.organisation_id == request.viewer.organisation.pk else None


def _preview(
    request: ConsoleRequest, upload: PlanUpload, preview: ImportPreview, error: DomainError | None
) -> HttpResponse:
    wrong = len(preview.problems)
    context = {
        "upload": upload,
        "preview": preview,
        "problems": preview.problems[:_SHOWN_PROBLEMS],
        "more_problems": max(0, wrong - _SHOWN_PROBLEMS),
        "plans": _plan_rows(upload, preview.plans[:_SHOWN_PLANS], at=clock.now()),
        "more_plans": max(0, len(preview.plans) - _SHOWN_PLANS),
        "can_import": not wrong and bool(preview.plans),
        "errors": [] if error is None else (error.problems if isinstance(error, Several) else [error]),
    }
    return render(request, "console/plans/import_preview.html", context, status=200 if error is None else 409)


def _plan_rows(upload: PlanUpload, plans: Sequence[PlanPreview], *, at: datetime) -> list[dict[str, object]]:
    """The plans of the file, each against what is planned for that day."""
    named = Plant.objects.filter(
        organisation_id=upload.organisation_id, external_plant_id__in={one.external_plant_id for one in plans}
    )
    names = dict(named.values_list("external_plant_id", "name"))
    return [_plan_row(one, name=names.get(one.external_plant_id, ""), at=at) for one in plans]


def _plan_row(plan: PlanPreview, *, name: str, at: datetime) -> dict[str, object]:
    """`over`: nothing of it can be carried out any more; `begun`: so many of its slots can't."""
    begun = sum(slot.start_at <= at for slot in plan.slots)
    return {
        "plant": plan.external_plant_id,
        "name": name,
        "over": local_day(plan.day, zone=plan.zone).end_at <= at,
        "begun": begun,
        "day": day_words(plan.day),
        "slots": len(plan.slots),
        "against": plan.against,
        "changes": plan.change_texts()[:_SHOWN_CHANGES],
        "more": max(0, len(plan.changes) - _SHOWN_CHANGES),
        "count": len(plan.changes),
    }


def _confirm(request: ConsoleRequest, upload: PlanUpload, digest: str) -> list[PlanVersion]:
    viewer, at = request.viewer, clock.now()
    with transaction.atomic():
        made = confirm_import(
            organisation_id=upload.organisation_id,
            content=bytes(upload.content),
            digest=digest,
            actor=viewer.actor,
            at=at,
            name=upload.name,
        )
        drop_upload(upload_id=upload.pk)
        viewer.record(
            "plan.imported",
            subject=upload.name,
            after={"drafts": len(made)},
            at=at,
            subject_path=_where(made),
        )
    return made


def _where(made: list[PlanVersion]) -> str:
    """To the draft when it is one, else to the drafts."""
    if len(made) == 1:
        plan = made[0].plan
        return reverse("console:plans:day", args=[plan.plant_id, plan.day.isoformat()])
    return f"{reverse('console:plans:list')}?show=drafts"
