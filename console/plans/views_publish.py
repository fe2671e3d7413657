"""Publishing a day in two steps: check it and say what would be sent, then publish just what was looked at.

The review lets the rules run over the draft and remembers the day's mark; publishing with it fails when anybody changed
or checked the day since. A second click finds the version published and shows it: nothing is sent twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_POST

from console.access import ConsoleRequest, page
from console.plans.asking import day_path, to_address
from console.plans.day import PlannedDay, day_of, find_day
from console.plans.effects import publication_of
from console.plans.page import found_in
from console.plans.words import conflict_title, day_words, span_words
from esm import clock
from people.rights import Right
from plants.errors import DomainError, Several
from plants.texts import number_of
from plants.words import local_stored
from schedules.conflicts import Code, Severity
from schedules.models import PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.marks import review_marks_of
from schedules.services.drafts import check_version
from schedules.services.publishing import publish
from schedules.slots import PlannedSlot, Span

_MOST_FINDINGS = 12
MOST_REASON = 500


@require_POST
@page(Right.ACT)
def review_part(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """The dialog that asks: what the draft would send, what it replaces, what stands against it."""
    found = find_day(request.viewer.organisation, plant_id, day)
    version = found.open_version
    if version is None:
        return _dialog(request, {"day": found, "gone": True})
    try:
        check_version(
            organisation_id=request.viewer.organisation.pk,
            version_id=version.pk,
            actor=request.viewer.actor,
            at=clock.now(),
        )
    except DomainError as error:
        return _dialog(request, {"day": found, "gone": True, "error": error})
    return _dialog(request, _review(day_of(found.plant, found.day)))


def _review(day: PlannedDay, **more: Any) -> dict[str, Any]:
    version = day.open_version
    if version is None:
        return {"day": day, "gone": True, **more}
    policy = current_schedule_policy()
    errors, warnings = found_in(version)
    findings = _findings(day, version)
    serious = [one for one in findings if one["severity"] == Severity.ERROR]
    return {
        "day": day,
        "version": version,
        "title_day": day_words(day.day),
        "published": day.published,
        "publication": publication_of(day, version, at=clock.now(), lead=policy.slot_lead),
        "errors": errors,
        "warnings": warnings,
        "findings": (serious or findings)[:_MOST_FINDINGS],
        "more_findings": max(0, len(serious or findings) - _MOST_FINDINGS),
        "may_publish": version.state == PlanState.CHECKED and not errors and bool(day.slots(version)),
        "seen": review_marks_of(plan_ids=[version.plan_id]).get(version.plan_id, 0),
        **more,
    }


def _findings(day: PlannedDay, version: PlanVersion) -> list[dict[str, object]]:
    """What stands against it, errors first; neighbouring slots with the same kind of finding in one line."""
    slots = day.slots(version)
    groups: list[list[dict[str, Any]]] = []
    told = [one for one in version.problems if one.get("code") != Code.PAST or one.get("slot") is None]
    told.sort(key=lambda one: (one["severity"] != Severity.ERROR, one["code"], one.get("slot", -1)))
    for one in told:
        last = groups[-1][-1] if groups else None
        if last is not None and _follows(last, one, slots):
            groups[-1].append(one)
        else:
            groups.append([one])
    return [_finding_row(day, slots, group) for group in groups]


def _follows(last: Mapping[str, Any], one: Mapping[str, Any], slots: Sequence[PlannedSlot]) -> bool:
    if (last["code"], last["severity"]) != (one["code"], one["severity"]) or one.get("slot") is None:
        return False
    before, here = last.get("slot"), one["slot"]
    return before is not None and slots[before].end_at == slots[here].start_at


def _finding_row(
    day: PlannedDay, slots: Sequence[PlannedSlot], group: Sequence[Mapping[str, Any]]
) -> dict[str, object]:
    first, worst = group[0], max(group, key=lambda one: one.get("overBy", 0.0))
    when = ""
    if first.get("slot") is not None:
        span = Span(start_at=slots[first["slot"]].start_at, end_at=slots[group[-1]["slot"]].end_at)
        when = span_words(span, zone=day.zone)
    return {
        "severity": first["severity"],
        "title": conflict_title(first["code"]),
        "text": local_stored(worst),
        "when": when,
        "slots": len(group),
    }


@require_POST
@page(Right.ACT)
def publish_endpoint(request: ConsoleRequest, plant_id: int, day: str) -> HttpResponseBase:
    """Publish what was looked at; the page is loaded anew with the version in force."""
    found = find_day(request.viewer.organisation, plant_id, day)
    version = found.version(number_of(request.POST.get("version", "")))
    if version is not None and version.state == PlanState.PUBLISHED:
        return to_day(request, found)
    seen = number_of(request.POST.get("seen", ""))
    if version is None or seen is None or version != found.open_version:
        return _dialog(request, {"day": found, "gone": True}, status=409)
    refused = _publish(
        request, found, version, seen=seen, reason=request.POST.get("reason", "")[:MOST_REASON]
    )
    if refused is not None:
        now = day_of(found.plant, found.day)
        return _dialog(request, _review(now, error=refused, problems=problems_of(refused)), status=409)
    return to_day(request, found)


def _publish(
    request: ConsoleRequest, day: PlannedDay, version: PlanVersion, *, seen: int, reason: str
) -> DomainError | None:
    """Publish and audit in one transaction. A refusal is no exception here: what it found is to be kept."""
    viewer, at, before = request.viewer, clock.now(), day.published
    with transaction.atomic():
        try:
            done = publish(
                organisation_id=viewer.organisation.pk,
                version_id=version.pk,
                actor=viewer.actor,
                at=at,
                policy=current_schedule_policy(),
                accept_warnings="accept" in request.POST,
                seen=seen,
            )
        except DomainError as refused:
            return refused
        viewer.record(
            "plan.published",
            subject=f"{day.plant.external_plant_id} {day.day} v{done.number}",
            subject_path=day_path(day),
            reason=reason,
            before=None if before is None else {"version": before.number},
            after={"version": done.number, "slots": len(day.slots(version)), "carrier": done.carrier},
            at=at,
        )
    return None


def problems_of(error: DomainError) -> list[DomainError]:
    """Each problem by itself."""
    return list(error.problems) if isinstance(error, Several) else [error]


def to_day(request: ConsoleRequest, day: PlannedDay) -> HttpResponse:
    """The day's page anew, for scripts and for plain forms."""
    return to_address(request, day_path(day))


def _dialog(request: ConsoleRequest, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, "console/plans/_publish.html", context, status=status)
