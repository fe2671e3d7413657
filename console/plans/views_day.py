"""The page of a planned day, and what its editor asks while one types: check, save, state.

Saving is guarded by the day's mark (`If-Match`): who saves over somebody else's change is told what differs, nothing is
written. Slots that have begun meanwhile stay as they are kept, and the answer names those that the editor wanted
otherwise.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from console.access import ConsoleRequest, page
from console.plans.asking import day_path, refusal
from console.plans.checking import charge, findings, rules_of
from console.plans.day import PlannedDay, Row, day_of, find_day, find_plant
from console.plans.document import choose, document_of
from console.plans.outcomes import counts_json, outcomes_json, outcomes_of
from console.plans.page import page_context, versions_context
from console.plans.slots_json import read_body, read_rows, rows_json
from esm import clock
from metering.days import local_day_of
from people.rights import Right
from plants.errors import Conflict, DomainError, Invalid
from plants.texts import number_of, storable_text
from schedules.models import PlanVersion
from schedules.selectors.versions import export_plans
from schedules.services.drafts import save_draft
from vcp.said import said

MOST_NOTE = 500


@require_safe
@page()
def today_page(request: ConsoleRequest, plant_id: int) -> HttpResponseBase:
    """To the plant's present day."""
    plant = find_plant(request.viewer.organisation, plant_id)
    day = local_day_of(clock.now(), zone=plant.time_zone).day
    return redirect("console:plans:day", plant.pk, day.isoformat())


@require_safe
@page()
def day_page(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """A day: its editor, or what became of a version; `?version=` one of them, `?edit=1` the editor."""
    at, found = clock.now(), find_day(request.viewer.organisation, plant_id, day)
    shown = choose(
        found,
        asked=number_of(request.GET.get("version", "")),
        edits="edit" in request.GET,
        may_act=request.viewer.may_act,
        at=at,
    )
    context = page_context(shown, asked=request.GET) | {"document": document_of(shown)}
    return render(request, "console/plans/day.html", context)


@require_POST
@page(Right.ACT)
def check_endpoint(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """What stands against the slots as they are typed, and the charge that is expected; nothing is stored."""
    at, found = clock.now(), find_day(request.viewer.organisation, plant_id, day)
    try:
        rows = _with_kept(found, read_rows(read_body(request).get("slots"), grid=found.grid), at)[0]
    except Invalid as wrong:
        return refusal(wrong)
    rules = rules_of(found, at=at)
    return JsonResponse(
        {"findings": findings(rules, rows), "charge": charge(rules, rows), "locked": found.locked(at)}
    )


@require_POST
@page(Right.ACT)
def save_endpoint(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Keep the slots as the day's draft: `saved`, or `changed` with what somebody else made of it."""
    at, found = clock.now(), find_day(request.viewer.organisation, plant_id, day)
    try:
        body = read_body(request)
        rows, refused = _with_kept(found, read_rows(body.get("slots"), grid=found.grid), at)
        seen = _mark_in(request)
        note = body.get("note", "")
        if not isinstance(note, str) or len(note) > MOST_NOTE or storable_text(note) != note:
            raise Invalid(said("the note is too long"), path="note", code="TOO_LONG")
        if _is_nothing_new(found, rows, seen, note):
            return JsonResponse(_saved(found, None, refused))
        _save(request, found, rows, note=note, seen=seen, at=at)
    except Conflict as conflict:
        if conflict.code != "PLAN_CHANGED":
            return refusal(conflict)
        return JsonResponse(_changed(day_of(found.plant, found.day)))
    except DomainError as wrong:
        return refusal(wrong)
    now = day_of(found.plant, found.day)
    return JsonResponse(_saved(now, now.open_version, refused))


def _with_kept(day: PlannedDay, rows: list[Row], at: datetime) -> tuple[list[Row], list[int]]:
    """The rows with what is locked as it is kept, and the places where the editor wanted something else."""
    locked = day.locked(at)
    kept = day.kept()[:locked]
    refused = [place for place in range(locked) if rows[place] != kept[place]]
    return [*kept, *rows[locked:]], refused


def _mark_in(request: ConsoleRequest) -> int:
    """What the editor knew of; a save that does not say is none."""
    mark = number_of(request.headers.get("If-Match", "").strip('"'))
    if mark is None:
        raise Invalid(said("say which state of the day was edited (If-Match)"), code="MARK_MISSING")
    return mark


def _is_nothing_new(day: PlannedDay, rows: Sequence[Row], seen: int, note: str) -> bool:
    """A day that is as it was needs no draft."""
    speaking = day.speaking
    if seen != day.mark or list(rows) != day.rows(speaking):
        return False
    return day.open_version is None or (day.open_version.note == note and not day.off_grid(speaking))


def _save(
    request: ConsoleRequest, day: PlannedDay, rows: Sequence[Row], *, note: str, seen: int, at: datetime
) -> None:
    viewer = request.viewer
    with transaction.atomic():
        version = save_draft(
            organisation_id=viewer.organisation.pk,
            external_plant_id=day.plant.external_plant_id,
            day=day.day,
            slots=[row for row in rows if row is not None],
            actor=viewer.actor,
            at=at,
            note=note,
            seen=seen,
        )
        # The plan's own history tells each save; the audit tells that a person began a draft.
        if day.open_version is None or day.open_version.pk != version.pk:
            viewer.record(
                "plan.drafted",
                subject=f"{day.plant.external_plant_id} {day.day} v{version.number}",
                subject_path=day_path(day),
                at=at,
            )


def _saved(day: PlannedDay, version: PlanVersion | None, refused: Sequence[int]) -> dict[str, object]:
    return {
        "outcome": "saved",
        "mark": day.mark,
        "version": None if version is None else {"id": version.pk, "number": version.number},
        "refused": list(refused),
        "kept": rows_json(day.kept()) if refused else [],
    }


def _changed(day: PlannedDay) -> dict[str, object]:
    """What stands there by now, for the second saver to look at."""
    speaking = day.speaking
    newest = None if day.plan is None else day.plan.events.select_related(None).order_by("-pk").first()
    return {
        "outcome": "changed",
        "mark": day.mark,
        "by": "" if newest is None else newest.actor,
        "at": None if newest is None else round(newest.at.timestamp() * 1000),
        "version": None if speaking is None else {"id": speaking.pk, "number": speaking.number},
        "rows": rows_json(day.rows(speaking)),
    }


@require_safe
@page()
def state_endpoint(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """What became of the slots by now, and the day's mark: asked after each word about the plant's plan."""
    at, found = clock.now(), find_day(request.viewer.organisation, plant_id, day)
    carried = found.version(number_of(request.GET.get("version", ""))) or found.carried
    outcomes = None if carried is None else outcomes_of(found, carried, at=at)
    return JsonResponse(
        {
            "at": round(at.timestamp() * 1000),
            "mark": found.mark,
            "locked": found.locked(at),
            "state": None if carried is None else carried.state,
            "published": None if found.published is None else found.published.pk,
            "outcomes": None if outcomes is None else outcomes_json(outcomes),
            "counts": [] if outcomes is None else counts_json(outcomes),
        }
    )


@require_safe
@page()
def versions_part(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """The versions, and two of them compared (`from`, `to`)."""
    found = find_day(request.viewer.organisation, plant_id, day)
    return render(request, "console/plans/_versions.html", versions_context(found, asked=request.GET))


@require_safe
@page()
def export_file(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """A version as CSV that an import takes back."""
    found = find_day(request.viewer.organisation, plant_id, day)
    version = found.version(number_of(request.GET.get("version", ""))) or found.speaking
    if version is None:
        return redirect("console:plans:day", plant_id, day)
    text = export_plans(organisation_id=request.viewer.organisation.pk, version_ids=[version.pk])
    name = f"{found.plant.external_plant_id}-{found.day}-v{version.number}.csv"
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    return response
