"""The list of day plans: what is planned, what stands against it, and what is done with many at once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString

from dispatch.admin.sending import actor_of
from esm import clock
from metering.days import local_day
from plants.admin.base import MachineOwned, RoomChangeList
from plants.admin.marks import NOTHING, chips, stack, zone_name
from plants.admin.refusals import problems_of, texts_of
from plants.admin.theme import (
    ActionVariant,
    AutocompleteSelectFilter,
    DropdownFilter,
    RelatedDropdownFilter,
    action,
    display,
)
from plants.errors import DomainError
from plants.models import ScheduleCarrier
from plants.words import energy_text
from schedules.admin.findings import finding_chips
from schedules.admin.listing import PlanFacts, facts_of_plans
from schedules.admin.looks import counted, plan_chip
from schedules.conflicts import blocks_publication
from schedules.models import OPEN, DayPlan, PlanState, PlanVersion
from schedules.selectors.versions import export_plans
from schedules.services.drafts import check_version
from schedules.services.publishing import MOST_AT_ONCE

_FACTS = "_plan_facts"
_STATES = {
    "published": ("In force", (PlanState.PUBLISHED,)),
    "draft": ("Draft or checked", OPEN),
    "checked": ("Ready to publish", (PlanState.CHECKED,)),
    "done": ("Done", (PlanState.DONE,)),
}
_DAYS = {"today": ("Today", 0, 0), "tomorrow": ("Tomorrow", 1, 1), "coming": ("From today on", 0, 3660)}


class StateFilter(DropdownFilter):
    """Plans that have a version in a state."""

    title = "state"
    parameter_name = "has"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, word) for key, (word, _) in _STATES.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = _STATES.get(self.value() or "")
        if wanted is None:
            return queryset
        return queryset.filter(Exists(PlanVersion.objects.filter(plan=OuterRef("pk"), state__in=wanted[1])))


class DayFilter(DropdownFilter):
    """Days relative to today, by the calendar of UTC: plants of all zones stand in one list."""

    title = "day"
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, word) for key, (word, _, _) in _DAYS.items()] + [("past", "Before today")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        today = clock.now().date()
        if self.value() == "past":
            return queryset.filter(day__lt=today)
        chosen = _DAYS.get(self.value() or "")
        if chosen is None:
            return queryset
        _, first, last = chosen
        return queryset.filter(day__gte=today + timedelta(days=first), day__lte=today + timedelta(days=last))


class PlanChangeList(RoomChangeList):
    """Attaches to each row of the page what its columns tell."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        facts = facts_of_plans(rows)
        for row in rows:
            setattr(row, _FACTS, facts[row.pk])
        self.result_list = rows


class PlanList(MachineOwned):
    """The list's half of the page of plans."""

    list_display = ("plant_link", "day_text", "states", "planned", "carried", "found")
    list_display_links = ("plant_link", "day_text")
    list_filter = (
        DayFilter,
        StateFilter,
        ("plant", AutocompleteSelectFilter),
        ("organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id")
    search_help_text = "Plant"
    ordering = ("-day", "plant__name")
    actions = ["check_selected", "publish_selected", "export_selected"]
    actions_list = ["plan_link", "import_link"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlanChangeList

    def get_queryset(self, request: HttpRequest) -> "QuerySet[DayPlan]":
        return super().get_queryset(request).select_related("plant", "organisation")

    @action(
        description="Plan a day",
        url_path="plan-one",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["plan"],
    )
    def plan_link(self, request: HttpRequest) -> HttpResponse:
        """To the choice of plant and day."""
        return redirect("admin:schedules_dayplan_choose")

    @action(description="Import a file", url_path="import-file", icon="upload_file", permissions=["plan"])
    def import_link(self, request: HttpRequest) -> HttpResponse:
        """To the upload."""
        return redirect("admin:schedules_dayplan_import")

    @admin.action(description="Check the drafts", permissions=["plan"])
    def check_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> None:
        """Let the rules run over the open versions."""
        versions = _open_of(queryset)
        if not self._few_enough(request, versions):
            return
        passed = failed = gone = 0
        for version in versions:
            try:
                problems = check_version(
                    organisation_id=version.plan.organisation_id,
                    version_id=version.pk,
                    actor=actor_of(request),
                    at=clock.now(),
                )
            except DomainError:  # published or discarded since the list was read
                gone += 1
                continue
            blocked = blocks_publication(problems)
            passed, failed = passed + (not blocked), failed + blocked
        text = f"{counted(passed, 'draft')} checked, {failed} can't be published as they are."
        if gone:
            text += f" {gone} changed meanwhile."
        self.message_user(request, text, messages.WARNING if failed or gone else messages.SUCCESS)

    def _few_enough(self, request: HttpRequest, found: Sequence[object]) -> bool:
        """Nothing is done by halves: more than one request can do are refused, and that is said."""
        if len(found) <= MOST_AT_ONCE:
            return True
        self.message_user(
            request, f"Nothing was done: choose at most {MOST_AT_ONCE} plans at once.", messages.ERROR
        )
        return False

    @admin.action(description="Publish what is checked", permissions=["publish"])
    def publish_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> HttpResponse | None:
        """To the page that names what would be published."""
        versions = _open_of(queryset)
        if not self._few_enough(request, versions):
            return None
        ids = ",".join(str(version.pk) for version in versions if version.state == PlanState.CHECKED)
        return redirect(f"{reverse('admin:schedules_dayplan_publish')}?versions={ids}")

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> HttpResponse | None:
        """What speaks for the selected days, as an import takes it back."""
        plans = list(queryset[: MOST_AT_ONCE + 1])
        if not plans or not self._few_enough(request, plans):
            return None
        organisations = {plan.organisation_id for plan in plans}
        if len(organisations) > 1:
            self.message_user(request, "Choose plans of one organisation.", messages.ERROR)
            return None
        versions = [facts.shown.pk for facts in facts_of_plans(plans).values() if facts.shown is not None]
        try:
            text = export_plans(organisation_id=organisations.pop(), version_ids=versions)
        except DomainError as error:
            self.message_user(request, texts_of(problems_of(error)), messages.ERROR)
            return None
        return csv_response(text, f"plans-{clock.now():%Y-%m-%d}.csv")

    # --- who may ----------------------------------------------------------------------------------------------

    def has_plan_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make and change drafts."""
        return request.user.has_perm("schedules.change_dayplan")

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish and cancel."""
        return request.user.has_perm("schedules.publish_plan")

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: DayPlan) -> SafeString:
        return stack(row.plant.name, row.plant.external_plant_id)

    @display(description="Day", ordering="day")
    def day_text(self, row: DayPlan) -> SafeString:
        return stack(f"{row.day:%a} {row.day.day} {row.day:%b %Y}", length_text(row))

    @display(description="State")
    def states(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        versions = [one for one in (facts.in_force, facts.edited) if one is not None]
        if not versions:
            return NOTHING
        return chips(plan_chip(one.state, title=f"Version {one.number}") for one in versions)

    @display(description="Planned")
    def planned(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        if facts.shown is None or not facts.slots:
            return NOTHING
        parts = [
            f"{word} {energy_text(kwh)}"
            for word, kwh in (("import", facts.import_kwh), ("export", facts.export_kwh))
            if kwh
        ]
        return stack(f"{facts.slots} slots", ", ".join(parts))

    @display(description="Carried out by")
    def carried(self, row: DayPlan) -> SafeString | str:
        version = facts_of(row).in_force
        if version is None or not version.carrier:
            return NOTHING
        return "Voke" if version.carrier == ScheduleCarrier.VOKE else "Our dispatcher"

    @display(description="Found against it")
    def found(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        version = facts.edited or facts.in_force
        return NOTHING if version is None else chips(finding_chips(version))


def facts_of(row: DayPlan) -> PlanFacts:
    """What the page's list read about the row."""
    found: PlanFacts = getattr(row, _FACTS)
    return found


def length_text(plan: DayPlan) -> str:
    """Says so when the clock changes on that day."""
    hours = local_day(plan.day, zone=zone_name(plan.time_zone)).length_s / 3600
    return "" if hours == 24 else f"{hours:g} hours"


def _open_of(plans: "QuerySet[DayPlan]") -> list[PlanVersion]:
    """The open versions of selected plans."""
    rows = PlanVersion.objects.filter(plan__in=plans.order_by(), state__in=OPEN)
    return list(rows.select_related("plan__plant").order_by("pk")[: MOST_AT_ONCE + 1])


def csv_response(text: str, name: str) -> HttpResponse:
    """A file to keep."""
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    return response
